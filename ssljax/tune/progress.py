"""What tuning says while it works."""

import sys
import time

from ssljax import config as configs
from ssljax.progress.log import clock

EVERY = 3.0  # seconds between lines where there is no terminal


class Progress:
    """A line for a trial that ends, at most one per EVERY seconds; on a terminal, one line that is overwritten."""

    def __init__(self, began: float, seconds: float, quiet: bool = False):
        """seconds: that tuning may take since `began`, a time.time()."""
        self.began, self.seconds, self.quiet, self.shown = began, seconds, quiet, 0.0

    def trial(self, way: str, number: int, what: str, outcome: str = '') -> None:
        """Says what is tried, and its outcome once there is one."""
        tty, now = sys.stderr.isatty(), time.time()
        if self.quiet or not tty and (not outcome or now - self.shown < EVERY):
            return
        self.shown = now
        used = f'{clock(now - self.began)} of {clock(self.seconds)}'
        text = ' · '.join(filter(None, [f'tuning {way}, {used}', f'trial {number}', what, outcome]))
        print(f'\r\x1b[K{text}' if tty else text, end='' if tty else '\n', file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        """A line that stays."""
        if not self.quiet:
            print(f'\r\x1b[K{text}' if sys.stderr.isatty() else text, file=sys.stderr, flush=True)


def changes(old, new) -> str:
    """'optim.lr=0.1, weight_decay=0.0': the fields in which two configs differ, with the new values."""
    found = configs.differences(configs.to_dict(old), configs.to_dict(new))
    named = [line.partition(': ')[0].removeprefix('transfer.').removeprefix('semi.') for line in found]
    return ', '.join(f'{name}={line.rpartition(" -> ")[2]}' for name, line in zip(named, found)) or 'as it is'
