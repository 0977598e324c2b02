"""Files and archives as they are on the disk, wherever a process is: found unchanged, or refused."""

import functools
import os
from typing import NamedTuple


class Changed(ValueError):
    """A file is not as it was when it was listed: it is neither what was recorded nor a corrupt image."""


def changed(path, how='has changed'):
    """The Changed of a file or an archive."""
    return Changed(f'{os.fspath(path)!r} {how} since it was listed: restore it and rerun the same command.')


def stamped(path):
    """(absolute path, `stamp`) of an archive as it is now."""
    return os.path.abspath(path), stamp(os.stat(path))


def stamp(about):
    """Of an os.stat_result, what changes with the content: (size, time of the last change in ns)."""
    return about.st_size, about.st_mtime_ns


class TooLarge(NamedTuple):
    """The key of a file that has more bytes than it may have."""

    size: int
    most: int


def read_small(reader, key):
    """The bytes of a file by `reader`; raises ValueError if its key is TooLarge."""
    if isinstance(key, TooLarge):
        raise ValueError(f'its {key.size:,} bytes exceed the limit of {key.most:,} for an image file')
    return reader(key)


def read(archive, start, size):
    """Bytes of what `stamped` returned. By a call, not through a memory map: if the file was truncated meanwhile, a map
    would kill the process.

    Raises:
      Changed: it has fewer.
    """
    data = os.pread(opened(archive).fileno(), size, start)
    if len(data) < size:
        raise changed(archive[0])
    return data


@functools.lru_cache(maxsize=8)
def opened(archive):
    """The open file of what `stamped` returned; raises Changed if it has changed."""
    try:
        f = open(archive[0], 'rb')
    except FileNotFoundError as e:
        raise changed(archive[0], 'is gone') from e
    if stamp(os.fstat(f.fileno())) != archive[1]:
        f.close()
        raise changed(archive[0])
    return f


def check(archive):
    """Raises Changed if what `stamped` returned was written to meanwhile. One that was deleted or replaced stays
    readable where it is open."""
    if stamp(os.fstat(opened(archive).fileno())) != archive[1]:
        raise changed(archive[0])


def last_of_each(entries, skipped):
    """Entries, (name, ...), with the last of those that share a name, as unpacking would leave them."""
    last = {entry[0]: entry for entry in entries}
    if len(last) < len(entries):
        count = {}
        for name, *_ in entries:
            count[name] = count.get(name, 0) + 1
        skipped['entries replaced by a later one'] = [n for n, k in count.items() for _ in range(k - 1)]
    return list(last.values())


def refuse_outside(names):
    """Raises ValueError if there are `names` that lead out of the archive."""
    if names:
        raise ValueError(
            f'it has entries that point outside it ({len(names)}, such as {names[0]!r}): pack it again with relative '
            'names'
        )
