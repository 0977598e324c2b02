"""Small files: written completely or not at all, and only read if intact."""

import contextlib
import errno
import io
import json
import math
import os
import zipfile
import zlib
from pathlib import Path

import numpy as np
from absl import logging

from ssljax.processes import preempt
from ssljax.storage import held, temporaries
from ssljax.storage.disk import disk_errors
from ssljax.storage.held import lock  # noqa: F401  (files.lock)

CHECKSUM = 'checksum'  # the last key of a JSON object that was written here
NUMBER = (int, float)


class Damaged(ValueError):
    """A file, or a directory, does not hold what was written there."""

    def __init__(self, path, why: str, advice: str = ''):
        super().__init__(f'{path} is damaged ({why})' + (f': {advice}' if advice else ''))
        self.path, self.why, self._given = Path(path), why, (path, why, advice)

    def __reduce__(self):
        return type(self), self._given


def write_json(path, value) -> None:
    """Writes JSON so that a reader sees the old file or the new one, never a part. An object gets a checksum."""
    if isinstance(value, dict):
        value = value | {CHECKSUM: checksum(value)}
    write_atomically(path, json.dumps(value, indent=1))


def checksum(value: dict) -> str:
    """'crc32:<hex>' of an object as it is after a round trip through JSON."""
    text = json.dumps(json.loads(json.dumps(value)), sort_keys=True)
    return f'crc32:{zlib.crc32(text.encode()):08x}'


def write_npz(path, arrays: dict) -> None:
    """Writes compressed arrays, whole or not at all."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_atomically(path, buffer.getvalue())


def write_npy(path, array) -> None:
    """Writes one array, whole or not at all."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    write_atomically(path, buffer.getvalue())


def write_atomically(path, content: str | bytes) -> None:
    """Writes a whole file or nothing. A directory in its place is set aside. Of several processes that hold a directory
    together, only the first writes there.

    Raises:
      OSError: the disk is full or cannot be written to, or the directory that this process holds is gone.
    """
    path = Path(path)
    if held.elsewhere(path):
        return
    temporary = temporaries.beside(path)
    held.check(path)
    with disk_errors(path.parent), preempt.hold():
        if path.is_dir():
            set_aside(path, 'it is a directory')
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(temporary, 'wb') as f:
                f.write(content.encode('utf-8', 'backslashreplace') if isinstance(content, str) else content)
                f.flush()
                os.fsync(f.fileno())
            os.replace(temporary, path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def read_bytes(path) -> bytes | None:
    """The content of a file, or None if there is none.

    Raises:
      Damaged: something else is in its place, or the disk cannot read it.
      OSError: it must not be read.
    """
    path = Path(path)
    with disk_errors(path):
        if not path.exists():
            return None
        if not path.is_file():
            raise Damaged(path, 'it is a directory' if path.is_dir() else 'it is not a regular file')
        with bad_sectors(path):
            return path.read_bytes()


@contextlib.contextmanager
def bad_sectors(path):
    """Turns the error of a disk that cannot read a file into Damaged."""
    try:
        yield
    except OSError as e:
        if e.errno != errno.EIO:
            raise
        raise Damaged(path, 'the disk cannot read it') from e


@contextlib.contextmanager
def advising(advice: str):
    """Adds to a Damaged error what can be done about it."""
    try:
        yield
    except Damaged as e:
        raise Damaged(e.path, e.why, advice) from e


def read_json(path, keys: dict | None = None) -> dict | None:
    """The object in a JSON file, or None if there is no file.

    Args:
      path: the file.
      keys: {key: type}, what a file without a checksum must have; NUMBER requires a finite number.

    Raises:
      Damaged: it is not a JSON object, its checksum does not match, or it lacks a key.
      OSError: it must not be read.
    """
    content = read_bytes(path)
    if content is None:
        return None
    try:
        value = json.loads(content.decode())
    except UnicodeDecodeError as e:
        raise Damaged(path, f'it is not UTF-8: {e}') from e
    except (ValueError, RecursionError) as e:
        raise Damaged(path, f'it is not valid JSON: {e}' if content else 'it is empty') from e
    if not isinstance(value, dict):
        raise Damaged(path, f'it holds {json.dumps(value)[:20]}, not an object')
    said = value.pop(CHECKSUM, None)
    if said is not None and said != checksum(value) or any(str(v).startswith('crc32:') for v in value.values()):
        raise Damaged(path, 'its content does not match its checksum')
    for key, kind in (keys or {}).items() if said is None else ():
        if key not in value:
            raise Damaged(path, f'it has no {key!r}')
        if not _is(value[key], kind):
            raise Damaged(path, f'its {key!r} is {json.dumps(value[key])[:40]}')
    return value


def _is(value, kind) -> bool:
    if isinstance(value, bool) and kind is not bool:
        return False
    return isinstance(value, kind) and (not isinstance(value, float) or math.isfinite(value))


def read_npz(path) -> dict | None:
    """The arrays of an .npz file, or None if there is no file; nothing in it is unpickled.

    Raises:
      Damaged: it is not such a file, or its content does not match its CRC-32.
      OSError: it must not be read.
    """
    content = read_bytes(path)
    if content is None:
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if bad := archive.testzip():
                raise Damaged(path, f'the content of {bad} does not match its checksum')
        with np.load(io.BytesIO(content), allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    except Damaged:
        raise
    except Exception as e:  # zipfile, zlib and NumPy each have their own
        raise Damaged(path, 'it is empty' if not content else f'it is not an .npz file: {e}') from e


def set_aside(path, why) -> Path:
    """Renames what cannot be used to NAME.damaged, with a number if that is taken; returns the new path.

    Raises:
      OSError: it cannot be renamed.
    """
    path, number = Path(path), 1
    if held.elsewhere(path):
        return path
    target = path.with_name(f'{path.name}.damaged')
    while target.exists():
        number += 1
        target = path.with_name(f'{path.name}.damaged{number}')
    held.check(path)
    with disk_errors(path):
        os.rename(path, target)
    logging.warning('%s was renamed to %s (%s).', path, target.name, why)
    return target
