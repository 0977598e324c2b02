"""Where metrics go: metrics.jsonl, TensorBoard event files and one line of progress."""

import json
import sys
import time
from pathlib import Path

from tensorboardX import SummaryWriter

from ssljax.files import write_atomically


class MetricLog:
    """One stage's metrics. Flat names such as 'train/loss'; one JSON object a line, each with its step."""

    def __init__(self, directory, title: str, total: int, resume_step: int):
        """Lines after `resume_step` are dropped: the steps that wrote them are trained again. Without a title there is
        no line of progress."""
        self.path = Path(directory) / 'metrics.jsonl'
        self.path.parent.mkdir(parents=True, exist_ok=True)
        kept = [r for r in read(self.path) if r['step'] <= resume_step]
        write_atomically(self.path, ''.join(json.dumps(r) + '\n' for r in kept))
        self.tensorboard = SummaryWriter(str(self.path.parent), purge_step=resume_step + 1)
        self.title, self.total = title, total
        self.started, self.shown, self.last = time.time(), 0.0, {}

    def write(self, step: int, metrics: dict, left: float | None = None) -> None:
        """Appends {name: float} at `step`; left: the seconds that the stage may still take, None where nobody knows."""
        with open(self.path, 'a') as f:
            f.write(line(step, metrics))
        for name, value in metrics.items():
            if name != 'epoch':
                self.tensorboard.add_scalar(name, value, step)
        self.last |= metrics
        self.progress(step, '' if left is None else f'{clock(left)} left')

    def progress(self, step: int, what: str = '', end: bool = False) -> None:
        """On a terminal one line that is written over; elsewhere a line every 10 seconds. It ends with `what`."""
        tty, now = sys.stderr.isatty(), time.time()
        if not self.title or not end and now - self.shown < (0.2 if tty else 10.0):
            return
        self.shown = now
        wanted = ('train/loss', 'train/top1', 'val/top1')
        shown = [_short(k, self.last[k]) for k in wanted if k in self.last]
        what = clock(now - self.started) if end else what
        text = ' · '.join([f'{self.title:<28} {step:>6}/{self.total}', *shown, *filter(None, [what])])
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
        """Ends the line of progress and the event file."""
        self.progress(step, end=True)
        self.tensorboard.close()


def _short(name, value):
    return f'{name} {100 * value:.1f}%' if name.endswith(('top1', 'top5')) else f'{name} {value:.3f}'


def clock(seconds: float) -> str:
    """'1:02:03' or '2:03'."""
    m, s = divmod(round(seconds), 60)
    h, m = divmod(m, 60)
    return f'{h}:{m:02}:{s:02}' if h else f'{m}:{s:02}'


def line(step: int, metrics: dict) -> str:
    """A line of metrics.jsonl."""
    return json.dumps({'step': step, **metrics}) + '\n'


def read(path) -> list[dict]:
    """The rows of a metrics.jsonl; a last line that a kill cut short is left out."""
    path, rows = Path(path), []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows
