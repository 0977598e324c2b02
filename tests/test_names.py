"""A verb has a file and a function of the same name: both are there, whichever was imported first."""

import subprocess
import sys

import pytest

from ssljax import api, verbs

BOTH = [verb for verb in verbs.VERBS if verb in api.__all__]

CODE = """
import importlib, inspect, sys
import ssljax
from unittest import mock

verb, first = sys.argv[1:]
if first == 'function':
    assert inspect.isfunction(getattr(ssljax, verb))
module = importlib.import_module(f'ssljax.{verb}')
assert module is sys.modules[f'ssljax.{verb}'] is getattr(ssljax, verb)
assert getattr(ssljax, verb).__file__.endswith(f'{verb}.py')
assert ssljax.load and ssljax.recipe  # what imports the rest leaves the module where it is
assert module is getattr(ssljax, verb) and callable(module)
from ssljax import api
with mock.patch.object(api, verb, return_value='called') as function:
    assert getattr(ssljax, verb)(1, two=2) == 'called'
function.assert_called_once_with(1, two=2)
"""


def test_every_function_of_a_verb_is_looked_at():
    assert BOTH == ['check', 'plan', 'train', 'study', 'predict', 'label', 'export']


@pytest.mark.parametrize('first', ['function', 'module'])
@pytest.mark.parametrize('verb', BOTH)
def test_the_module_can_be_called_like_the_function(verb, first):
    subprocess.run([sys.executable, '-c', CODE, verb, first], check=True)


def test_a_module_that_is_no_function_stays_one():
    import ssljax
    import ssljax.report
    import ssljax.tune

    assert not callable(ssljax.report) and not callable(ssljax.tune)
    with pytest.raises(AttributeError, match="has no attribute 'exprt'"):
        ssljax.exprt  # noqa: B018
