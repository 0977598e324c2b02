"""The image files below a folder: regular files, each once, whatever links there are."""

import collections
import os
import stat

_SPECIAL = '/proc', '/sys', '/dev'  # file systems whose files are none
_HELD = '/dev/shm'  # memory, and a usual place for data


def walk(path: str, wanted, image) -> tuple:
    """Lists the files below a folder, links followed.

    A folder or file that can be reached in several ways is listed once, by its own name before a link's; a link to a
    folder that holds `path` is not followed.

    Args:
      path: an existing folder.
      wanted: name -> bool, for files and folders.
      image: name -> bool, for files; others are passed over.

    Returns:
      entries, (name, size, None, (full path, size)) of each file; the names of all folders; and {why: count} of what
      was left out.

    Raises:
      ValueError: the folder is part of a special file system.
      OSError: it cannot be read.
    """
    real = os.path.realpath(path)
    if special(real):
        raise ValueError(f'{path!r} lies in {real!r}, which holds no files of your own: give a folder of images.')
    os.scandir(path).close()
    left_out, folders, files, seen = collections.Counter(), [], {}, set()
    waiting, linked = collections.deque([(path, '', False)]), collections.deque()
    while waiting or linked:
        place, prefix, behind = (waiting or linked).popleft()
        info = os.stat(place)
        if (info.st_dev, info.st_ino) in seen:
            left_out['links to folders that are listed already'] += 1
            continue
        seen.add((info.st_dev, info.st_ino))
        folders += [prefix[:-1]] if prefix else []
        try:
            with os.scandir(place) as found:
                inside = sorted((entry for entry in found if wanted(prefix + entry.name)), key=lambda e: e.name)
        except OSError:
            left_out['folders that cannot be read'] += 1
            continue
        for entry in inside:
            name, link = prefix + entry.name, entry.is_symlink()
            try:
                info = entry.stat()
            except OSError:
                left_out['links that lead nowhere'] += image(name)
                continue
            if stat.S_ISDIR(info.st_mode):
                if link and _outside(entry.path, real):
                    left_out['links to a folder around the data, or to a special one'] += 1
                else:
                    (linked if link or behind else waiting).append((entry.path, name + '/', link or behind))
            elif not image(name):
                continue
            elif not stat.S_ISREG(info.st_mode) or link and special(os.path.realpath(entry.path)):
                left_out['pipes, devices and other special files'] += 1
            else:
                ways = files.setdefault((info.st_dev, info.st_ino), [])
                ways.append((link or behind, name, info.st_size, entry.path))
    entries = []
    for ways in files.values():
        _, name, size, full = min(ways)
        entries.append((name, size, None, (full, size)))
        left_out['further links to a file'] += len(ways) - 1
    return entries, folders, +left_out


def special(real: str) -> bool:
    """Whether a path, links resolved, lies in a special file system."""
    inside = lambda root: real == root or real.startswith(root + '/')
    return any(map(inside, _SPECIAL)) and not inside(_HELD)


def _outside(link: str, root: str) -> bool:
    target = os.path.realpath(link)
    return special(target) or root == target or root.startswith(target.rstrip('/') + '/')


def read(key) -> bytes:
    """The bytes of a file; key: (full path, size when it was listed)."""
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
