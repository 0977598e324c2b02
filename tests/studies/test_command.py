import os
import subprocess
import sys

import pytest

RECIPE = """
from ssljax.config import base
def get_config():
    c = base()
    c.name = 'small'
    c.data.update(source='synthetic:8x8x1:3', labels='5/class', val='60')
    c.pretrain.method = 'none'
    c.transfer.ways = ('scratch',)
    c.transfer.scratch.update(steps=6, evals=2)
    c.study.together = 1
    c.transfer.batch_size = 16
    return c
def sweep(config):
    return [{'transfer.mixup': a} for a in (0.2, 0.5)]
"""


@pytest.fixture
def command(tmp_path):
    (tmp_path / 'recipe.py').write_text(RECIPE)

    def run(*arguments):
        line = [sys.executable, '-m', 'ssljax.study', f'--config={tmp_path}/recipe.py', f'--workdir={tmp_path}/out']
        environment = dict(os.environ, JAX_PLATFORMS='cpu')
        return subprocess.run([*line, *arguments], env=environment, capture_output=True, text=True)

    return run


def test_the_sweep_of_a_config_file_and_another(command, tmp_path):
    """Several workers are in tests/slow."""
    done = command('--config.seeds=(0,)')
    assert done.returncode == 0, done.stderr
    page = (tmp_path / 'out/study.html').read_text()
    assert 'transfer.mixup=0.5' in page and 'python -m ssljax.study --config=' in page
    assert len((tmp_path / 'out/rows.csv').read_text().splitlines()) == 1 + 3
    again = command('--config.seeds=(0,)', '--sweep=transfer.dropout=0.5')
    assert again.returncode == 0 and '[2/2]' in again.stderr and '[1/2]' not in again.stderr


def test_mistakes_are_told_at_once(command):
    for arguments, message in (
        (['--sweep=transfer.mixd=1'], 'did you mean transfer.mixup'),
        (['--workers=4096'], 'start at most'),
    ):
        told = command(*arguments)
        assert told.returncode == 1 and message in told.stderr and 'Traceback' not in told.stderr
