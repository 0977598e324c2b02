"""The command line of a run: each argument is understood, or refused with what was likely meant."""

import os
import sys

from absl import flags

from ssljax import config as configs
from ssljax import fields, paths


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
        name, mark, written = arg.lstrip('-').partition('=')
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
            raise ValueError(f'{arg}: write --config.{field}=False.')
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
        if os.path.exists(path) and not os.path.isfile(path):
            raise ValueError(f'--config={given} is {paths.kind(path)}: give a recipe such as configs/quickstart.py.')
        if not os.path.isfile(path):
            raise ValueError(f'--config={given}: there is no file {path!r}{_near_file(path)} (in {os.getcwd()}).')
        if not path.endswith('.py'):
            raise ValueError(f'--config={given} is no Python file: give a recipe such as configs/quickstart.py.')


def why_not(error: BaseException, argv: list[str]) -> str:
    """What is wrong with a recipe that raised `error` while it was read."""
    given = next((a.partition('=')[2] for a in argv if a.lstrip('-').startswith('config=')), '')
    text = str(error)
    if isinstance(error, TypeError) and 'get_config()' in text:
        file, colon, argument = given.partition(':')
        if colon:
            return f'the recipe {file} takes no argument, but was given {argument!r}: write --config={file}.'
        return f'the recipe {file} needs an argument, for example --config={file}:NAME; its first lines say which.'
    if isinstance(error, AttributeError) and 'get_config' in text:
        return f'the recipe {given} has no function get_config, which returns the config.'
    if isinstance(error, SyntaxError):
        where = f'{os.path.basename(error.filename or given)}, line {error.lineno}'
        return f'the recipe {given} is not valid Python: {error.msg} ({where}).'
    if isinstance(error, (flags.Error, ValueError, OSError)):
        return text
    return f'the recipe {given} cannot be read: {type(error).__name__}: {text}.'


def _takes_a_value(name: str) -> bool:
    flag = flags.FLAGS[name] if name in flags.FLAGS else None
    return flag is not None and not flag.boolean


def _without_dashes(arg: str, known: dict) -> str:
    name, mark, written = arg.partition('=')
    field = name.removeprefix('config.')
    if mark and (field in known or name in ('config', 'workdir')):
        meant = f'config.{field}' if field in known else name
        return f'the argument {arg!r} has no dashes in front: did you mean --{meant}={written}?'
    if arg.endswith('.py') or '.py:' in arg:
        return f'the argument {arg!r} is not understood: did you mean --config={arg}?'
    return f'the argument {arg!r} is not understood: arguments have the form --FLAG=VALUE (--help lists them).'


def _unknown(field: str, known: dict) -> str:
    inside = [name for name in known if name.startswith(f'{field}.')]
    if inside:
        return f'config.{field} is a part of the config: set one of its fields, such as --config.{inside[0]}=...'
    return f'the config has no field {field}{configs.nearest(field, known)}'


def _near_file(path: str) -> str:
    folder = os.path.dirname(path) or '.'
    names = [n for n in sorted(os.listdir(folder)) if n.endswith('.py')] if os.path.isdir(folder) else []
    return configs.nearest(os.path.basename(path), names)
