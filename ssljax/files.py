"""Small files, written whole or not at all."""

import contextlib
import io
import json
import os
from pathlib import Path

import numpy as np


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
                f.write(content.encode() if isinstance(content, str) else content)
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
def disk_errors(directory):
    """Turns a full disk into one clear OSError."""
    try:
        yield
    except (OSError, ValueError) as e:
        text = str(e)
        if getattr(e, 'errno', None) == 28 or 'No space left' in text or 'RESOURCE_EXHAUSTED' in text:
            raise OSError(
                28, f'no space left for {directory}: free some and run the same command again; '
                'the last complete checkpoint is intact'
            ) from e
        raise
