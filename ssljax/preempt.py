"""SIGTERM asks a run to save and end; it does so at the next step and exits with the code RESUME."""

import signal
import threading

RESUME = 75  # EX_TEMPFAIL: run the same command again and it goes on

_asked = threading.Event()


class Preempted(Exception):
    """Everything is saved; the same command goes on from here."""


def install() -> None:
    """Lets SIGTERM be noticed instead of ending the process at once."""
    signal.signal(signal.SIGTERM, lambda *_: _asked.set())


def asked() -> bool:
    """Whether SIGTERM has come."""
    return _asked.is_set()


def check() -> None:
    """Raises Preempted where SIGTERM has come; for the places between stages, where all is on disk."""
    if asked():
        raise Preempted
