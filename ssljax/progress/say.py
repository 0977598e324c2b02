"""What a command is doing: on a terminal one line that is overwritten, elsewhere one line each."""

import sys
import time

from ssljax.processes import hosts

PATIENCE = 2.0  # seconds of counting before anything is said


def status(text: str) -> None:
    """Says what begins now; '' ends it: the line of a terminal is cleared."""
    if sys.stderr.isatty():
        print(f'\r\x1b[K{text}', end='', file=sys.stderr, flush=True)
    elif text:
        print(text, file=sys.stderr, flush=True)


class Counter:
    """Shows how many of the total are done, for work that takes more than PATIENCE seconds; without a title it says
    nothing."""

    def __init__(self, title: str, total: int):
        self.title, self.total, self.began, self.shown = title, total, time.monotonic(), 0.0

    def at(self, done: int) -> None:
        """Says that this many are done."""
        hosts.alive()
        tty, now = sys.stderr.isatty(), time.monotonic()
        if not self.title or now - self.began < PATIENCE or now - self.shown < (0.2 if tty else 10.0):
            return
        self.shown = now
        status(f'{self.title}: {done:,} of {self.total:,}')

    def end(self) -> None:
        """Ends the count."""
        if self.shown:
            status('')
