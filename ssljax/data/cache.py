"""Decoded images on disk: made once, then mapped into memory by every run of the same images."""

import errno
import fcntl
import os
import shutil
from typing import NamedTuple

import numpy as np
from absl import logging

from ssljax import files, paths
from ssljax.data import decode


class Decoded(NamedTuple):
    """The decoded images of a set.

    Attributes:
      pixels: uint8 [N, H, W, C], mapped from a file and read-only; 0 for corrupt images.
      corrupt: {row: why it cannot be decoded}.
    """

    pixels: np.ndarray
    corrupt: dict


def decoded(images, directory):
    """The Decoded of a set, from `directory`, where it is made first if it is not there.

    The pixels lie in an .npy file named after `images.identity()`, so that other files, another size or another decoder
    make another one beside it; the .json beside it says what it holds. Both can be deleted at any time. Of several
    processes that want the same, one decodes. The file gets its name when it is whole.

    Args:
      images: encoded.FileImages.
      directory: path; made where it is missing.

    Raises:
      ValueError: as for FileImages.decode_each.
      OSError: the disk is full, or the directory cannot be written to.
    """
    directory = paths.make_folder(directory, 'config.data.cache')
    path = directory / f'{images.identity()[:16]}.npy'
    if found := _read(path, images):
        return found
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.parent / '.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # waits for another process; the system lets go however this one ends
        return _read(path, images) or _make(path, images)


def _read(path, images):
    """What lies at `path`, or None where nothing whole does."""
    try:
        about = files.read_json(path.with_suffix('.json'), {'corrupt': dict})
    except files.Damaged as e:
        logging.warning('%s; the images are decoded anew.', e)
        return None
    if about is None or not path.exists():
        return None
    try:
        pixels = np.load(path, mmap_mode='r').view(np.ndarray)
        if pixels.shape != _shape(images) or pixels.dtype != np.uint8:
            raise ValueError(f'it is {pixels.dtype} {list(pixels.shape)}')
    except (ValueError, EOFError) as e:
        logging.warning('%s is damaged (%s) and made anew.', path, e)
        return None
    return Decoded(pixels, {int(row): why for row, why in about['corrupt'].items()})


def _make(path, images):
    """Decodes a set into `path` and returns what lies there."""
    shape, part = _shape(images), path.with_suffix('.part')
    try:
        with open(part, 'wb', buffering=0) as f:  # empties what a killed process left
            _check_space(path.parent, images)
            header = np.lib.format.header_data_from_array_1_0(np.empty(0, np.uint8)) | {'shape': shape}
            np.lib.format.write_array_header_1_0(f, header)
            start, each = f.tell(), int(np.prod(images.shape))
            logging.info('Decoding %d images into %s.', len(images), path)
            bad = images.decode_each(lambda row, pixels: _write(f.fileno(), pixels, start + row * each))
            os.fsync(f)
        corrupt = {row: str(bad[row]) for row in sorted(bad)}
        files.write_json(path.with_suffix('.json'), {'shape': shape, 'decoder': decode.version(), 'corrupt': corrupt})
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return _read(path, images)


def _shape(images):
    return len(images), *images.shape


def _check_space(directory, images):
    size, free = int(np.prod(_shape(images))), shutil.disk_usage(directory).free
    if size > free:
        raise OSError(
            errno.ENOSPC,
            f'{len(images)} decoded images take {size / 2**20:,.1f} MiB, but config.data.cache={str(directory)!r} has '
            f'{free / 2**20:,.1f} MiB free: free some, give another directory or a smaller config.data.image_size, or '
            'leave config.data.cache empty',
        )


def _write(file, pixels, offset):
    """By a call, not through a map: on a full disk a map would kill the process."""
    left = memoryview(pixels).cast('B')
    while left:
        written = os.pwrite(file, left, offset)
        left, offset = left[written:], offset + written
