"""The command line of a run: each argument is understood, or refused with what was likely meant."""

import os
import re
import sys

from absl import flags

from ssljax import config as configs
from ssljax import fields, paths
from ssljax.fields import brief


def separate(argv: list[str]) -> tuple[list[str], dict]:
    """Takes the config's fields out of a command line.

    Args:
      argv: without the command itself.

    Returns:
      (the other arguments, {field: its value}). Of a field that stands there twice, the last counts, and a line on
      stderr says so.

    Raises:
      ValueError: an unknown field, a value that it cannot have, or an argument without dashes.
    """
    known, rest, values, waiting = configs.definitions(), [], {}, list(argv)
    while waiting:
        arg = waiting.pop(0)
        if not arg.startswith('-'):
            raise ValueError(_without_dashes(arg, known))
        name, mark, written = arg.removeprefix('-').removeprefix('-').partition('=')
        if not re.match(r'[A-Za-z]|\?', name):
            raise ValueError(_no_flag(arg))
        if not name.startswith(('config.', 'noconfig.')):
            rest.append(arg)
            if not mark and waiting and not waiting[0].startswith('-') and _takes_a_value(name):
                rest.append(waiting.pop(0))
            continue
        negated, _, field = name.partition('config.')
        if field not in known:
            raise ValueError(_unknown(field, known))
        switch = isinstance(known[field].default, bool)
        if not mark:
            written = ('False' if negated else 'True') if switch else waiting.pop(0) if waiting else ''
        elif negated:
            raise ValueError(f'{brief(arg)}: write --config.{field}=False.')
        value = fields.read(field, written, known[field])
        if field in values:
            print(f'note: --config.{field} is given twice; the last counts: {value!r}', file=sys.stderr)
        values[field] = value
    return rest, values


def check_recipe(argv: list[str]) -> None:
    """Raises ValueError where --config names nothing that can be a recipe; argv: what `separate` leaves."""
    for i, arg in enumerate(argv):
        name, mark, given = arg.lstrip('-').partition('=')
        if name != 'config':
            continue
        given = given if mark else ''.join(argv[i + 1 : i + 2])
        path = paths.expand(given.split(':')[0])
        if os.path.isdir(path):
            raise ValueError(f'--config={brief(given)} is a folder: give a Python file such as configs/quickstart.py.')
        if not os.path.isfile(path):
            raise ValueError(
                f'--config={brief(given)}: there is no file {fields.shown(path)}{_near_file(path)} (in {os.getcwd()}).'
            )
        if not path.endswith('.py'):
            raise ValueError(f'--config={given} is no Python file: give a recipe such as configs/quickstart.py.')


def recipe(argv: list[str]) -> str | None:
    """The value of --config in what `separate` leaves; None where it is not there."""
    given = None
    for i, arg in enumerate(argv):
        name, mark, written = arg.lstrip('-').partition('=')
        if arg.startswith('-') and name == 'config':
            given = written if mark else ''.join(argv[i + 1 : i + 2])
    return given


def _takes_a_value(name: str) -> bool:
    flag = flags.FLAGS[name] if name in flags.FLAGS else None
    return flag is not None and not flag.boolean


def _without_dashes(arg: str, known: dict) -> str:
    name, mark, written = arg.partition('=')
    field = name.removeprefix('config.')
    if mark and (field in known or name in ('config', 'workdir')):
        meant = f'config.{field}' if field in known else name
        return f'the argument {fields.shown(arg)} has no dashes in front: did you mean --{meant}={brief(written)}?'
    if arg.endswith('.py') or '.py:' in arg:
        return f'the argument {fields.shown(arg)} is not understood: did you mean --config={brief(arg)}?'
    return _no_flag(arg)


def _no_flag(arg: str) -> str:
    said = 'arguments have the form --FLAG=VALUE (--help lists them)'
    return f'the argument {fields.shown(arg)} is not understood: {said}.'


def _unknown(field: str, known: dict) -> str:
    if not field:
        return '--config. names no field: write --config.FIELD=VALUE, for example --config.seeds=0,1,2.'
    inside = [name for name in known if name.startswith(f'{field}.')]
    if inside:
        return f'config.{field} is a part of the config: set one of its fields, such as --config.{inside[0]}=...'
    return f'the config has no field {brief(field)}{configs.nearest(field, known)}'


def _near_file(path: str) -> str:
    folder = os.path.dirname(path) or '.'
    names = [n for n in sorted(os.listdir(folder)) if n.endswith('.py')] if os.path.isdir(folder) else []
    return configs.nearest(os.path.basename(path), names)
