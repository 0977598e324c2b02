"""The image files in a .zip or .tar, found once and then read from where they lie."""

import collections
import functools
import mmap
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from typing import NamedTuple

from ssljax.data.memory import available_memory

_METHODS = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED  # that need no ZipFile
_ENCRYPTED = 1  # a flag
_NAMES = b'LKxgX'  # types of a tar's entries that hold names and attributes of the next ones
_NAME_BYTES = 1 << 20  # of such an entry, at most


def of_zip(path):
    """Lists a .zip.

    Returns:
      entries, (name, size, CRC-32, key for `reader`) of each file; the names of the folders; {why: count} of what was
      left out; and reader, from a key to the bytes.

    Raises:
      ValueError, OSError, zipfile.BadZipFile: it cannot be read.
    """
    stamped, entries, folders, left_out = _stamped(path), [], [], collections.Counter()
    _mapped(stamped)  # as it is now
    with zipfile.ZipFile(path) as archive:
        for i in archive.infolist():
            kind = stat.S_IFMT(i.external_attr >> 16)
            if i.is_dir():
                folders.append(i.filename)
            elif kind not in (0, stat.S_IFREG):
                left_out['links and special files'] += 1
            else:
                plain = i.compress_type in _METHODS and not i.flag_bits & _ENCRYPTED
                key = (i.header_offset, i.compress_size, i.file_size, i.compress_type, i.CRC) if plain else i.filename
                entries.append((i.filename, i.file_size, i.CRC, key))
    return entries, folders, left_out, functools.partial(_read_zip, stamped)


def _read_zip(archive, key):
    """`ZipFile.read` costs more than the decoding of a small image; the stored and deflated files are cut out here."""
    if isinstance(key, str):
        return _opened_zip(archive).read(key)
    offset, packed, size, method, crc = key
    content = _mapped(archive)
    magic, name, extra = struct.unpack_from('<4s22xHH', content, offset)
    start = offset + 30 + name + extra
    data = content[start : start + packed]
    if method == zipfile.ZIP_DEFLATED:
        data = zlib.decompressobj(-15).decompress(data, size + 1)  # no more than was declared
    if magic != b'PK\3\4' or zlib.crc32(data) != crc:
        raise ValueError('its bytes do not match its CRC')
    return data


class TooLarge(NamedTuple):
    """The key of a file that has more bytes than it may have."""

    size: int
    most: int


def read_small(reader, key):
    """The bytes of a file by `reader`; raises ValueError where its key is TooLarge."""
    if isinstance(key, TooLarge):
        raise ValueError(f'its {key.size:,} bytes are more than the {key.most:,} that an image file may have')
    return reader(key)


def is_tar(path) -> bool:
    """As tarfile.is_tarfile, which reads a first header whole, however large."""
    try:
        tarfile.open(path, tarinfo=_Member).close()
    except tarfile.TarError:
        return False
    return True


def of_tar(path, wanted, most):
    """Lists a .tar, compressed or not; the rest as for `of_zip`. wanted: name -> bool, of files. most: bytes of one: a
    compressed tar is read through, so one with a larger file is refused.

    Raises:
      ValueError, OSError, EOFError, tarfile.TarError, zlib.error, lzma.LZMAError: it cannot be read to its end.
    """
    stamped, entries, folders, left_out, held = _stamped(path), [], [], collections.Counter(), 0
    plain = _mapped(stamped)[:2] not in (b'\x1f\x8b', b'BZ', b'\xfd7', b'\x28\xb5')
    with tarfile.open(path, tarinfo=_Member) as archive:
        for member in archive:
            if member.isdir():
                folders.append(member.name)
            elif not wanted(member.name.removeprefix('./')):
                continue
            elif member.isreg():
                if not plain:
                    held += member.size
                    _check_held(member, held, most)
                place = member.offset_data, member.offset_data + member.size
                key = place if plain else archive.extractfile(member).read()
                entries.append((member.name, member.size, None, key))
            else:
                left_out['links and special files'] += 1
        _check_end(archive)
    return entries, folders, left_out, functools.partial(_read_part, stamped) if plain else bytes


def _check_held(member, held, most) -> None:
    """Raises ValueError where a file of a compressed tar is too large, or with the others (bytes) for the memory."""
    if member.size > most:
        raise ValueError(f'{member.name!r} has {member.size:,} bytes, and an image file may have {most:,} at most')
    if held >> 26 == held - member.size >> 26:  # asking takes a while
        return
    free = available_memory()
    if free is not None and member.size > 0.8 * free:
        raise ValueError(
            f'its images, {held:,} bytes up to {member.name!r}, do not fit the free memory: unpack it, and give the '
            'folder'
        )


class _Member(tarfile.TarInfo):
    """Keeps why a tar's list ended: the library takes a header that it cannot read for the end, and says nothing."""

    @classmethod
    def frombuf(cls, *args, **kwargs):
        member = super().frombuf(*args, **kwargs)
        if member.type in _NAMES and member.size > _NAME_BYTES:  # which would be read whole
            raise ValueError(f'it is damaged: a header has {member.size:,} bytes')
        return member

    @classmethod
    def fromtarfile(cls, archive):
        try:
            return super().fromtarfile(archive)
        except tarfile.HeaderError as e:
            archive.ended = e
            raise


def _check_end(archive) -> None:
    """Raises ValueError where a tar that was listed does not end with a block of zeros, or more follows."""
    if isinstance(archive.ended, (tarfile.EmptyHeaderError, tarfile.TruncatedHeaderError)):
        raise ValueError('its end is missing: it was cut short')
    if not isinstance(archive.ended, tarfile.EOFHeaderError):
        raise ValueError(f'it is damaged: the header at byte {archive.offset:,} cannot be read ({archive.ended})')
    while block := archive.fileobj.read(1 << 20):
        if block.strip(b'\0'):
            raise ValueError('something follows its end, such as another tar: unpack it, and give the folder')


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
