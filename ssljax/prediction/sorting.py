"""Copies of images in folders of their labels."""

import re
import shutil
from pathlib import Path

from ssljax import paths
from ssljax.disk import disk_errors


def begin(copy_to) -> Path:
    """The folder for the copies, made.

    Raises:
      FileExistsError: there is something in it.
    """
    target = Path(paths.expand(copy_to))
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise FileExistsError(f'--copy_to={target} exists already and is not empty: give a new folder.')
    return paths.make_folder(target, '--copy_to')


def copy(target: Path, batch, labels: list[str], reader) -> None:
    """Copies what was predicted to TARGET/LABEL; of files of the same name each gets a number."""
    for one, label, error in zip(batch.inputs, labels, batch.errors):
        if error or not label:
            continue
        folder, name = target / safe(label), Path(one.name)
        with disk_errors(target):
            folder.mkdir(parents=True, exist_ok=True)
            place, number = folder / name.name, 1
            while place.exists():
                number += 1
                place = folder / f'{name.stem}_{number}{name.suffix}'
            if name.is_file():
                shutil.copy2(name, place)
            else:  # inside an archive, or from a list
                place.write_bytes(reader(one.key))


def safe(label: str) -> str:
    """A class's name as the name of a folder on any system."""
    return re.sub(r'[\x00-\x1f/\\:*?"<>|]', '_', label).strip(' .') or '_'
