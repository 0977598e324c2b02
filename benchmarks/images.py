"""The image files of `benchmarks.input`: a sample of an archive, as a .zip and as a folder."""

import os
import zipfile
from pathlib import Path

import numpy as np

from ssljax.data import folder, layout

ZIP, FOLDER = 'images.zip', 'images'


def sample(path: str, count: int, root: Path) -> int:
    """Writes `count` training images of a folder or archive of class folders, drawn at random, and one a class for
    test, to root/images.zip (stored) and, the same files, to root/images; returns how many training images these are.

    Raises:
      FileNotFoundError, ValueError: as for folder.listing and layout.layout.
    """
    path = os.path.expanduser(path)
    files = folder.listing(path)
    classes, splits = layout.layout(files, path)
    numbers, labels = splits['train']
    drawn = np.sort(np.random.default_rng(0).permutation(len(numbers))[:count])
    with zipfile.ZipFile(root / ZIP, 'w', zipfile.ZIP_STORED) as archive:

        def put(split, row):
            name = f'{split}/{classes[labels[row]]}/{Path(files.names[numbers[row]]).name}'
            data = files.read(numbers[row])
            archive.writestr(name, data)
            (root / FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
            (root / FOLDER / name).write_bytes(data)

        for row in drawn:
            put('train', row)
        for label in np.unique(labels[drawn]):
            put('test', drawn[labels[drawn] == label][0])
    os.sync()  # what is not on the disk cannot be forgotten, either (worker.forget)
    return len(drawn)
