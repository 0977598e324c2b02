"""Recipes by name, for --config=NAME and for Python."""

import re
from pathlib import Path

import pytest

from ssljax.settings import arguments, recipe_faults, recipes
from ssljax.settings.checks import check

CONFIGS = Path(__file__).resolve().parent.parent / 'configs'
MINE = 'from ssljax.config import base\nget_config = base\n'


def test_a_recipe_is_a_config_whose_fields_can_be_set():
    config = recipes.recipe('quickstart')
    config.pretrain.epochs = 2.0
    check(config)
    assert config.name == 'quickstart' and config.pretrain.epochs == 2
    with pytest.raises(AttributeError):
        config.pretrain.epoch = 2


def test_a_recipe_takes_its_argument_apart_or_after_a_colon():
    apart = recipes.recipe('pretext_cifar10', 'jigsaw')
    assert apart == recipes.recipe('pretext_cifar10:jigsaw') and apart.pretrain.method == 'jigsaw'
    assert recipes.recipe('pretext_cifar10').pretrain.method == 'rotation'


@pytest.mark.parametrize(
    'given, told',
    [
        (('quikstart',), 'did you mean quickstart.*the recipes: alexnet_rotnet, .*sgan_circles'),
        (('../setup',), "no recipe '../setup'"),
        (('',), "no recipe ''"),
        (('quickstart', 'x'), "quickstart takes no argument, but was given 'x'"),
        (('pretext_cifar10', 'jigsw'), 'did you mean jigsaw'),
        (('pretext_cifar10:jigsaw', 'mae'), "two arguments, 'jigsaw' and 'mae'"),
    ],
)
def test_what_is_no_recipe_is_told_what_there_is(given, told):
    with pytest.raises(ValueError, match=told):
        recipes.recipe(*given)


def test_every_recipe_has_a_name():
    assert recipes.names() == sorted(path.stem for path in CONFIGS.glob('*.py'))


@pytest.mark.parametrize('mark', ['=', ' '])
def test_a_bare_name_is_a_recipe_from_any_directory(tmp_path, monkeypatch, mark):
    monkeypatch.chdir(tmp_path)
    for given, file in (('quickstart', 'quickstart.py'), ('pretext_cifar10:jigsaw', 'pretext_cifar10.py:jigsaw')):
        found = arguments.find_recipe(['--workdir=x', *f'--config{mark}{given}'.split()])
        assert found == ['--workdir=x', *f'--config{mark}{CONFIGS / file}'.split()]


def test_a_file_in_the_current_directory_goes_before(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ('mine.py', 'quickstart.py'):
        (tmp_path / name).write_text(MINE)
    for given, found, note in (
        ('mine', 'mine.py', False),
        ('mine:x', 'mine.py:x', False),
        ('mine.py', 'mine.py', False),
        ('quickstart.py', 'quickstart.py', False),
        ('quickstart', 'quickstart.py', True),
        ('./quickstart.py', './quickstart.py', False),
        (str(tmp_path / 'mine.py'), str(tmp_path / 'mine.py'), False),
    ):
        assert arguments.find_recipe([f'--config={given}']) == [f'--config={found}']
        assert ('not the bundled recipe of that name' in capsys.readouterr().err) == note
    (tmp_path / 'rotnet').mkdir()
    assert arguments.find_recipe(['--config=rotnet']) == [f'--config={CONFIGS / "rotnet.py"}']


@pytest.mark.parametrize(
    'given, told',
    [
        ('quikstart', 'did you mean quickstart'),
        ('quickstart.py', 'the bundled recipe is --config=quickstart'),
        ('configs/quickstart', 'there is no file'),
        ('plain', 'is not a Python file'),
        ('.', 'is a folder'),
        ('', 'there is no file'),
    ],
)
def test_what_cannot_be_a_recipe_is_refused(given, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'plain').write_text('')
    with pytest.raises(ValueError, match=told):
        arguments.find_recipe([f'--config={given}'])


@pytest.mark.filterwarnings('ignore:.*load_module')
@pytest.mark.parametrize(
    'text, argument, told',
    [
        ('def get_config(): return 1', ':x', "takes no argument, but was given 'x'"),
        ('def get_config(task): return 1', '', 'needs an argument'),
        ('def get_config(): raise ValueError("so is it")', '', 'line 1: ValueError: so is it$'),
        ('', '', 'has no function get_config'),
        ('def', '', 'is not valid Python'),
    ],
)
def test_a_recipe_that_cannot_be_read_is_told_in_one_line(text, argument, told, tmp_path):
    from ml_collections.config_flags import config_flags

    (tmp_path / 'mine.py').write_text(text)
    given = f'{tmp_path}/mine.py{argument}'
    with pytest.raises(Exception) as error:
        config_flags.ConfigFileFlagParser(tmp_path.name).parse(given)
    message = recipe_faults.why_not(error.value, given)
    assert re.search(told, message) and '\n' not in message
