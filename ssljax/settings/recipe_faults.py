"""What is wrong with a recipe, which is the user's own code and can raise or return anything: one line that names the
file and, if it is known, the line."""

import os
import traceback

from absl import flags
from ml_collections import ConfigDict, FrozenConfigDict

from ssljax.settings import recipes
from ssljax.storage import paths
from ssljax.text import wording

BASE = 'return the config that ssljax.config.base() makes'
WRAPPED = 'Error whilst parsing config file', 'Configuration is not available because of'  # of ml_collections


def why_not(error: BaseException, given: str, path: str = '') -> str:
    """What is wrong with a recipe that raised `error` while it was read.

    Args:
      given: the value of --config.
      path: the file that it stands for, if that is another.
    """
    if isinstance(error, flags.IllegalFlagValueError) and not str(error).startswith('flag --config='):
        return wording.one_line(error).removeprefix('flag ')
    error = _original(error)
    file, colon, argument = given.partition(':')
    line, text = _line(error, (path or file).partition(':')[0]), wording.one_line(error)
    if isinstance(error, flags.Error) and line is None:
        return text  # of another argument
    if isinstance(error, SyntaxError):
        where = f'{os.path.basename(error.filename or file)}, line {error.lineno}'
        return f'the recipe {file} is not valid Python: {error.msg} ({where}).'
    if line is None and isinstance(error, AttributeError) and 'get_config' in text:
        return f'the recipe {file} has no function get_config that returns the config.'
    if line is None and isinstance(error, TypeError):
        if 'get_config()' not in text:
            return f'in the recipe {file} get_config is not a function: write `def get_config():` and {BASE}.'
        return recipes.takes(file, *[argument] * bool(colon))
    where = f'the recipe {file}' + (f', line {line}' if line else '')
    if isinstance(error, SystemExit):
        return f'{where} ends the process ({type(error).__name__}: {text}): a recipe must {BASE}.'
    return f'{where}: {type(error).__name__}' + (f': {text}' if text else '')


def raised_in(error: BaseException, given: str) -> bool:
    """Whether `error` came out of the recipe's own code."""
    return _line(_original(error), given.partition(':')[0]) is not None


def check_returned(config, given: str) -> None:
    """Raises ValueError if a recipe returned no config."""
    file = given.partition(':')[0]
    if isinstance(config, FrozenConfigDict):
        raise ValueError(f'the recipe {file} returns a FrozenConfigDict, which no --config.FIELD could change: {BASE}.')
    if isinstance(config, ConfigDict):
        return
    try:
        getattr(config, 'lock')  # noqa: B009 ml_collections raises what the recipe did here
    except OSError as e:
        raise ValueError(why_not(e, given)) from e
    except AttributeError:
        pass
    if config is None:
        raise ValueError(f'get_config of the recipe {file} returns nothing: end it by returning the config.')
    raise ValueError(f'get_config of the recipe {file} does not return a config, but {wording.shown(config)}: {BASE}.')


def _original(error: BaseException) -> BaseException:
    """The error as the recipe raised it: absl and ml_collections wrap some in others."""
    while isinstance(error, flags.Error) or str(error).startswith(WRAPPED):
        inner = error.__cause__ or error.__context__
        if inner is None:
            break
        error = inner
    return error


def _line(error: BaseException, file: str) -> int | None:
    """The last line of a file that an error went through."""
    path = os.path.abspath(paths.expand(file))
    found = [n for frame, n in traceback.walk_tb(error.__traceback__) if _is(frame.f_code.co_filename, path)]
    return found[-1] if found else None


def _is(filename: str, path: str) -> bool:
    return os.path.abspath(filename) == path
