"""Files and folders while they are written: .NAME.PID, beside their place."""

import contextlib
import os
import re
import shutil
import time
from pathlib import Path

AGE = 3600.0  # seconds: younger ones may belong to a process on another machine that shares the disk
_made: set = set()  # what `beside` has given


def beside(path) -> Path:
    """Where this process writes a file or folder whose place is `path`.

    What a killed process has left of the same file is removed, if no process here has its number and nothing was
    written to it for AGE.
    """
    path = Path(path)
    _made.add(temporary := path.with_name(f'.{path.name}.{os.getpid()}'))
    for name, pid in _left(path):
        there = path.with_name(name)
        with contextlib.suppress(OSError):
            if not _alive(pid) and time.time() - os.lstat(there).st_mtime > AGE:
                _remove(there)
    return temporary


def remove() -> None:
    """Removes what this process has not put in its place, when it ends without another chance to do so."""
    for path in list(_made):
        with contextlib.suppress(OSError):
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink()


def _left(path: Path) -> list[tuple[str, int]]:
    """(name, PID) of the temporaries of a file."""
    pattern = re.compile(rf'\.{re.escape(path.name)}\.([0-9]{{1,9}})')
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:
        return [(e.name, int(found[1])) for e in entries if (found := pattern.fullmatch(e.name))]
    return []


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True
