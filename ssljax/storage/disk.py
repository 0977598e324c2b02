"""What can go wrong with a disk, as messages that say what to do."""

import contextlib
import errno
import os
import re
import shutil
from pathlib import Path

FILES = 100  # that a checkpoint may take
AGAIN = 'rerun the same command: it resumes from the last complete checkpoint, which is intact'
FREE = f'Free some space and {AGAIN}'
WAY = f'Move it away and {AGAIN}'
KINDS = {  # errno: (what is wrong with a directory, what to do)
    errno.EDQUOT: ('the disk quota is used up for {}', FREE),
    errno.EFBIG: (
        'a file would be larger than a limit allows in {}',
        f'Raise the limit of this shell (ulimit -f unlimited) or, if it has none, use a file system that allows '
        f'larger files; then {AGAIN}',
    ),
    errno.EIO: ('the disk under {} failed to read or write', f'Check the disk, then {AGAIN}'),
    errno.EMFILE: ('too many files are open to continue in {}', f'Raise the limit (ulimit -n) and {AGAIN}'),
    errno.ENFILE: ('too many files are open on this machine to continue in {}', f'Close other programs and {AGAIN}'),
    errno.EROFS: ('{} is on a read-only file system', 'Give a --workdir that can be written to'),
    errno.EACCES: ('no permission for {}', 'Change its permissions, or give another --workdir'),
    errno.EPERM: ('no permission for {}', 'Change its permissions, or give another --workdir'),
    errno.EEXIST: ('there is a file where a directory is needed, in {}', WAY),
    errno.ENOTDIR: ('there is a file where a directory is needed, in {}', WAY),
    errno.EISDIR: ('there is a directory where a file is needed, in {}', WAY),
    errno.ENAMETOOLONG: ('{} is too long for a path', 'Give a shorter --workdir'),
    errno.ENOENT: ('{}, or something in it, was deleted in the meantime', f'If it cannot be restored, {AGAIN}'),
    errno.ESTALE: ('{} was deleted, or its network disk was remounted', f'Once it is back, {AGAIN}'),
}
# Never a bug in a program, wherever they come from.
OF_THE_MACHINE = (
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EMFILE, errno.ENFILE, errno.EROFS, errno.ESTALE
)  # fmt: skip


class DiskError(OSError):
    """What a file system refused, as a message for the user."""


def check_space(directory, needed: int) -> None:
    """Raises the OSError of a full disk before anything is begun, if `needed` bytes or FILES files do not fit."""
    free = shutil.disk_usage(directory).free
    if free < needed:
        detail = f'{needed / 2**20:.1f} MiB are needed, {free / 2**20:.1f} are free'
        raise DiskError(errno.ENOSPC, full(directory, detail))
    left = inodes_left(directory)
    if left is not None and left < FILES:
        raise DiskError(errno.ENOSPC, out_of_inodes(directory, left))


def inodes_left(directory) -> int | None:
    """How many files can still be made, or None if the file system has no such limit or there is no directory."""
    try:
        found = os.statvfs(directory)
    except OSError:
        return None
    return found.f_favail if found.f_files else None


def full(directory, detail: str) -> str:
    """The message for a full disk."""
    return f'no space left for {directory} ({detail}). {FREE}'


def out_of_inodes(directory, left: int) -> str:
    """The message for a disk with space but no free inodes."""
    return (
        f'no inodes left for {directory} (the file system can hold {left} more files, however much space is free; see '
        f'df -i). Delete files that are not needed and {AGAIN}'
    )


def alone(text: str) -> str:
    """A message reworded for where there is no run that could be resumed."""
    return text.replace(AGAIN, 'rerun the same command').replace('--workdir', 'path')


@contextlib.contextmanager
def disk_errors(directory):
    """Turns what a file system refuses into one clear DiskError; whatever else is raised passes, and so do this
    package's own messages."""
    try:
        yield
    except Exception as e:
        found = None if not isinstance(e, OSError) and raised_by_us(e) else explained(e, directory)
        if found is None or found is e:
            raise
        raise found from e


def raised_by_us(error: BaseException) -> bool:
    """Whether this package raised the error itself: a message for the user, who needs no traceback."""
    frame = error.__traceback__
    while frame and frame.tb_next:
        frame = frame.tb_next
    return frame is not None and Path(frame.tb_frame.f_code.co_filename).is_relative_to(Path(__file__).parents[1])


def explained(error: BaseException, directory) -> DiskError | None:
    """The DiskError that says what a file system refused in `directory`, or None if `error` is of another kind.

    C++ libraries give the errno only as text, and threads wrap what they raise.
    """
    if isinstance(error, DiskError):
        return error  # from within
    number = errno_of(error)
    if number is None:
        return None
    named = getattr(error, 'filename', None)
    place = named if named and os.path.isabs(str(named)) else directory
    if number == errno.ENOSPC:
        left = inodes_left(directory)
        text = out_of_inodes(directory, left) if left == 0 else full(directory, 'the disk, a quota or a limit')
        return DiskError(number, text)
    if number in KINDS:
        what, advice = KINDS[number]
        return DiskError(number, f'{what.format(place)}. {advice}')
    return DiskError(number, f'{place} cannot be used ({os.strerror(number)})')


def errno_of(error: BaseException | None) -> int | None:
    """The errno of an error, of what it was raised from, or of those that it groups."""
    if error is None:
        return None
    if isinstance(error, OSError) and error.errno:
        return error.errno
    for inner in getattr(error, 'exceptions', ()):
        if found := errno_of(inner):
            return found
    if number := re.search(r"(?:OS error |Errno |os_error_code=')(\d+)", str(error)):
        return int(number[1])
    if 'No space left' in str(error):
        return errno.ENOSPC
    return errno_of(error.__cause__)
