"""How long a run took, over all the processes that worked on it: WORKDIR/time.json."""

import contextlib
import datetime
import time
from pathlib import Path

from ssljax.processes import hosts
from ssljax.storage import files

_STARTED = time.time(), time.monotonic()


def now() -> float:
    """time.time(), unaffected by changes of the clock since this process began."""
    return _STARTED[0] + time.monotonic() - _STARTED[1]


@hosts.only_first
def begin(workdir, at: float | None = None) -> None:
    """Notes that a process begins to work on a run. An earlier one that was killed counts as ended when it last wrote a
    file. Opening a run that has its result does not add to its time."""
    workdir, at = Path(workdir), now() if at is None else at
    spans = _spans(workdir)
    if _finished(workdir) and not spans:
        spans = [_finished(workdir)]
        _write(workdir, spans)
    if _finished(workdir):
        return
    if spans and spans[-1][1] is None:
        spans[-1][1] = max(spans[-1][0], min(at, _last_write(workdir)))
    elif not spans and (workdir / 'config.json').exists():  # begun before the times were kept
        began = min(at, (workdir / 'config.json').stat().st_mtime)
        spans.append([began, began + _of_stages(workdir)])
    _write(workdir, [*spans, [at, None]])


@hosts.only_first
def end(workdir, at: float | None = None) -> None:
    """Notes that this process has done its work, or stops."""
    spans = _spans(workdir)
    if spans and spans[-1][1] is None:
        spans[-1][1] = max(spans[-1][0], now() if at is None else at)
        with contextlib.suppress(OSError):  # it must not hide why the run stops
            _write(Path(workdir), spans)


@hosts.by_first
def total(workdir, at: float | None = None) -> tuple[float, float]:
    """(when the first process began, in seconds since 1970; the seconds that all of them took, until now)."""
    at = now() if at is None else at
    spans = _spans(workdir) or [[at, at]]
    return spans[0][0], sum(max(0.0, (at if end is None else end) - begin) for begin, end in spans)


def _write(workdir: Path, spans: list) -> None:
    files.write_json(workdir / 'time.json', {'spans': spans})


def _spans(workdir) -> list:
    """[[begin, end or None], ...]; [] without the file, or if it is damaged: the time is no reason to end a run."""
    try:
        found = (files.read_json(Path(workdir) / 'time.json') or {}).get('spans', [])
        return [[float(begin), None if end is None else float(end)] for begin, end in found]
    except (OSError, ValueError, TypeError, AttributeError):
        return []


def _finished(workdir: Path):
    """[begin, end] as result.json has them; None if the run has not ended."""
    try:
        found = files.read_json(workdir / 'result.json') or {}
        began = datetime.datetime.fromisoformat(found['started']).timestamp()
        return [began, began + float(found['seconds'])]
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _last_write(workdir: Path) -> float:
    times = [0.0]
    for path in workdir.rglob('*'):
        try:
            if path.name != '.lock':  # the process that begins has just written that
                times.append(path.stat().st_mtime)
        except OSError:
            continue
    return max(times)


def _of_stages(workdir: Path) -> float:
    """The seconds of the stages that have ended."""
    seconds = 0.0
    for path in workdir.glob('seed*/*/done.json'):
        try:
            seconds += float((files.read_json(path) or {})['seconds'])
        except (OSError, ValueError, TypeError, KeyError):
            continue
    return seconds
