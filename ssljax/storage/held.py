"""A directory that a process works in: locked against others, and checked to be still there.

Files are written under its path, which can be deleted, moved or replaced during a run; what is written then would end
up in half a run's directory, or nowhere.
"""

import contextlib
import errno
import fcntl
import os
import secrets
import stat
import sys
import time
from pathlib import Path

from ssljax.processes import hosts
from ssljax.storage import paths
from ssljax.storage.disk import DiskError, disk_errors

LOCK = '.lock'
SEEN = 10.0  # seconds within which what one host writes is seen by the others
_held: dict = {}  # {absolute path: descriptor of the directory}; an open one keeps the inode from being reused
_shared: dict = {}  # {absolute path: how often} of those that the processes of a run hold together
_private: set = set()  # those of them that lie on a disk which only the first process sees


@contextlib.contextmanager
def lock(directory):
    """Holds a directory for this process, or for all that are one run; the system releases it however they end.

    Raises:
      ValueError: another process holds it.
      OSError: it cannot be made or written to.
    """
    directory = Path(directory).absolute()
    with contextlib.ExitStack() as closing:

        def hold():
            closing.enter_context(_locked(directory))

        hosts.told(hold)
        closing.enter_context(shared(directory))
        yield


@contextlib.contextmanager
def shared(directory):
    """Of several processes that are one run, only the first writes files in here. If not all see what it writes, only
    it reads them, too, and checkpoints (`private`)."""
    directory = Path(directory).absolute()
    if hosts.together() is None:
        yield
        return
    if not any(directory.is_relative_to(known) for known in _shared) and not _all_see(directory):
        _private.add(directory)
    _shared[directory] = _shared.get(directory, 0) + 1
    try:
        yield
    finally:
        _shared[directory] -= 1
        if not _shared[directory]:
            del _shared[directory]
            _private.discard(directory)


def private(path) -> bool:
    """Whether a path of a run is on a disk that not all of its processes see: the same answer in all."""
    path = Path(path).absolute()
    return any(path.is_relative_to(directory) for directory in _private)


def elsewhere(path) -> bool:
    """Whether a file is written by another process, the first of the run."""
    if hosts.first():
        return False
    path = Path(path).absolute()
    return any(path.is_relative_to(directory) for directory in _shared)


def _all_see(directory: Path) -> bool:
    token = directory / '.shared'
    said = hosts.told(_write_token, token)
    deadline, found = time.monotonic() + SEEN, False
    while not (found := _reads(token) == said) and time.monotonic() < deadline:
        time.sleep(0.1)
    blind = [name for name, sees in hosts.gather((hosts.label(), found)) if not sees]
    hosts.only_first(token.unlink)(missing_ok=True)
    if blind:
        _tell(directory, blind)
    return not blind


@hosts.only_first
def _tell(directory: Path, blind: list[str]) -> None:
    others = f'{", ".join(blind[:3])}{" and others" * (len(blind) > 3)}'
    print(f'note: {directory} is not on a disk that {others} can see: {hosts.label()} reads and writes for all.',
          file=sys.stderr)  # fmt: skip


def _write_token(path: Path) -> str:
    said = secrets.token_hex(8)
    path.write_text(said)
    return said


def _reads(path: Path) -> str:
    try:
        os.listdir(path.parent)  # makes a network disk look again
        return path.read_text()
    except OSError:
        return ''


@contextlib.contextmanager
def _locked(directory: Path):
    with disk_errors(directory), contextlib.ExitStack() as closing:
        paths.make_folder(directory, '--workdir')
        place = os.open(directory, os.O_RDONLY)
        closing.callback(os.close, place)
        file = open_lock(directory / LOCK)
        closing.callback(os.close, file)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f'another run is using {directory}: wait for it, or give another --workdir.') from None
        closing = closing.pop_all()
    with closing:
        _held[directory] = place, os.fstat(file)
        try:
            yield
        finally:
            del _held[directory]


def open_lock(path: Path) -> int:
    """The descriptor of a file to lock, which is made if it is missing; nothing is written to it.

    Raises:
      ValueError: something else has its name, such as a link, whose target is no business of ours, or a named pipe.
      OSError: it cannot be opened.
    """
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
        if stat.S_ISREG(os.fstat(file).st_mode):
            return file
        os.close(file)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise
    what = 'a link' if path.is_symlink() else paths.kind(path)
    raise ValueError(
        f'{path} is {what}, but must be a plain file, the lock of a running process: remove it and rerun the same '
        'command.'
    )


@contextlib.contextmanager
def disk_errors_in(directory):
    """As `disk_errors`; if the directory that this process holds is gone, that is the error."""
    try:
        with disk_errors(directory):
            yield
    except DiskError:
        check(directory)
        raise


def check(path) -> None:
    """Raises OSError if `path` is in a directory that this process holds, and that is no longer there."""
    path = Path(path).absolute()
    for directory, (place, lock) in list(_held.items()):
        if not path.is_relative_to(directory):
            continue
        try:
            now = os.stat(directory)
        except OSError:
            now = None
        if now is None or not os.path.samestat(now, os.fstat(place)):
            what = 'no longer exists' if now is None else 'is a different directory now'
            raise DiskError(
                errno.ESTALE,
                f'{directory} {what}: it was deleted, moved or replaced while this run was using it. If it was '
                'moved, move it back and rerun the same command; what was deleted must be recomputed.',
            )
        with contextlib.suppress(FileNotFoundError):
            if not os.path.samestat(os.stat(directory / LOCK), lock):
                raise DiskError(
                    errno.ESTALE,
                    f'{directory / LOCK} was replaced during this run: another run may have started there. '
                    'Once none is running, rerun the same command.',
                )
