"""Copies of images in folders named by label."""

import contextlib
import re
import shutil
from pathlib import Path
from typing import NamedTuple

from absl import logging

from ssljax.data import archive, walk
from ssljax.storage import paths
from ssljax.storage.disk import disk_errors


class Copies(NamedTuple):
    """target: the folder. folders: {class: the name of its folder}, all different. numbers: {a path in `target`: how
    many files wanted it}. gone: names of images that were predicted, but were no longer there to be copied."""

    target: Path
    folders: dict
    numbers: dict
    gone: list


def begin(copy_to, classes) -> Copies:
    """Makes the folder for the copies.

    Raises:
      FileExistsError: there is something in it.
    """
    target = Path(paths.expand(copy_to))
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise FileExistsError(f'--copy_to={target} exists already and is not empty: give a new folder.')
    return Copies(paths.make_folder(target, '--copy_to'), folders(classes), {}, [])


def copy(copies: Copies, batch, labels: list[list[str]], reader) -> None:
    """Copies what was predicted to TARGET/LABEL, for each of its labels; files of the same name are numbered."""
    for one, said, error in zip(batch.inputs, labels, batch.errors):
        if error or not said:
            continue
        try:
            content = reader(one.key)  # what was predicted, wherever its name leads
        except (OSError, archive.Changed):
            copies.gone.append(one.name)
            continue
        for label in said:
            with disk_errors(copies.target):
                place = _free(copies, label, Path(one.name))
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)
                if reader is walk.read_file:
                    with contextlib.suppress(FileNotFoundError):
                        shutil.copystat(one.key[0], place)


def end(copies: Copies) -> None:
    """Says what could not be copied."""
    if copies.gone:
        logging.warning('%d images were predicted, but changed before they could be copied, such as %r.',
                        len(copies.gone), copies.gone[0])  # fmt: skip


def _free(copies: Copies, label: str, name: Path) -> Path:
    """A path that no copy has yet."""
    place = wanted = copies.target / copies.folders.setdefault(label, safe(label)) / name.name
    number = copies.numbers.get(wanted, 0)
    while not number or place.exists():
        number += 1
        place = wanted if number == 1 else wanted.with_name(f'{name.stem}_{number}{name.suffix}')
    copies.numbers[wanted] = number
    return place


def folders(classes) -> dict[str, str]:
    """{class: a folder's name}, which differ even if case is ignored."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for label in map(str, classes):
        name, number = safe(label), 1
        while name.casefold() in taken:
            number += 1
            name = f'{safe(label)}_{number}'
        taken.add(name.casefold())
        found[label] = name
    return found


def safe(label: str) -> str:
    """A class's name as the name of a folder on any system."""
    return re.sub(r'[\x00-\x1f/\\:*?"<>|]', '_', label).strip(' .') or '_'
