"""The images of a .tar, compressed or not, read to its end: `tarfile` alone mistakes a damaged header for the end."""

import functools
import tarfile
from collections import defaultdict

from ssljax.data import archive as archives
from ssljax.data.memory import available_memory
from ssljax.data.names import HEAD, HIDDEN, Sniffer, is_junk, relative

_NAMES = b'LKxgX'  # types of entries that hold names and attributes of the next ones
SHARE = 0.5  # of the free memory, which encoded images may take
_NAME_BYTES = 1 << 20  # bytes of such an entry, at most
_PACKED = (b'\x1f\x8b', b'BZ', b'\xfd7', b'\x28\xb5')


class _Member(tarfile.TarInfo):
    """A header, which must be whole, or the two blocks of zeros that end an archive; else tarfile.ReadError."""

    @classmethod
    def frombuf(cls, *args, **kwargs):
        member = super().frombuf(*args, **kwargs)
        if member.type in _NAMES and member.size > _NAME_BYTES:  # which would be read whole
            raise ValueError(f'it is damaged: a header has {member.size:,} bytes')
        return member

    @classmethod
    def fromtarfile(cls, tarfile_):
        try:
            return super().fromtarfile(tarfile_)
        except tarfile.EOFHeaderError:
            raise
        except tarfile.EmptyHeaderError:
            raise tarfile.ReadError('it has no end marker: it was truncated') from None
        except tarfile.HeaderError as e:
            raise tarfile.ReadError(f'it is damaged or truncated at byte {tarfile_.offset:,} ({e})') from None


def is_tar(path) -> bool:
    """As tarfile.is_tarfile, but without reading a first header of any size whole."""
    try:
        tarfile.open(path, tarinfo=_Member).close()
    except tarfile.TarError:
        return False
    return True


def entries_of(path, sniffer=None, *, most):
    """As walk.walk, for a .tar. A compressed one has no random access: its images are held in memory, encoded, and one
    of more than `most` bytes is refused.

    Raises:
      ValueError, tarfile.TarError, EOFError, OSError: it is damaged, truncated, or has entries that lead out of it.
    """
    sniffer = sniffer or Sniffer()
    stamped, skipped = archives.stamped(path), defaultdict(list)
    plain = archives.read(stamped, 0, 2) not in _PACKED
    entries, folders, others, outside, held = [], [], [], [], 0
    room = SHARE * (available_memory() or float('inf'))
    with tarfile.open(path, tarinfo=_Member) as archive:
        for member in archive:
            name = relative(member.name)
            if name is None:
                outside.append(member.name)
            elif not name:
                continue
            elif is_junk(name):
                skipped[HIDDEN].append(name)
            elif member.isdir():
                folders.append(name)
            elif not member.isreg():
                skipped['links or devices'].append(name)
            elif member.issparse():
                skipped['files with holes'].append(name)
            elif not sniffer.is_image(name, lambda: archive.extractfile(member).read(HEAD)):
                others.append(name)
            else:
                key = member.offset_data, member.size
                if not plain:
                    held += member.size
                    _check_held(member, held, most, room)
                    key = archive.extractfile(member).read()
                entries.append((name, member.size, None, key))
        _check_end(archive.fileobj)
    archives.refuse_outside(outside)
    reader = functools.partial(_read, stamped) if plain else bytes
    return archives.last_of_each(entries, skipped), folders, others, reader, dict(skipped)


def _check_held(member, held, most, room) -> None:
    """Raises ValueError if a file of a compressed tar is too large, or all so far, `held` bytes, for the memory,
    `room`."""
    if member.size > most:
        raise ValueError(f'{member.name!r} has {member.size:,} bytes, but an image file may have at most {most:,}')
    if held > room:
        raise ValueError(
            f'its images, {held:,} bytes up to {member.name!r}, do not fit in the free memory: unpack it, and give the '
            'folder'
        )


def _check_end(file):
    """Raises ValueError if anything but zeros follows the end, as in archives that were joined; reading a compressed
    file to its end also verifies its checksum."""
    while block := file.read(1 << 20):
        if block.count(0) != len(block):
            raise ValueError('there is data after its end: it is damaged, or several .tar files were concatenated')


def _read(archive, key):
    """The bytes of a file: a .tar has no checksums of its content, so only its stamp shows a change."""
    archives.check(archive)
    return archives.read(archive, *key)
