"""Archives as they are on the disk, wherever a process is: found unchanged, or refused."""

import functools
import mmap
import os
from typing import NamedTuple


def stamped(path):
    """An archive as it is now."""
    return os.path.abspath(path), os.stat(path).st_mtime_ns


class TooLarge(NamedTuple):
    """The key of a file that has more bytes than it may have."""

    size: int
    most: int


def read_small(reader, key):
    """The bytes of a file by `reader`; raises ValueError where its key is TooLarge."""
    if isinstance(key, TooLarge):
        raise ValueError(f'its {key.size:,} bytes are more than the {key.most:,} that an image file may have')
    return reader(key)


@functools.lru_cache(maxsize=8)
def mapped(archive):
    """The bytes of what `stamped` returned."""
    with unchanged(archive) as f:
        return mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)


def unchanged(archive):
    """The open file of what `stamped` returned; raises ValueError where it has changed."""
    path, stamp = archive
    f = open(path, 'rb')
    if os.fstat(f.fileno()).st_mtime_ns != stamp:
        f.close()
        raise ValueError(f'{path!r} has changed since it was listed')
    return f


def last_of_each(entries, skipped):
    """Entries, (name, ...), with the last of those that share a name, as unpacking would leave them."""
    last = {entry[0]: entry for entry in entries}
    if len(last) < len(entries):
        count = {}
        for name, *_ in entries:
            count[name] = count.get(name, 0) + 1
        skipped['entries that a later one replaces'] = [n for n, k in count.items() for _ in range(k - 1)]
    return list(last.values())


def refuse_outside(names):
    """Raises ValueError where there are `names` that lead out of the archive."""
    if names:
        raise ValueError(
            f'it has entries that lead out of it ({len(names)}, such as {names[0]!r}): pack it again with relative '
            'names'
        )
