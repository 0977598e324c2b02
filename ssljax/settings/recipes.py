"""Recipes by name: the files of configs/, which are part of the package."""

import os
from pathlib import Path
from types import ModuleType

from ml_collections import ConfigDict

from ssljax.text import wording

_HERE = Path(__file__).parents[1]  # the package
FOLDERS = _HERE / 'configs', _HERE.parent / 'configs'  # of an installed package; of a checkout


def recipe(name: str, argument: str | None = None) -> ConfigDict:
    """The config of a recipe of the package, to be changed and trained.

    Args:
      name: such as 'quickstart'; 'pretext_cifar10:jigsaw' has the argument in it, as --config has it.
      argument: of a recipe that takes one, such as the task of 'pretext_cifar10'.

    Returns:
      A ConfigDict whose fields can be set, but to which none can be added.

    Raises:
      ValueError: no recipe has this name, it does not take the argument, or it needs one.
    """
    name, colon, inside = name.partition(':')
    if colon and argument is not None:
        raise ValueError(f'the recipe {name} is given two arguments, {inside!r} and {argument!r}: give one.')
    arguments = [inside] if colon else [] if argument is None else [argument]
    module = module_of(find(name))
    try:
        return module.get_config(*arguments).lock()
    except TypeError as e:
        if 'get_config()' not in str(e):
            raise
        raise ValueError(takes(name, *arguments)) from e


def module_of(file: str) -> ModuleType:
    """The module of a recipe's file, loaded again at each call."""
    module = ModuleType('recipe')
    module.__file__ = file
    exec(compile(Path(file).read_bytes(), file, 'exec'), module.__dict__)
    return module


def find(name: str) -> str:
    """The file of a bundled recipe; raises ValueError if none has that name."""
    known = names()
    if name not in known:
        near = wording.nearest(name, known)
        raise ValueError(f'there is no recipe {wording.shown(name)}{near} (the recipes: {", ".join(known)})')
    return str(folder() / f'{name}.py')


def names() -> list[str]:
    """The names of all bundled recipes."""
    return sorted(path.stem for path in folder().glob('*.py'))


def folder() -> Path:
    """The folder of the bundled recipes."""
    return next(filter(Path.is_dir, FOLDERS), FOLDERS[0])


def meant(given: str) -> str:
    """What --config=`given` stands for: the file, and the argument after a colon, of a recipe that is given by its name
    alone. A file of that name, with or without .py, in the current directory takes precedence over a recipe of the
    package; paths stay as they are.

    Raises:
      ValueError: a bare name that no recipe has.
    """
    name, colon, argument = given.partition(':')
    bare = name and os.path.basename(name) == name and not name.startswith('~') and not name.endswith('.py')
    if not bare or os.path.isfile(name):
        return given
    if os.path.isfile(f'{name}.py'):
        return f'{name}.py{colon}{argument}'
    if os.path.exists(name) and name not in names():
        return given
    return f'{find(name)}{colon}{argument}'


def takes(name: str, *given) -> str:
    """What is wrong if a recipe takes no argument, but was given one, or needs one and was given none."""
    if given:
        return f'the recipe {name} takes no argument, but was given {wording.shown(given[0])}: write --config={name}.'
    return f'the recipe {name} needs an argument, for example --config={name}:NAME; its docstring lists them.'
