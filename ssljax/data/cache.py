"""Decoded images on disk: made once, then mapped into memory by every run of the same images."""

import base64
import contextlib
import errno
import fcntl
import os
import shutil
import zlib

import numpy as np
from absl import logging

from ssljax.data import decode
from ssljax.data.archive import Changed
from ssljax.storage import files, held, paths

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


class Decoded:
    """The decoded images of a set, in a file.

    Each image is compared with its checksum when it is first read: doing so for all at the start would read a large
    file whole.

    Attributes:
      corrupt: {row: why it cannot be decoded}; their pixels are 0.
    """

    def __init__(self, path, pixels, crcs, corrupt):
        """path: of the .npy; pixels: uint8 [N, H, W, C], mapped from it; crcs: uint32 [N], CRC-32 of each image."""
        self.corrupt = corrupt
        self._path, self._pixels, self._crcs = path, pixels, crcs
        self._file = open(path, 'rb')  # the one that is mapped, whatever has this name later
        self._size = os.fstat(self._file.fileno()).st_size
        self._sound, self._told = np.zeros(len(crcs), bool), False

    def take(self, rows, out=None):
        """Copies of images.

        Args:
          rows: [n] int.
          out: uint8 [n, H, W, C], contiguous, written to; made if it is None.

        Returns:
          (uint8 [n, H, W, C], the places of those that are damaged). The first time there are any, the file is named in
          a warning, and the next run rebuilds it.

        Raises:
          archive.Changed: the file was truncated.
        """
        if os.fstat(self._file.fileno()).st_size < self._size:  # to read beyond the end would kill the process
            raise Changed(f'{self._path} was truncated while in use: delete it and rerun the same command.')
        images = np.take(self._pixels, rows, 0, out, 'raise' if out is None else 'clip')  # without a buffer between
        damaged = []
        for i in np.flatnonzero(~self._sound[rows]).tolist():
            if zlib.crc32(images[i]) == self._crcs[rows[i]]:
                self._sound[rows[i]] = True
            else:
                damaged.append(i)
        if damaged and not self._told:
            self._told = True
            logging.warning(
                '%s is damaged: images that do not match their checksum are decoded from their files now, and all of '
                'them by the next run.', self._path,
            )  # fmt: skip
            with contextlib.suppress(OSError):
                self._path.with_suffix('.json').unlink(missing_ok=True)
        return images, damaged


def decoded(images, directory):
    """The Decoded of a set, from `directory`, where it is made first if it is not there.

    The pixels are in an .npy file named after `images.identity()`, so that other files, another size or another decoder
    make another one beside it; the .json beside it says what it holds. Both can be deleted at any time. Of several
    processes that want the same, one decodes. The file gets its name when it is whole.

    Args:
      images: encoded.FileImages.
      directory: path; made if it is missing.

    Raises:
      ValueError: as for FileImages.decode_each.
      OSError: the disk is full, or the directory cannot be written to.
    """
    directory = paths.make_folder(directory, 'config.data.cache')
    path = directory / f'{images.identity()[:16]}.npy'
    if found := _read(path, images):
        return found
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = held.open_lock(path.parent / held.LOCK)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)  # waits for another process; the system releases it however this one ends
        return _read(path, images) or _make(path, images)
    finally:
        os.close(lock)


def _read(path, images):
    """What is at `path`, or None if nothing whole is."""
    try:
        about = files.read_json(path.with_suffix('.json'), {'corrupt': dict, 'crc32': str})
        if about is not None and 'crc32' not in about:
            raise files.Damaged(path.with_suffix('.json'), 'it has no checksums (written by an earlier version)')
    except files.Damaged as e:
        logging.warning('%s; decoding the images again.', e)
        return None
    if about is None or not path.is_file():
        return None
    try:
        pixels = np.load(path, mmap_mode='r').view(np.ndarray)
        if pixels.shape != _shape(images) or pixels.dtype != np.uint8:
            raise ValueError(f'it is {pixels.dtype} {list(pixels.shape)}')
        crcs = np.frombuffer(base64.b64decode(about['crc32']), '<u4')
        if len(crcs) != len(pixels):
            raise ValueError(f'it has {len(crcs)} checksums')
        corrupt = {int(row): why for row, why in about['corrupt'].items()}
    except (ValueError, EOFError) as e:
        logging.warning('%s is damaged (%s); rebuilding it.', path, e)
        return None
    return Decoded(path, pixels, crcs, corrupt)


def _make(path, images):
    """Decodes a set into `path` and returns what is there."""
    shape, part = _shape(images), path.with_suffix('.part')
    crcs = np.zeros(len(images), '<u4')

    def put(row, pixels):
        crcs[row : row + len(pixels)] = [zlib.crc32(image) for image in pixels]
        _write(f.fileno(), pixels, start + row * each)

    try:
        _clear(part)  # of a killed process
        if path.is_dir():
            files.set_aside(path, 'it is a directory')
        with open(os.open(part, _NEW, 0o666), 'wb', buffering=0) as f:
            _check_space(path.parent, images)
            header = np.lib.format.header_data_from_array_1_0(np.empty(0, np.uint8)) | {'shape': shape}
            np.lib.format.write_array_header_1_0(f, header)
            start, each = f.tell(), int(np.prod(images.shape))
            logging.info('Decoding %d images into %s.', len(images), path)
            bad = images.decode_each(put)
            os.fsync(f)
        corrupt = {row: str(bad[row]) for row in sorted(bad)}
        about = {'shape': shape, 'decoder': decode.version(), 'corrupt': corrupt}
        about['crc32'] = base64.b64encode(crcs).decode()
        files.write_json(path.with_suffix('.json'), about)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return _read(path, images)


def _clear(part):
    """Makes room for a file that is not there: whatever has its name is not a file to write to."""
    if part.is_dir() and not part.is_symlink():
        files.set_aside(part, 'it is a directory')
    part.unlink(missing_ok=True)


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
    """By a call, not through a memory map: on a full disk a map would kill the process."""
    left = memoryview(pixels).cast('B')
    while left:
        written = os.pwrite(file, left, offset)
        left, offset = left[written:], offset + written
