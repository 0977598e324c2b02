"""Arrays of an .npz: what is declared is checked before anything is allocated."""

import io
import math
import os
import zipfile
import zlib

import numpy as np
from absl import logging

from ssljax.data.memory import available_memory
from ssljax.storage import paths

_HEADER = 10_000  # bytes of an array's header at most, as in numpy
_PARSERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_ERRORS = (
    ValueError, OSError, EOFError, TypeError, AttributeError, SyntaxError, RuntimeError, NotImplementedError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


class Npz:
    """The arrays of an .npz, read when they are asked for.

    Attributes:
      path: the file.
      declared: {name: (shape, dtype)}.
    """

    def __init__(self, path: str, given: str):
        """Reads the headers.

        Args:
          path: of the file; `given` is the field's value, for messages.

        Raises:
          FileNotFoundError: there is no such path.
          ValueError: it is not an .npz of plain arrays.
        """
        self.path, self.declared = paths.expand(path), {}
        if not os.path.exists(self.path):
            raise FileNotFoundError(f'There is no file {self.path!r} ({given!r} was given){paths.obstacle(self.path)}.')
        try:
            if not os.path.isfile(self.path):
                raise ValueError(f'it is {paths.kind(self.path)}')
            with zipfile.ZipFile(self.path) as archive:
                for entry in archive.infolist():
                    if entry.filename.endswith('.npy'):
                        name = entry.filename.removesuffix('.npy')
                        self.declared[name] = _declared(archive, entry)
        except _ERRORS as e:
            raise ValueError(f'{self.path!r} cannot be read as an .npz of plain arrays: {e}.') from e

    def read(self, names) -> dict:
        """{name: array}.

        Raises:
          ValueError: they do not fit the free memory, or are damaged.
        """
        size, free = sum(_size(*self.declared[name]) for name in names), available_memory()
        if free is not None and size > free:
            largest = max(names, key=lambda name: _size(*self.declared[name]))
            raise ValueError(
                f'The arrays of {self.path!r} take {size / 2**30:,.1f} GiB (the largest is {largest}, '
                f'{list(self.declared[largest][0])}), but only {free / 2**30:,.1f} GiB of memory is free.'
            )
        try:
            with np.load(self.path, allow_pickle=False) as f:
                return {name: f[name] for name in names}
        except _ERRORS as e:
            raise ValueError(f'{self.path!r} cannot be read as an .npz of plain arrays: {e}.') from e


def _declared(archive, entry) -> tuple:
    """(shape, dtype) of an array, if it is as large as the archive says. Only the header is read."""
    with archive.open(entry) as f:
        start = io.BytesIO(f.read(_HEADER + 12))
    version = np.lib.format.read_magic(start)
    if version not in _PARSERS:
        raise ValueError(f'{entry.filename} has fields, or an unknown format')
    shape, _, dtype = _PARSERS[version](start)
    if dtype.hasobject:
        raise ValueError(f'{entry.filename} holds Python objects, which are not read')
    if any(n < 0 for n in shape) or start.tell() + _size(shape, dtype) != entry.file_size:
        raise ValueError(
            f'{entry.filename} claims to be {dtype} {list(shape)}, {_size(shape, dtype):,} bytes, but has '
            f'{entry.file_size - start.tell():,}'
        )
    return shape, dtype


def _size(shape, dtype) -> int:
    return math.prod(map(int, shape)) * dtype.itemsize


def check_images(shape, dtype, name: str, path: str, most: int) -> None:
    """Raises ValueError unless an array of that shape and type is uint8 [N, H, W] or [N, H, W, C], of 1 to 4 channels
    and at most `most` pixels per image."""
    whole = (*shape, 1) if len(shape) == 3 else shape
    if dtype != np.uint8 or len(whole) != 4 or not 1 <= whole[3] <= 4 or 0 in whole[1:]:
        raise ValueError(
            f'{name} in {path!r} must be uint8 [N, H, W] or [N, H, W, C] with 1 to 4 channels, got '
            f'{dtype} {list(shape)}.'
        )
    if whole[1] * whole[2] > most:
        raise ValueError(
            f'{name} in {path!r}: images of {whole[1]:,} x {whole[2]:,} pixels are more than '
            f'config.data.max_pixels={most}.'
        )


def check_labels(shape, dtype, count: int, name: str, path: str) -> None:
    """Raises ValueError unless an array of that shape and type can be the labels of `count` images, numbers or
    one-hot."""
    if len(shape) not in (1, 2) or 0 in shape[1:] or dtype.kind not in 'iubf':
        raise ValueError(
            f'{name} in {path!r} must be integers [N] or [N, 1], -1 where unknown, or one-hot [N, K], got {dtype} '
            f'{list(shape)}.'
        )
    if shape[0] != count:
        raise ValueError(f'There must be one label per image: {path!r} has {shape[0]} {name} for {count} images.')


def labels(array, classes: int | None, name: str, path: str):
    """Labels as int32 [N], checked in their own type.

    Args:
      array: [N] or [N, 1], bool, integers, or whole numbers as floats; -1 where unknown. Or [N, K], one-hot: the
        place of the 1 is the class, and a warning says so.
      classes: how many there are; None for training labels, of which there are at most as many as images.
      name, path: for messages.

    Raises:
      ValueError: they are not whole numbers, or below -1, or too large, or several per image.
    """
    array = _places(array, name, path) if array.ndim == 2 and array.shape[1] > 1 else array.reshape(len(array))
    if array.dtype.kind == 'f' and not (np.isfinite(array) & (array == np.floor(array))).all():
        odd = array[~(np.isfinite(array) & (array == np.floor(array)))][0]
        raise ValueError(f'{name} in {path!r} must be integers, -1 where unknown, got {odd} ({array.dtype}).')
    low, high = (int(array.min()), int(array.max())) if len(array) else (-1, -1)
    if low < -1:
        raise ValueError(f'{name} in {path!r} must be integers, -1 where unknown, got {low}.')
    if classes is None and high + 1 > len(array):
        raise ValueError(
            f'{name} in {path!r} go up to {high}, which makes {high + 1} classes of {len(array)} training images: '
            'number the classes from 0, without gaps.'
        )
    if classes is not None and high >= classes:
        raise ValueError(f'{name} in {path!r} go up to {high}, but train_labels only to {classes - 1}.')
    return array.astype(np.int32)


def are_sets(arrays) -> bool:
    """Whether labels name several classes per image: all are [N, K] of 0 and 1, or -1 in a whole row if unknown, and
    some row has no 1 or more than one."""
    if not all(a.ndim == 2 and a.shape[1] > 1 for a in arrays) or len({a.shape[1] for a in arrays}) > 1:
        return False
    binary = all((((a == 0) | (a == 1)).all(1) | (a == -1).all(1)).all() for a in arrays)
    return binary and any((a[a[:, 0] >= 0].sum(1, dtype=np.float64) != 1).any() for a in arrays)


def sets(arrays: dict, path: str) -> tuple[dict, np.ndarray]:
    """({name: labels int32 [N], -1 where unknown}, sets uint8 [S, K]) of {name: [N, K]} as `are_sets` describes them.

    Raises:
      ValueError: they are not.
    """
    for name, array in arrays.items():
        if array.ndim != 2 or not (((array == 0) | (array == 1)).all(1) | (array == -1).all(1)).all():
            raise ValueError(
                f'{name} in {path!r} is {array.dtype} {list(array.shape)}: several classes per image '
                '(--config.data.multilabel=yes) are [N, K] of 0 and 1, with -1 in a whole row where they are unknown.'
            )
    if len({array.shape[1] for array in arrays.values()}) > 1:
        shapes = ', '.join(f'{name} {list(array.shape)}' for name, array in arrays.items())
        raise ValueError(f'{path!r} has labels with different numbers of classes: {shapes}.')
    whole = np.concatenate(list(arrays.values())).astype(np.int8)
    known = whole[:, 0] >= 0
    table, place = np.unique(whole[known], axis=0, return_inverse=True)
    labels = np.full(len(whole), -1, np.int32)
    labels[known] = place.ravel()
    parts = np.split(labels, np.cumsum([len(a) for a in arrays.values()])[:-1])
    return dict(zip(arrays, parts)), table.astype(np.uint8)


def _places(array, name, path):
    """The place of the 1 in each row of [N, K]."""
    good = ((array == 0) | (array == 1)).all(1) & (array.sum(1, dtype=np.float64) == 1)
    if not good.all():
        row = int(np.flatnonzero(~good)[0])
        raise ValueError(
            f'{name} in {path!r} is {list(array.shape)}, but not one-hot: row {row} is not a single 1 among zeros. '
            "Give one number per image, [N], -1 where it is unknown (for scores, labels.argmax(1) gives each image's "
            'highest); several classes per image are 0 and 1 in [N, K], with --config.data.multilabel=yes or auto.'
        )
    logging.warning('%s in %r is one-hot, %s: the position of the 1 is the class.', name, path, list(array.shape))
    return array.argmax(1)
