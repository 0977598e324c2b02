"""Recipes that raise or return anything: one line, with the file and the line in it."""

import sys

import pytest

from ssljax import config as configs
from ssljax import main
from ssljax.settings import checks, recipe_faults

BEGIN = 'from ssljax.config import base\ndef get_config():\n    c = base()\n    '
BAD = {
    'get_config = 5': 'get_config is not a function',
    'def get_config(a): return a': 'needs an argument',
    'x = 1': 'has no function get_config',
    'def get_config(:': 'not valid Python: invalid syntax (r.py, line 1)',
    'import sys\nsys.exit(3)': 'line 2 ends the process (SystemExit: 3)',
    'raise KeyboardInterrupt': 'line 1: KeyboardInterrupt',
    'raise BaseException("x")': 'line 1: BaseException: x',
    f'{BEGIN}c.seeds = 5': "line 4: TypeError: Could not override field 'seeds'",
    f'{BEGIN}raise ValueError("bad\\nthing")': 'line 4: ValueError: bad thing',
    f'{BEGIN}open("/nowhere/x")': "line 4: FileNotFoundError: [Errno 2] No such file or directory: '/nowhere/x'",
    'open("/nowhere/x")': "[Errno 2] No such file or directory: '/nowhere/x'",
    f'{BEGIN}pass': 'returns nothing: end it by returning',
    f'{BEGIN}return 5': 'does not return a config, but 5',
    f'{BEGIN}return c.to_dict()': "does not return a config, but {'",
    f'{BEGIN}from ml_collections import FrozenConfigDict\n    return FrozenConfigDict(c)': 'FrozenConfigDict, which',
}


@pytest.mark.parametrize('text', BAD)
def test_a_bad_recipe_is_one_line(tmp_path, capsys, monkeypatch, text):
    monkeypatch.delitem(sys.modules, 'config_config', raising=False)  # ml_collections would load into the last one
    (tmp_path / 'r.py').write_text(text)
    for more in ((), ('--config.log_every=3',)):
        with pytest.raises(SystemExit) as error:
            main.parse(['main', f'--config={tmp_path}/r.py', *more])
        said = capsys.readouterr().err
        assert error.value.code == 2 and BAD[text] in said and f'{tmp_path}/r.py' in said
        assert said.startswith('error: ') and said.count('\n') == 1


def test_an_argument_where_none_is_taken():
    error = TypeError('get_config() takes 0 positional arguments but 1 was given')
    assert 'takes no argument, but was given' in recipe_faults.why_not(error, 'configs/rotnet.py:5')


@pytest.mark.parametrize('part', ['', 'pretrain'])
def test_a_name_that_is_no_text(part):
    config = configs.base().unlock()
    (config[part] if part else config)[3] = 4
    with pytest.raises(ValueError, match=f'^{part or "the config"} has a field whose name is not a string'):
        checks.check(config)
