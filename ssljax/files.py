"""Small files, written whole or not at all."""

import contextlib
import errno
import fcntl
import io
import json
import os
import shutil
from pathlib import Path

import numpy as np

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_json(path, value) -> None:
    """Writes JSON so that a reader sees the old file or the new one, never a part."""
    write_atomically(path, json.dumps(value, indent=1))


def write_npz(path, arrays: dict) -> None:
    """Writes compressed arrays, whole or not at all."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_atomically(path, buffer.getvalue())


def write_atomically(path, content: str | bytes) -> None:
    """Writes a whole file or nothing."""
    path = Path(path)
    temporary = path.with_name(f'.{path.name}.{os.getpid()}')
    with disk_errors(path.parent):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(temporary, 'wb') as f:
                f.write(content.encode('utf-8', 'backslashreplace') if isinstance(content, str) else content)
                f.flush()
                os.fsync(f.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def read_json(path):
    """The value of a JSON file, or None where there is no file."""
    path = Path(path)
    return json.loads(path.read_text()) if path.exists() else None


@contextlib.contextmanager
def lock(directory):
    """Holds a directory for this process; the system lets go of it however the process ends.

    Raises:
      ValueError: another process holds it.
    """
    directory = Path(directory)
    with disk_errors(directory):
        directory.mkdir(parents=True, exist_ok=True)
    with open(directory / '.lock', 'w') as f:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f'another run is at work in {directory}: wait for it, or give another --workdir.'
            ) from None
        yield


def check_space(directory, needed: int) -> None:
    """Raises the OSError of a full disk before anything is begun, where `needed` bytes do not fit."""
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise OSError(
            errno.ENOSPC, full(directory, f'{needed / 2**20:.1f} MiB are needed, {free / 2**20:.1f} are free')
        )


def full(directory, detail: str) -> str:
    """What a user is told of a full disk."""
    return (
        f'no space left for {directory} ({detail}). Free some and run the same command again: it goes on from the '
        'last complete checkpoint, which is intact'
    )


@contextlib.contextmanager
def disk_errors(directory):
    """Turns a full disk into one clear OSError."""
    try:
        yield
    except (OSError, ValueError) as e:
        text = str(e)
        if getattr(e, 'errno', None) in FULL or 'No space left' in text or 'RESOURCE_EXHAUSTED' in text:
            raise OSError(errno.ENOSPC, full(directory, 'the disk, a quota or a limit')) from e
        raise
