"""Where metrics go: metrics.jsonl, TensorBoard event files and one line of progress."""

import errno
import json
import math
import os
import sys
import time
import zlib
from pathlib import Path

from absl import logging
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.summary import scalar

from ssljax.metrics import SELECT
from ssljax.processes import hosts
from ssljax.storage import files, held
from ssljax.storage.disk import DiskError, disk_errors

CRC = 'crc'


def begin(directory, *args, **kw) -> 'MetricLog | Silent':
    """The MetricLog of a stage; of several processes, only the first writes one."""
    if not hosts.first():
        return Silent(directory)
    with hosts.apart():
        return MetricLog(directory, *args, **kw)


class Silent:
    """Stands in for a MetricLog that another process writes."""

    def __init__(self, directory):
        self.path = Path(directory) / 'metrics.jsonl'

    def _nothing(self, *args, **kw) -> None:
        pass

    write = progress = note = close = _nothing


class MetricLog:
    """One stage's metrics. Flat names such as 'train/loss'; one JSON object per line, each with its step."""

    def __init__(self, directory, title: str, total: int, resume_step: int, track=None, first: int = 0):
        """Lines after `resume_step` are dropped: the steps that wrote them are trained again. Without a title there is
        no progress line. first: the step that writes the first line."""
        self.path = Path(directory) / 'metrics.jsonl'
        rows, bad = parse(self.path)
        kept = [r for r in rows if r['step'] <= resume_step]
        if bad and self.path.is_file():
            files.set_aside(self.path, f'{bad} lines that cannot be read')
        if resume_step > first and not kept:
            logging.warning('%s has lost the lines up to step %d.', self.path, resume_step)
        files.write_atomically(self.path, ''.join(line(r.pop('step'), r) for r in kept))
        with disk_errors(self.path):
            self.file = open(self.path, 'a')
            # In this thread: on a full disk tensorboardX's own would end with a traceback, and wait for ever.
            self.tensorboard = EventsWriter(str(self.path.parent / 'events'))
        self._event(Event(step=resume_step + 1, file_version='brain.Event:2'))
        self._event(Event(step=resume_step + 1, session_log=SessionLog(status=SessionLog.START)))
        self.title, self.total, self.track = title, total, track
        self.started, self.shown, self.rate = time.monotonic(), -math.inf, 0.0
        self.last: dict = {}

    def write(self, step: int, metrics: dict, left: float | None = None, rate: float = 0.0) -> None:
        """Appends {name: float} at `step`; left: the seconds that the stage may still take, None if unknown; rate:
        images per second without compilation, 0 if unknown."""
        self._there()
        with disk_errors(self.path):
            self.file.write(line(step, metrics))
            self.file.flush()
        for name, value in metrics.items():
            if name != 'epoch':
                self._event(Event(step=step, summary=scalar(name, value)))
        with disk_errors(self.path.parent):
            self.tensorboard.flush()
        if self.track:
            self.track(step, metrics)
        self.last |= metrics
        self.rate = rate or self.rate
        self.progress(step, '' if left is None else f'{clock(left)} left')

    def _there(self) -> None:
        """Raises OSError if the file is no longer the one that was opened."""
        held.check(self.path)
        if not self.path.exists() or not os.path.samestat(os.stat(self.path), os.fstat(self.file.fileno())):
            raise DiskError(
                errno.ENOENT,
                f'{self.path} was deleted or replaced during training. Rerun the same command: it continues '
                'from what is there',
            )

    def _event(self, event) -> None:
        event.wall_time = time.time()
        with disk_errors(self.path.parent):
            self.tensorboard.write_event(event)

    def progress(self, step: int, what: str = '', end: bool = False) -> None:
        """On a terminal, one line with a bar that is overwritten; elsewhere a new line, after 10 seconds and then ever
        less often. It ends with `what`."""
        tty, now = sys.stderr.isatty(), time.monotonic()
        pause = 0.2 if tty else max(10.0, (now - self.started) / 10)
        if not self.title or not end and now - self.shown < pause:
            return
        self.shown = now
        wanted = ('train/loss', 'train/top1', *(f'val/{name}' for name in (*SELECT, 'mAP')))
        shown = [_short(k, self.last[k]) for k in wanted if k in self.last]
        what = clock(now - self.started) if end else what
        bar = f'{_bar(step / max(self.total, 1))} ' if tty and not end else ''
        speed = f'{self.rate:,.0f} images/s' if self.rate else ''
        text = ' · '.join([f'{self.title:<28} {bar}{step:>6}/{self.total}', *shown, *filter(None, [speed, what])])
        print(
            '\r\x1b[K' + text if tty else text,
            end='\n' if end or not tty else '',
            file=sys.stderr,
            flush=True,
        )

    def note(self, step: int, text: str) -> None:
        """A line of its own."""
        print(f'\n{self.title}, step {step}: {text}', file=sys.stderr, flush=True)

    def close(self, step: int) -> None:
        """Ends the progress line and the event file."""
        self.progress(step, end=True)
        with disk_errors(self.path.parent):
            self.file.close()
            self.tensorboard.close()


def _short(name, value):
    return f'{name} {100 * value:.1f}%' if name.endswith(('top1', 'top5', 'mAP')) else f'{name} {value:.3f}'


def _bar(share: float, width: int = 12) -> str:
    full = round(share * width)
    return '█' * full + '░' * (width - full)


def clock(seconds: float) -> str:
    """'1:02:03' or '2:03'."""
    m, s = divmod(round(seconds), 60)
    h, m = divmod(m, 60)
    return f'{h}:{m:02}:{s:02}' if h else f'{m}:{s:02}'


def line(step: int, metrics: dict) -> str:
    """A line of metrics.jsonl; its 'crc' is the CRC-32 of the line without it."""
    text = json.dumps({'step': step, **metrics})
    return f'{text[:-1]}, "{CRC}": "{zlib.crc32(text.encode()):08x}"}}\n'


def read(path) -> list[dict]:
    """The rows of a metrics.jsonl. A last line that a kill truncated is left out; so are, with a warning, lines that
    cannot be read or are not as they were written."""
    rows, bad = parse(path)
    if bad:
        logging.warning('%s: skipped %d unreadable lines.', path, bad)
    return rows


@hosts.by_first
def parse(path) -> tuple[list[dict], int]:
    """(the rows of a metrics.jsonl, how many lines cannot be read)."""
    try:
        content = files.read_bytes(path) or b''
    except files.Damaged as e:
        logging.warning('%s', e)
        return [], 1
    lines = content.split(b'\n')
    rows = [_row(text) for text in lines if text.strip()]
    cut = bool(lines[-1].strip()) and rows[-1] is None
    return [r for r in rows if r is not None], rows.count(None) - cut


def _row(text: bytes) -> dict | None:
    """The metrics of a line by name, with 'step', or None if it is not as it was written."""
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or not isinstance(row.get('step'), int):
        return None
    crc = row.pop(CRC, None)
    if crc is not None and crc != f'{zlib.crc32(json.dumps(row).encode()):08x}':
        return None
    return row if all(isinstance(v, int | float) for v in row.values()) else None
