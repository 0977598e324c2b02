"""Paths that a user gives: one place says what they mean, and one makes the folders."""

import errno
import os
import stat
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def is_url(path) -> bool:
    """Whether a path names a place on a bucket."""
    return '://' in os.fspath(path)


def expand(given) -> str:
    """The path that a user means: ~ and ~user at its start are home folders, doubled and trailing slashes are left out.
    '' stays ''.

    Args:
      given: str or Path.

    Raises:
      ValueError: ~user names nobody on this machine, the path holds a NUL byte, or it is a URL.
    """
    given = os.fspath(given)
    if not given:
        return ''
    if '\0' in given:
        raise ValueError(f'the path {given!r} contains a NUL byte, which no file name can have.')
    if is_url(given):
        raise ValueError(
            f'{given} is on a bucket, which cannot be used here: copy it to a disk and give its path there. A '
            '--workdir, a run that is read, and the .zip, .tar or .npz of a source can be on a bucket.'
        )
    meant = os.path.expanduser(given)
    if given.startswith('~') and meant == given and not os.path.lexists(given):
        user = given.split('/')[0]
        raise ValueError(f'the path {given!r} begins with {user}, the home of a user whom this machine does not know: '
                         f'write ./{given} for a file of that name.')  # fmt: skip
    return str(Path(meant))


def workdir(given, config) -> Path:
    """Where a run or study of a config is kept: what the user gave, by default runs/NAME."""
    return Path(expand(given or Path('runs') / config.name))


def make_folder(given, field: str) -> Path:
    """Makes a folder, with those above it, if it is missing, and checks that it can be written to.

    Args:
      given: as for `expand`.
      field: what names it, for messages.

    Raises:
      ValueError: it cannot be made, is a file, or cannot be written to.
      OSError: the disk is full.
    """
    if not os.fspath(given):
        raise ValueError(f'{field} is empty: give the path of a folder.')
    path = Path(expand(given))
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in FULL:
            raise
        raise ValueError(f'{field}={given}: this folder cannot be made ({_why(error, path)}): give another.') from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise ValueError(f'{field}={given}: this folder cannot be written to: give another, or change its permissions.')
    return path


def kind(path) -> str:
    """A description of what is at a path."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        if os.path.islink(path):
            return 'a link that leads to itself' if error.errno == errno.ELOOP else 'a broken link'
        return 'in a folder that cannot be entered' if error.errno == errno.EACCES else 'nothing'
    return next((words for test, words in _KINDS if test(mode)), 'a file')


def obstacle(path) -> str:
    """': X is a file' for the first part of a path that is not a folder; '' if there is none."""
    for place in (*reversed(Path(path).parents), Path(path)):
        if not os.path.isdir(place):
            found = kind(place)
            return '' if found == 'nothing' else f': {str(place)!r} is {found}'
    return ''


def _why(error: OSError, path: Path) -> str:
    if stands := obstacle(path):
        return stands.replace(f': {str(path)!r}', 'it').removeprefix(': ')
    if error.errno == errno.ENOENT:
        return 'its file system accepts no folders'
    return (error.strerror or str(error)).lower()


_KINDS = (
    (stat.S_ISDIR, 'a folder'),
    (stat.S_ISFIFO, 'a named pipe'),
    (stat.S_ISSOCK, 'a socket'),
    (stat.S_ISCHR, 'a device'),
    (stat.S_ISBLK, 'a device'),
)
