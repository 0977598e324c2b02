"""The images of a .zip. Its directory and the entries themselves both give names and sizes: they must agree."""

import bz2
import functools
import lzma
import stat
import struct
import zipfile
import zlib
from collections import defaultdict

from ssljax.data import archive as archives
from ssljax.data.names import HEAD, HIDDEN, Sniffer, is_junk, relative

_MOST_HEAD = 1 << 16  # packed bytes that are read to find out what a file is
_ENCRYPTED, _SIZES_FOLLOW, _UTF8 = 1, 8, 0x800  # flags
_LOCAL = struct.Struct('<4s2xHH4xIIIHH')  # magic, flags, method, CRC, packed and whole size, lengths of name and extra
_UNIX = 3


def entries_of(path, sniffer=None):
    """As walk.walk, for a .zip.

    Raises:
      ValueError, zipfile.BadZipFile: it is damaged, encrypted, or has entries that lead out of it.
    """
    sniffer = sniffer or Sniffer()
    stamped, skipped = archives.stamped(path), defaultdict(list)
    entries, folders, others, outside, encrypted = [], [], [], [], []
    with zipfile.ZipFile(path) as archive:
        _check_count(stamped, len(archive.infolist()))
        for i in archive.infolist():
            start = _check_entry(stamped, i)
            name, kind = relative(i.filename), stat.S_IFMT(i.external_attr >> 16) if i.create_system == _UNIX else 0
            if name is None:
                outside.append(i.filename)
            elif not name:
                continue
            elif is_junk(name):
                skipped[HIDDEN].append(name)
            elif i.is_dir():
                folders.append(name)
            elif kind == stat.S_IFLNK or (kind not in (0, stat.S_IFREG) and not i.file_size):
                skipped['links or devices'].append(name)
            elif not sniffer.is_image(name, functools.partial(_head, stamped, start, i)):
                others.append(name)
            elif i.flag_bits & _ENCRYPTED:
                encrypted.append(name)
            else:
                key = (start, i.compress_size, i.file_size, i.compress_type, i.CRC)
                entries.append((name, i.file_size, i.CRC, key))
    archives.refuse_outside(outside)
    if encrypted:
        raise ValueError(f'it has encrypted images ({len(encrypted)}, such as {encrypted[0]!r}): unpack it first')
    entries = archives.last_of_each(entries, skipped)
    return entries, folders, others, functools.partial(_read, stamped), dict(skipped)


def _head(archive, start, entry):
    packed = archives.read(archive, start, min(entry.compress_size, _MOST_HEAD))
    return _inflated(packed, HEAD, entry.compress_type)


def _check_count(archive, found):
    """Raises ValueError if the directory has a different number of entries than the archive's end says."""
    size = archive[1][0]
    tail = min(size, 4096 + 22 + 65535)
    content = archives.read(archive, size - tail, tail)
    end = content.rfind(b'PK\5\6', max(0, tail - 22 - 65535))
    said = struct.unpack_from('<10xH', content, end)[0]
    large = content.rfind(b'PK\6\6', max(0, end - 4096), end) if said == 0xFFFF else -1
    if large >= 0:
        said = struct.unpack_from('<32xQ', content, large)[0]
    if said != (found if large >= 0 else found & 0xFFFF):
        raise ValueError(f'it is damaged: its end record says {said} entries, its directory has {found}')


def _check_entry(archive, i):
    """Where an entry's content begins; raises ValueError if its header is not what the directory says: neither has a
    checksum of its own."""
    size, start = archive[1][0], i.header_offset + _LOCAL.size
    named = i.orig_filename.encode('utf-8' if i.flag_bits & _UTF8 else 'cp437')
    length = min(_LOCAL.size + len(named), size - i.header_offset)
    header = archives.read(archive, i.header_offset, length) if length > 0 <= i.header_offset else b''
    fields: tuple = b'', 0, 0, 0, 0, 0, 0, 0
    if len(header) >= _LOCAL.size:
        fields = _LOCAL.unpack_from(header)
    magic, flags, method, crc, packed, whole, length, extra = fields
    same = magic == b'PK\3\4' and length == len(named) and header[_LOCAL.size :] == named
    same = same and method == i.compress_type and (flags ^ i.flag_bits) & (_ENCRYPTED | _SIZES_FOLLOW) == 0
    if same and not flags & _SIZES_FOLLOW:
        sizes = ((packed, i.compress_size), (whole, i.file_size))
        same = crc == i.CRC and all(a in (b, 0xFFFFFFFF) for a, b in sizes)
    start += length + extra
    if not same or start + i.compress_size > size:
        raise ValueError(f'it is damaged: its directory and the entry {i.filename!r} do not agree')
    return start


def _read(archive, key):
    """The files that the directory lists have a CRC, so the stamp of the archive is checked only after an error."""
    try:
        return _cut_out(archive, *key)
    except Exception:  # damaged content may raise almost anything
        archives.check(archive)
        raise


def _cut_out(archive, start, packed, size, method, crc):
    """A file's bytes: `ZipFile.read` costs more than decoding a small image, and for some methods it inflates more than
    the directory declares."""
    data = _inflated(archives.read(archive, start, packed), size + 1, method)
    if zlib.crc32(data) != crc:
        raise ValueError('its bytes do not match its CRC')
    return data


def _inflated(data, most, method):
    """At most `most` bytes of a file's content; raises ValueError for an unknown method."""
    if method == zipfile.ZIP_STORED:
        return data[:most]
    if method == zipfile.ZIP_DEFLATED:
        return zlib.decompressobj(-15).decompress(data, most)
    if method == zipfile.ZIP_BZIP2:
        return bz2.BZ2Decompressor().decompress(data, most)
    if method == zipfile.ZIP_LZMA:  # a version, the length of the properties, these (APPNOTE 5.8.8), and then a stream
        length = int.from_bytes(data[2:4], 'little')
        first, dictionary = struct.unpack_from('<BI', data, 4)
        options = {'dict_size': dictionary, 'lc': first % 9, 'lp': first // 9 % 5, 'pb': first // 45}
        filters = [{'id': lzma.FILTER_LZMA1, **options}]
        return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters).decompress(data[4 + length :], most)
    raise ValueError(f'its compression (method {method}) is not supported: pack it again with the usual one, deflate')
