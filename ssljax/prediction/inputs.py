"""The image files that a user wants predictions for: each is an input, whether it can be read or not."""

import os
import zipfile
from collections.abc import Sequence
from typing import NamedTuple

from ssljax.data import folder, pick, table, tars, walk
from ssljax.storage import paths

LISTS = '.csv', '.txt'


class Input(NamedTuple):
    """One image: its name as a user would write it, where `reader` finds it, and why it cannot be read, or ''."""

    name: str
    key: object
    error: str = ''


class Group(NamedTuple):
    """Inputs with the reader that maps their keys to bytes; `portable`: it also works in other processes."""

    reader: object
    inputs: list
    portable: bool = True


def find(given: Sequence) -> list[Group]:
    """What paths stand for: image files; folders and archives, with all images in them; and lists of files, .txt with
    one per line or .csv with a column `path`, relative to the list's folder.

    Raises:
      FileNotFoundError, ValueError: a path, not one in a list, is missing, cannot be read or holds no image.
    """
    groups: list[Group] = []
    for one in given:
        path = paths.expand(one)
        if not os.path.exists(path):
            raise FileNotFoundError(f'There is no image, folder or list {path!r}{paths.obstacle(path)}.')
        if not (os.path.isdir(path) or os.path.isfile(path)):  # reading a pipe or a device would block
            groups.append(Group(walk.read_file, [_file(path, path)]))
        elif os.path.splitext(path)[1].lower() in LISTS:
            groups.append(Group(walk.read_file, [_file(name, full) for name, full in _listed(path)]))
        elif os.path.isdir(path) or zipfile.is_zipfile(path) or tars.is_tar(path):
            groups.append(_inside(path))
        else:
            groups.append(Group(walk.read_file, [_file(path, path)]))
    return groups


def _inside(path: str) -> Group:
    """All images of a folder or an archive."""
    found = folder.listing(path, whole_names=True)
    if not found.names and not found.unreadable:
        raise ValueError(f'There is no image in {path!r}.')
    inputs = [Input(os.path.join(path, name), key) for name, key in zip(found.names, found.keys)]
    why = 'its format cannot be read: save it as PNG or JPEG'
    inputs += [Input(os.path.join(path, name), None, why) for name in found.unreadable]
    return Group(found.reader, sorted(inputs, key=lambda one: one.name), found.portable)


def _file(name: str, path: str) -> Input:
    try:
        return Input(name, walk.key_of(path))
    except OSError as error:
        return Input(name, None, f'it cannot be read ({error.strerror})')
    except ValueError as error:
        return Input(name, None, str(error))


def _listed(path: str) -> list[tuple[str, str]]:
    """(the name as it is written, the path) of each file in a list."""
    if path.lower().endswith('.csv'):
        named = [row.values['path'] for row in table.read(path, 'the list', ('path',)).rows]
        names = [n if os.path.exists(_beside(path, n)) else n.strip() for n in named if n.strip()]
    else:
        names = [line.strip() for line in pick.lines_of(path) if line.strip()]
    if not names:
        raise ValueError(f'The list {path!r} names no file.')
    return [(name, _beside(path, name)) for name in names]


def _beside(path: str, name: str) -> str:
    """The path that a name in a list stands for."""
    return os.path.join(os.path.dirname(path), paths.expand(name))
