"""Image files: folders and archives of them."""

import functools
import mmap
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ssljax.data.layout import split_kind

_EXTENSIONS = frozenset('.jpg .jpeg .png .bmp .gif .webp .tif .tiff .ppm .pgm .pbm .jfif'.split())
_METHODS = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED  # that need no ZipFile
_ENCRYPTED = 1  # a flag


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

    A compressed tar has no random access, so its files are held in memory as they are, encoded.

    Raises:
      FileNotFoundError: there is no such path.
      ValueError: it is no archive that can be read.
    """
    if not os.path.exists(path):
        raise FileNotFoundError(f'There is no folder or archive {path!r} (from {os.getcwd()!r}).')
    if os.path.isdir(path):
        entries, folders, reader = _folder(path)
    else:
        try:
            if zipfile.is_zipfile(path):
                entries, folders, reader = _zip(path)
            elif tarfile.is_tarfile(path):
                entries, folders, reader = _tar(path)
            else:
                raise ValueError('it is neither')
        except (ValueError, zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, zlib.error) as e:
            raise ValueError(f'{path!r} cannot be read as a folder, .zip or .tar of images: {e}.') from e
    entries = sorted((name.replace('\\', '/').removeprefix('./'), *rest) for name, *rest in entries)
    entries = [e for e in entries if not _junk(e[0]) and os.path.splitext(e[0])[1].lower() in _EXTENSIONS]
    folders = [f.replace('\\', '/').removeprefix('./').strip('/') for f in folders]
    folders = [f for f in folders if f and not _junk(f)]
    names = [e[0] for e in entries]
    if not names:
        raise ValueError(f'There is no image in {path!r}; known are files that end in {" ".join(sorted(_EXTENSIONS))}.')
    while _wrapped(names):
        names = [name.split('/', 1)[1] for name in names]
        folders = [f.split('/', 1)[1] for f in folders if '/' in f]
    return Files(
        names=names,
        sizes=[e[1] for e in entries],
        crcs=[e[2] for e in entries],
        keys=[e[3] for e in entries],
        reader=reader,
        folders=folders,
    )


def _wrapped(names):
    """Whether one folder is around everything, and is no split itself."""
    top = {name.split('/')[0] for name in names}
    return len(top) == 1 and split_kind(*top) is None and all(name.count('/') > 1 for name in names)


def _junk(name):
    return any(part.startswith('.') or part == '__MACOSX' for part in name.split('/'))


def _folder(path):
    entries, folders = [], []
    for parent, inside, files in os.walk(path, followlinks=True):
        inside[:] = sorted(f for f in inside if not _junk(f))
        relative = os.path.relpath(parent, path)
        prefix = '' if relative == '.' else relative.replace(os.sep, '/') + '/'
        folders += [prefix + f for f in inside]
        for name in files:
            full = os.path.join(parent, name)
            size = os.path.getsize(full) if os.path.exists(full) else 0
            entries.append((prefix + name, size, None, (full, size)))

    return entries, folders, _read_file


def _read_file(key):
    full, size = key
    file = os.open(full, os.O_RDONLY)
    try:
        data = os.read(file, size + 1)
    finally:
        os.close(file)
    if len(data) == size:
        return data
    with open(full, 'rb') as f:  # which takes twice the time for a small file; this one has changed
        return f.read()


def _zip(path):
    stamped, entries, folders = _stamped(path), [], []
    _mapped(stamped)  # as it is now
    with zipfile.ZipFile(path) as archive:
        for i in archive.infolist():
            if i.is_dir():
                folders.append(i.filename)
            else:
                plain = i.compress_type in _METHODS and not i.flag_bits & _ENCRYPTED
                key = (i.header_offset, i.compress_size, i.compress_type, i.CRC) if plain else i.filename
                entries.append((i.filename, i.file_size, i.CRC, key))
    return entries, folders, functools.partial(_read_zip, stamped)


def _read_zip(archive, key):
    """`ZipFile.read` costs more than the decoding of a small image; the stored and deflated files are cut out here."""
    if isinstance(key, str):
        return _opened_zip(archive).read(key)
    offset, size, method, crc = key
    content = _mapped(archive)
    magic, name, extra = struct.unpack_from('<4s22xHH', content, offset)
    start = offset + 30 + name + extra
    data = content[start : start + size]
    data = zlib.decompress(data, -15) if method == zipfile.ZIP_DEFLATED else data
    if magic != b'PK\3\4' or zlib.crc32(data) != crc:
        raise ValueError('its bytes do not match its CRC')
    return data


def _tar(path):
    stamped = _stamped(path)
    plain = _mapped(stamped)[:2] not in (b'\x1f\x8b', b'BZ', b'\xfd7', b'\x28\xb5')
    entries, folders = [], []
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isdir():
                folders.append(member.name)
            elif member.isreg() and not _junk(member.name.removeprefix('./')):
                key = member.offset_data, member.offset_data + member.size
                if not plain and os.path.splitext(member.name)[1].lower() in _EXTENSIONS:
                    key = archive.extractfile(member).read()
                entries.append((member.name, member.size, None, key))
    return entries, folders, functools.partial(_read_part, stamped) if plain else bytes


def _read_part(archive, key):
    return _mapped(archive)[slice(*key)]


def _stamped(path):
    """An archive as it is now, wherever a process is."""
    return os.path.abspath(path), os.stat(path).st_mtime_ns


@functools.lru_cache(maxsize=8)
def _mapped(archive):
    with _unchanged(archive) as f:
        return mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)


@functools.lru_cache(maxsize=8)
def _opened_zip(archive):
    return zipfile.ZipFile(_unchanged(archive))


def _unchanged(archive):
    path, stamp = archive
    f = open(path, 'rb')
    if os.fstat(f.fileno()).st_mtime_ns != stamp:
        f.close()
        raise ValueError(f'{path!r} has changed since it was listed')
    return f
