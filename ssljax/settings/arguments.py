"""The command line of a run: an argument is understood, or refused with a suggestion."""

import os
import re
import sys

from absl import flags

from ssljax import config as configs
from ssljax.settings import fields, recipes
from ssljax.storage import paths
from ssljax.text import wording
from ssljax.text.wording import brief

SHORT = {'minutes': 'plan.minutes', 'flips': 'plan.flips'}


def separate(argv: list[str]) -> tuple[list[str], dict]:
    """Takes the config's fields out of a command line.

    Args:
      argv: without the command itself.

    Returns:
      (the other arguments, {field: its value}). If a field is given twice, the last counts, with a note on stderr.

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
            print(f'note: --config.{field} is given twice; using the last: {value!r}', file=sys.stderr)
        values[field] = value
    return rest, values


def spelled(argv: list[str]) -> list[str]:
    """A command line with --minutes and --flips, of plans, replaced by the fields that they stand for."""
    found = []
    for arg in argv:
        name, mark, value = arg.partition('=')
        short = SHORT.get(name.lstrip('-')) if name.startswith('-') else None
        found.append(f'--config.{short}{mark}{value}' if short else arg)
    return found


def find_recipe(argv: list[str]) -> list[str]:
    """`argv`, what `separate` leaves, with the path of the recipe if --config gives only its name.

    Raises:
      ValueError: --config names nothing that can be a recipe.
    """
    argv = list(argv)
    for i, mark, given in _recipes(argv):
        found = recipes.meant(given)
        file, bare = found.split(':')[0], given.split(':')[0]
        _check_recipe(given, paths.expand(file))
        if file == f'{bare}.py' and bare in recipes.names():
            print(
                f'note: --config={given} is the file {file} in this folder, not the bundled recipe of that name',
                file=sys.stderr,
            )
        if found != given:
            argv[i if mark else i + 1] = f'--config={found}' if mark else found
    return argv


def _recipes(argv: list[str]) -> list[tuple[int, str, str]]:
    """(place, '=' or '', value) of each --config=VALUE or --config VALUE."""
    parts = [(i, *arg.lstrip('-').partition('=')) for i, arg in enumerate(argv) if arg.startswith('-')]
    return [
        (i, mark, value if mark else ''.join(argv[i + 1 : i + 2])) for i, name, mark, value in parts if name == 'config'
    ]


def _check_recipe(given: str, path: str) -> None:
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError(f'--config={brief(given)} is {paths.kind(path)}: give a recipe such as configs/quickstart.py.')
    if not os.path.isfile(path):
        raise ValueError(
            f'--config={brief(given)}: there is no file {wording.shown(path)}{_near_file(path)} (in {os.getcwd()}).'
        )
    if not path.endswith('.py'):
        raise ValueError(f'--config={brief(given)} is not a Python file: give a recipe such as configs/quickstart.py.')


def recipe(argv: list[str]) -> str | None:
    """The value of --config in what `separate` or `find_recipe` leaves; None if it is not there."""
    return next((given for _, _, given in reversed(_recipes(argv))), None)


def _takes_a_value(name: str) -> bool:
    flag = flags.FLAGS[name] if name in flags.FLAGS else None
    return flag is not None and not flag.boolean


def _without_dashes(arg: str, known: dict) -> str:
    name, mark, written = arg.partition('=')
    field = name.removeprefix('config.')
    if mark and (field in known or name in ('config', 'workdir')):
        meant = f'config.{field}' if field in known else name
        return f'the argument {wording.shown(arg)} is missing its dashes: did you mean --{meant}={brief(written)}?'
    if arg.endswith('.py') or '.py:' in arg:
        return f'the argument {wording.shown(arg)} is not understood: did you mean --config={brief(arg)}?'
    return _no_flag(arg)


def _no_flag(arg: str) -> str:
    said = 'arguments have the form --FLAG=VALUE (--help lists them)'
    return f'the argument {wording.shown(arg)} is not understood: {said}.'


def _unknown(field: str, known: dict) -> str:
    if not field:
        return '--config. does not name a field: write --config.FIELD=VALUE, for example --config.seeds=0,1,2.'
    inside = [name for name in known if name.startswith(f'{field}.')]
    if inside:
        return f'config.{field} is a section of the config: set one of its fields, such as --config.{inside[0]}=...'
    return f'the config has no field {brief(field)}{wording.nearest(field, known)}'


def _near_file(path: str) -> str:
    folder, name = os.path.split(path)
    if name == path and name.removesuffix('.py') in recipes.names():
        return f'; the bundled recipe is --config={name.removesuffix(".py")}'
    names = [n for n in sorted(os.listdir(folder or '.')) if n.endswith('.py')] if os.path.isdir(folder or '.') else []
    return wording.nearest(name, names)
