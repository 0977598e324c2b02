"""The images of a folder: regular files only, each real file once."""

import errno
import os
import stat
from collections import defaultdict
from pathlib import Path

from ssljax.data import archive as archives
from ssljax.data.names import HEAD, HIDDEN, Sniffer, is_junk
from ssljax.storage import paths

_SPECIAL = frozenset(
    'proc sysfs devtmpfs devpts cgroup cgroup2 debugfs tracefs securityfs pstore bpf mqueue configfs fusectl efivarfs '
    'binfmt_misc hugetlbfs rpc_pipefs nsfs selinuxfs'.split()
)
DANGLING, TWICE, BACK = 'broken links', 'links to images already listed', 'folders reached again'
NO_FILE = 'pipes, sockets or devices'
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ESTALE)


def walk(root, sniffer=None):
    """Lists a folder. What is in it takes precedence over what a link leads to.

    Returns:
      (entries, folders, others, reader, skipped): [(name, size, None, key)] of the images; names of all folders; names
      of the other files; from a key to the bytes; {what was left out: names}.

    Raises:
      ValueError: a folder cannot be read, or `root` is on a file system such as /proc, which holds no files.
    """
    found = _Walk(root, sniffer or Sniffer())
    found.enter(root, '')
    while found.links:
        found.follow(*found.links.pop(0))
    if found.unreadable:
        some = ', '.join(map(repr, found.unreadable[:5])) + (' and others' if len(found.unreadable) > 5 else '')
        raise ValueError(f'some of its folders cannot be read ({len(found.unreadable)}): {some}')
    return found.entries, found.folders, found.others, read_file, dict(found.skipped)


class _Walk:
    """A walk in progress. `files` and `seen` hold (device, inode) of the images and folders so far."""

    def __init__(self, root, sniffer):
        self.sniffer = sniffer
        self.entries, self.folders, self.others, self.unreadable = [], [], [], []
        self.links, self.skipped = [], defaultdict(list)
        self.special = _special_devices()
        if kind := self.special.get(os.stat(root).st_dev):
            raise ValueError(f'it is on the special file system {kind}, which has no images')
        self.files, self.seen = set(), {_identity(os.stat(parent)) for parent in Path(os.path.realpath(root)).parents}

    def enter(self, top, prefix):
        """Lists a folder and the folders in it; links are kept for later."""
        waiting = [(top, prefix)]
        while waiting:
            path, prefix = waiting.pop()
            try:
                about = os.stat(path)
                if _identity(about) in self.seen:
                    self.skipped[BACK].append(prefix.rstrip('/'))
                    continue
                if about.st_dev in self.special:
                    self.skipped['folders on a special file system'].append(prefix.rstrip('/'))
                    continue
                self.seen.add(_identity(about))
                with os.scandir(path) as inside:
                    inside = sorted(inside, key=lambda entry: entry.name)
            except OSError:
                self.unreadable.append(path)
                continue
            waiting += reversed([f for entry in inside if (f := self._entry(entry, prefix + entry.name))])

    def _entry(self, entry, name):
        """Notes one entry of a folder; returns (path, prefix) of a folder to enter."""
        if is_junk(entry.name):
            self.skipped[HIDDEN].append(name)
            return None
        if entry.is_symlink():
            self.links.append((entry.path, name))
        elif entry.is_dir(follow_symlinks=False):
            self.folders.append(name)
            return entry.path, name + '/'
        else:
            try:
                self._file(entry.path, name, entry.stat(follow_symlinks=False))
            except OSError:
                self.skipped['files that disappeared'].append(name)
        return None

    def _file(self, path, name, about):
        if not stat.S_ISREG(about.st_mode):
            self.skipped[NO_FILE].append(name)
        elif not self.sniffer.is_image(name, lambda: _head(path)):
            self.others.append(name)
        elif _identity(about) in self.files:
            self.skipped[TWICE].append(name)
        else:
            self.files.add(_identity(about))
            self.entries.append((name, about.st_size, None, (path, *archives.stamp(about))))

    def follow(self, path, name):
        """Notes what a link leads to."""
        try:
            about = os.stat(path)
        except OSError:
            self.skipped[DANGLING].append(name)
            if not os.path.splitext(name)[1]:
                self.folders.append(name)  # an empty one: it may have been a class
            return
        if stat.S_ISDIR(about.st_mode):
            if _identity(about) not in self.seen:
                self.folders.append(name)
            self.enter(path, name + '/')
        else:
            self._file(path, name, about)


def _head(path):
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return os.read(file, HEAD)
    finally:
        os.close(file)


def _identity(about):
    return about.st_dev << 64 | about.st_ino


def _special_devices():
    """{device number: type} of the file systems that are mounted and hold no files, if the system tells."""
    try:
        lines = Path('/proc/self/mountinfo').read_text(errors='replace').splitlines()
    except OSError:
        return {}
    found = {}
    for line in lines:
        about, _, kind = line.partition(' - ')
        if (kind := kind.split(' ')[0]) in _SPECIAL:
            found[os.makedev(*map(int, about.split()[2].split(':')))] = kind
    return found


def key_of(path):
    """Where a file is, for `read_file`.

    Raises:
      OSError: there is none, or no permission to look at it.
      ValueError: it is something else.
    """
    about = os.stat(path)
    if not stat.S_ISREG(about.st_mode):
        raise ValueError(f'it is {paths.kind(path)}, not a file')
    return os.path.abspath(path), *archives.stamp(about)


def read_file(key):
    """The bytes of a file; raises archive.Changed if it is not as `key_of` found it."""
    full, *listed = key
    try:
        file = os.open(full, os.O_RDONLY | os.O_NONBLOCK)  # a pipe that took its place must not wait for a writer
    except OSError as e:
        if e.errno in _GONE:
            raise archives.changed(full, 'is gone') from e
        raise
    try:
        about = os.fstat(file)
        if not stat.S_ISREG(about.st_mode) or archives.stamp(about) != tuple(listed):
            raise archives.changed(full)
        data = os.read(file, about.st_size)
    except OSError as e:
        raise OSError(e.errno, e.strerror, full) from e  # an error of read does not name the file
    finally:
        os.close(file)
    if len(data) < about.st_size:
        raise archives.changed(full)
    return data
