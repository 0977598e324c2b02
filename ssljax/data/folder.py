"""Image files: what a folder or an archive of them holds."""

import functools
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import NamedTuple

from absl import logging

from ssljax.data import archive, tars, walk, zips
from ssljax.data import names as names_of
from ssljax.data.split_names import PLAIN, kind_of
from ssljax.storage import paths

_BROKEN = zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError
MAX_BYTES = 1 << 30  # of an image file: a larger one is not read


class Files(NamedTuple):
    """Encoded images.

    Attributes:
      names: path of each inside the folder or archive, with '/'.
      sizes: bytes of each.
      crcs: CRC-32 of each, or None if only reading it tells.
      keys: where each is, for `reader`.
      reader: from a key to the bytes; may be called from several threads.
      portable: whether other processes can read, too: keys and reader can be pickled.
      folders: the folders seen, empty ones included, but not those that hold only files of other kinds.
      left_out: {why: names} of all else that was there.
      unreadable: names of pictures of a format that cannot be read.
    """

    names: Sequence[str]
    sizes: Sequence[int]
    crcs: list
    keys: Sequence
    reader: Callable[..., bytes]
    portable: bool = True
    folders: Sequence[str] = ()
    left_out: dict = {}
    unreadable: Sequence[str] = ()

    def read(self, number):
        """The bytes of one file."""
        return self.reader(self.keys[number])


def listing(path, whole_names=False):
    """Lists the images of a folder, a .zip or a .tar (.tar.gz, .tgz and so on), sorted by name.

    Folders that enclose everything are dropped from names, unless `whole_names`. What is left out is named in one
    warning. A compressed tar has no random access, so its files are held in memory as they are, encoded. A file of more
    than MAX_BYTES counts as one that cannot be decoded, and is not read.

    Raises:
      FileNotFoundError: there is no such path.
      ValueError: it cannot be read, or not completely.
    """
    if not os.path.exists(path):
        raise FileNotFoundError(f'There is no folder or archive {path!r} (from {os.getcwd()!r}){paths.obstacle(path)}.')
    try:
        sniffer = names_of.Sniffer()
        entries, folders, others, reader, skipped = _lister(path)(path, sniffer)
    except (ValueError, EOFError, OSError, NotImplementedError, *_BROKEN) as e:
        raise ValueError(f'{path!r} cannot be read as a folder, .zip or .tar of images: {e}.') from e
    hidden = skipped.pop(names_of.HIDDEN, [])  # left out silently
    entries = sorted(entries, key=itemgetter(0))
    names = [e[0] for e in entries]
    _check_archives(path, names, others, skipped)
    unreadable = sorted(n for n in others if os.path.splitext(n)[1].lower() in names_of.UNREADABLE)
    folders = _without_notes(names, folders, others, unreadable, skipped)
    _tell(path, skipped, sniffer.found)
    told = {name for some in skipped.values() for name in some}
    other = [name for name in others if name not in told]
    left_out = skipped | {why: some for why, some in ((names_of.HIDDEN, hidden), ('no images', other)) if some}
    if not whole_names:
        names, folders = _unwrapped(names, folders)
    crcs, keys = [e[2] for e in entries], [e[3] for e in entries]
    for i, (_, size, *_) in enumerate(entries):
        if size > MAX_BYTES:
            crcs[i], keys[i] = 0, archive.TooLarge(size, MAX_BYTES)  # with a CRC, it is not read for one
    if any(isinstance(key, archive.TooLarge) for key in keys):
        reader = functools.partial(archive.read_small, reader)
    return Files(
        names=names,
        sizes=[e[1] for e in entries],
        crcs=crcs,
        keys=keys,
        reader=reader,
        folders=folders,
        left_out=left_out,
        unreadable=unreadable,
    )


def _lister(path):
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        return walk.walk
    if not stat.S_ISREG(mode):
        raise ValueError('it is a pipe, a socket or a device')
    if zipfile.is_zipfile(path):
        return zips.entries_of
    if tars.is_tar(path):
        return functools.partial(tars.entries_of, most=MAX_BYTES)
    raise ValueError('it is neither, or it is damaged')


def _check_archives(path, names, others, skipped):
    """Archives among the files are not read: raises ValueError if one seems to be a split, or there is nothing else;
    otherwise `skipped` gets them."""
    archives = sorted(name for name in others if os.path.splitext(name)[1].lower() in names_of.ARCHIVES)
    shown = ', '.join(map(repr, archives[:5])) + (', ...' if len(archives) > 5 else '')
    if archives and not names:
        raise ValueError(
            f'There is no image in {path!r}, only archives ({shown}), and nested archives are not read: '
            'unpack each into a folder of the same name, or give one of them.'
        )
    unpacked = {(name.rpartition('/')[0], kind_of(name.rpartition('/')[2])) for name in _above(names)}
    for name in archives:
        folder, _, file = name.rpartition('/')
        stem = file.split('.')[0]
        if (kind := kind_of(stem)) and (folder, kind) not in unpacked:
            beside = f'{folder}/{stem}' if folder else stem
            raise ValueError(
                f'The archive {name!r} in {path!r} is named like a split, but nested archives are not read: unpack it '
                f'into the folder {beside!r}, or move it elsewhere to ignore it.'
            )
    if archives:
        skipped['archives, which are not read unless unpacked'] = archives


def _tell(path, skipped, sniffed):
    if sniffed:
        logging.warning('%r: read %d files as images because of their content, such as %r: their names have no image '
                        'extension.', path, len(sniffed), min(sniffed))  # fmt: skip
    if skipped:
        parts = (f'{what} ({len(names)}, such as {names[0]!r})' for what, names in skipped.items())
        logging.warning('%r: left out %s.', path, '; '.join(parts))


def _without_notes(names, folders, others, pictures, skipped):
    """The folders except those with only files of other kinds, such as notes beside the classes, which `skipped`
    gets."""
    if pictures:
        skipped['images in a format that cannot be read'] = pictures
    notes = _above(others) - _above(names) - _above(name for some in skipped.values() for name in some)
    if highest := sorted(f for f in notes if f.rpartition('/')[0] not in notes):
        skipped['folders without images'] = highest
    return [f for f in folders if f not in notes]


def _above(names):
    """All folders that the names are in."""
    found = set()
    for name in names:
        while (name := name.rpartition('/')[0]) and name not in found:
            found.add(name)
    return found


def _unwrapped(names, folders):
    """Names and folders below the single folders around everything, unless one is called train, test and so on."""
    while len(top := {name.split('/', 1)[0] for name in names}) == 1:
        around = top.pop()
        if around.lower() in PLAIN or kind_of(around) == 'unlabeled' or any(n.count('/') < 2 for n in names):
            break
        names = [name.split('/', 1)[1] for name in names]
        folders = [f.split('/', 1)[1] for f in folders if f.startswith(around + '/')]
    return names, folders
