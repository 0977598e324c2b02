"""The wheel: what is in it, that it runs from an installation of its own, and that all lists of packages agree."""

import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
TINY = (
    '--config.pretrain.epochs=0 --config.pretrain.steps=2 --config.transfer.ways=scratch, --config.seeds=0 '
    '--config.transfer.scratch.epochs=0 --config.transfer.scratch.steps=2 --config.evaluate.figures=False'
).split()


def packages(lines) -> set:
    """Requirements without comments and white space, extras and files left out."""
    plain = (re.split(r'\s+#|^#', line)[0].replace(' ', '').replace('"', "'") for line in lines)
    return {line for line in plain if line and not line.startswith('-r')}


@pytest.mark.parametrize('extra', ['', 'tfds', 'formats', 'buckets', 'export', 'test', 'bench'])
def test_requirements_files_agree_with_the_package(extra):
    lines = (ROOT / f'requirements{extra and "-"}{extra}.txt').read_text().splitlines()
    assert packages(lines) == packages(PROJECT['optional-dependencies'][extra] if extra else PROJECT['dependencies'])


def test_tensorflow_is_an_extra_alone():
    names = {extra for extra, of in PROJECT['optional-dependencies'].items() if 'tensorflow' in ' '.join(of)}
    assert names == {'tfds'} and 'tensorflow' not in ' '.join(PROJECT['dependencies'])
    assert '-r requirements-tfds.txt' in (ROOT / 'requirements-test.txt').read_text().splitlines()


@pytest.fixture(scope='module')
def installed(tmp_path_factory):
    """A folder in which the wheel is installed alone, as site-packages are, and the wheel."""
    if importlib.util.find_spec('hatchling') is None:
        pytest.skip('hatchling, which builds the wheel, is not installed')
    place = tmp_path_factory.mktemp('package')
    pip = [sys.executable, '-m', 'pip', '--quiet', '--disable-pip-version-check']
    build = [*pip, 'wheel', '--no-deps', '--no-build-isolation', '--no-index', f'--wheel-dir={place}', str(ROOT)]
    subprocess.run(build, check=True)
    (wheel,) = place.glob('*.whl')
    subprocess.run([*pip, 'install', '--no-deps', '--no-index', f'--target={place / "site"}', str(wheel)], check=True)
    return place / 'site', wheel


def run(site, cwd, *arguments):
    environment = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
    environment |= {'JAX_PLATFORMS': 'cpu', 'PYTHONPATH': str(site), 'PYTHONSAFEPATH': '1'}
    return subprocess.run(
        [sys.executable, site / 'bin/ssljax', *arguments], cwd=cwd, env=environment, capture_output=True, text=True
    )


def test_the_wheel_has_the_code_the_recipes_and_nothing_else(installed):
    names = zipfile.ZipFile(installed[1]).namelist()
    inside = {name.removeprefix('ssljax/configs/') for name in names if name.startswith('ssljax/configs/')}
    assert {path.name for path in (ROOT / 'configs').glob('*.py')} <= inside
    assert all(name.startswith(('ssljax/', 'ssljax-')) for name in names)
    assert not any('__pycache__' in name for name in names)
    code = {str(path.relative_to(ROOT)) for path in (ROOT / 'ssljax').rglob('*.py')}
    assert code <= set(names)
    assert any(name.endswith('licenses/LICENSE') for name in names)


def test_the_installed_command_lists_its_verbs(installed, tmp_path):
    done = run(installed[0], tmp_path, '--help')
    assert done.returncode == 0 and 'ssljax VERB' in done.stdout and done.stderr == ''
    assert run(installed[0], tmp_path, 'train', '-h').returncode == 0
    assert run(installed[0], tmp_path, 'trian').returncode == 2


def test_an_installed_package_trains_its_recipe_from_another_directory(installed, tmp_path):
    done = run(installed[0], tmp_path, 'train', '--config=quickstart', *TINY)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / 'runs/quickstart/result.json').read_text())
    assert set(result['summary']) == {'scratch'} and result['versions']['ssljax'] == PROJECT['version']
    assert result['command'].startswith('ssljax train --config=quickstart --config.pretrain.epochs=0 ')
    other = run(installed[0], tmp_path, 'train', '--config=quikstart')
    assert other.returncode == 2 and 'did you mean quickstart' in other.stderr
