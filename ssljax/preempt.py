"""SIGTERM, or Ctrl-C once, asks a run to save and end; it does so at the next step and exits with the code RESUME."""

import signal
import sys
import threading

RESUME = 75  # EX_TEMPFAIL: run the same command again and it goes on

_asked = threading.Event()


class Preempted(Exception):
    """Everything is saved; the same command goes on from here."""


def install() -> None:
    """Lets SIGTERM and the first SIGINT be noticed instead of ending the process at once."""
    signal.signal(signal.SIGTERM, _ask)
    signal.signal(signal.SIGINT, _ask)


def _ask(signum, _):
    if signum == signal.SIGINT:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        print('\nstopping when all is saved; Ctrl-C again stops at once', file=sys.stderr)
    _asked.set()


def asked() -> bool:
    """Whether SIGTERM or SIGINT has come."""
    return _asked.is_set()


def check() -> None:
    """Raises Preempted where one of them has come; for the places between stages, where all is on disk."""
    if asked():
        raise Preempted
