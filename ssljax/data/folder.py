"""Image files: folders and archives of them."""

import collections
import functools
import lzma
import os
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from absl import logging

from ssljax.data import archives, walk
from ssljax.data.layout import split_kind

_EXTENSIONS = frozenset('.jpg .jpeg .png .bmp .gif .webp .tif .tiff .ppm .pgm .pbm .jfif'.split())
MAX_BYTES = 1 << 30  # of an image file: a larger one is not read
_OUTSIDE = re.compile(r'/|[A-Za-z]:')  # what an absolute path begins with, after \\ has become /


class Files(NamedTuple):
    """Encoded images.

    Attributes:
      names: path of each inside the folder or archive, with '/'.
      sizes: bytes of each.
      crcs: CRC-32 of each, or None where only reading it tells.
      keys: where each is, for `reader`.
      reader: from a key to the bytes; may be called from several threads.
      portable: whether other processes can read, too: keys and reader can be pickled.
      folders: the folders seen, empty ones included.
    """

    names: Sequence[str]
    sizes: Sequence[int]
    crcs: list
    keys: Sequence
    reader: Callable[..., bytes]
    portable: bool = True
    folders: Sequence[str] = ()

    def read(self, number):
        """The bytes of one file."""
        return self.reader(self.keys[number])


def listing(path):
    """Lists the images of a folder, a .zip or a .tar (.tar.gz, .tgz and so on), sorted by name.

    Folders around everything are left out of the names.

    A compressed tar has no random access, so its files are held in memory as they are, encoded. A file of more than
    MAX_BYTES counts as one that cannot be decoded, and is not read.

    Raises:
      FileNotFoundError: there is no such path.
      ValueError: it is no archive that can be read.
    """
    if not os.path.exists(path):
        raise FileNotFoundError(f'There is no folder or archive {path!r} (from {os.getcwd()!r}).')
    if os.path.isdir(path):
        entries, folders, left_out = walk.walk(path, lambda name: not _junk(name), is_image)
        reader = walk.read
    else:
        entries, folders, left_out, reader = _archive(path)
    entries = sorted(e for e in entries if not _junk(e[0]) and is_image(e[0]))
    folders = [f for f in folders if f and not _junk(f)]
    for why, count in sorted(left_out.items()):
        logging.warning('%s: left out %d %s.', path, count, why)
    names = [e[0] for e in entries]
    if not names:
        raise ValueError(f'There is no image in {path!r}; known are files that end in {" ".join(sorted(_EXTENSIONS))}.')
    crcs, keys = [e[2] for e in entries], [e[3] for e in entries]
    for i, (_, size, *_) in enumerate(entries):
        if size > MAX_BYTES:
            crcs[i], keys[i] = 0, archives.TooLarge(size, MAX_BYTES)  # with a CRC, it is not read for one
    if any(isinstance(key, archives.TooLarge) for key in keys):
        reader = functools.partial(archives.read_small, reader)
    while _wrapped(names):
        names = [name.split('/', 1)[1] for name in names]
        folders = [f.split('/', 1)[1] for f in folders if '/' in f]
    return Files(
        names=names,
        sizes=[e[1] for e in entries],
        crcs=crcs,
        keys=keys,
        reader=reader,
        folders=folders,
    )


def _wrapped(names):
    """Whether one folder is around everything, and is no split itself."""
    top = {name.split('/')[0] for name in names}
    return len(top) == 1 and split_kind(*top) is None and all(name.count('/') > 1 for name in names)


def _junk(name):
    return any(part == '__MACOSX' or part != '..' and part.startswith('.') for part in name.split('/'))


def _archive(path):
    try:
        if not os.path.isfile(path) or walk.special(os.path.realpath(path)):
            raise ValueError('it is no regular file')
        if zipfile.is_zipfile(path):
            entries, folders, left_out, reader = archives.of_zip(path)
        elif archives.is_tar(path):
            entries, folders, left_out, reader = archives.of_tar(
                path, lambda name: not _junk(name) and is_image(name), MAX_BYTES
            )
        else:
            raise ValueError('it is neither')
    except (ValueError, zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError) as e:
        raise ValueError(f'{path!r} cannot be read as a folder, .zip or .tar of images: {e}.') from e
    last, left_out = {}, collections.Counter(left_out)
    for name, *rest in entries:
        name = name.replace('\\', '/').removeprefix('./')
        if _OUTSIDE.match(name) or '..' in name.split('/'):
            left_out['entries with an absolute path, or one that leads out of the archive'] += 1
            continue
        left_out['entries that a later one of the same name replaces'] += name in last
        last[name] = rest
    folders = [f.replace('\\', '/').removeprefix('./').strip('/') for f in folders]
    folders = [f for f in folders if not _OUTSIDE.match(f) and '..' not in f.split('/')]
    return [(name, *rest) for name, rest in last.items()], folders, +left_out, reader


def is_image(name: str) -> bool:
    """Whether a file's name ends as an image's."""
    return os.path.splitext(name)[1].lower() in _EXTENSIONS
