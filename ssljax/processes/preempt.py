"""SIGTERM, SIGHUP, or Ctrl-C once, asks a run to save and end; it exits with the code RESUME.

The training loop saves and raises Preempted at its next step; other long work asks `check` now and then. What cannot
ask, such as a compilation, is ended by a thread after PATIENCE seconds: outside the loop all that is finished is on
disk. Nothing is ever raised from a signal handler, which could interrupt anything, even C++ code that aborts on it.

Of several processes that are one run, a signal to any stops all at the same point (`peers`): they `ask` and `check` at
the same points, in the same order.
"""

import contextlib
import functools
import os
import signal
import threading
import time
from collections.abc import Callable

from ssljax.processes import hosts, peers
from ssljax.text import console

RESUME = peers.RESUME
PATIENCE = 1.0  # seconds
SIGNALS = tuple(getattr(signal, name) for name in ('SIGTERM', 'SIGINT', 'SIGHUP') if hasattr(signal, name))

_asked, _said = threading.Event(), threading.Lock()
_unsaved: set = set()
_endings: list = []
_change = threading.Condition()
_LOOP = 'the training loop'


class Preempted(BaseException):
    """Everything is saved; rerunning resumes. Not an Exception, so that nothing takes it for a failure."""


def early() -> None:
    """Until `install`, a signal ends the process with a line and the usual code, 128 and its number; for the imports.

    SIGHUP stays ignored if it is, as under nohup. Standard streams that are closed are opened first (`console.reopen`).
    """
    console.reopen()
    for signum in _wanted():
        signal.signal(signum, lambda signum, _: _leave(128 + signum, 'stopped; nothing was started'))


def install() -> None:
    """Lets SIGTERM, SIGHUP and the first SIGINT be noticed instead of ending the process at once."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    for signum in _wanted():
        signal.signal(signum, lambda *_: None)  # C code writes the number into the pipe, whatever Python is at
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    threading.Thread(target=_listen, args=(read,), daemon=True).start()


def _wanted() -> list:
    return [s for s in SIGNALS if s == signal.SIGINT or signal.getsignal(s) != signal.SIG_IGN]


def _listen(pipe: int) -> None:
    interrupted = False
    while True:
        for signum in os.read(pipe, 64):
            if signum not in SIGNALS:
                continue
            if signum == signal.SIGINT:
                if interrupted:
                    _leave(128 + signum, 'stopped immediately; what was saved before is intact')
                interrupted = True
                _say('\nstopping once everything is saved; Ctrl-C again stops immediately')
            if not _asked.is_set():
                _asked.set()
                if run := hosts.known():
                    run.peers.ask()
                else:
                    threading.Thread(target=_end, daemon=True).start()


def _end() -> None:
    def last():
        for work in _endings:
            work(True)
        goodbye()

    end(RESUME, last)


def end(code: int, last: Callable) -> None:
    """In a thread: ends the process with this code, after last(), once nothing is unsaved, if the main thread does not
    end it within PATIENCE."""
    time.sleep(PATIENCE)
    with _change:
        _change.wait_for(lambda: not _unsaved)
        last()
        os._exit(code)


def at_end(work: Callable) -> None:
    """Has work(True) called if that thread ends the process."""
    _endings.append(work)


def goodbye() -> None:
    """Says, once, that rerunning the same command resumes."""
    if _said.acquire(blocking=False):
        _say('stopped; everything is saved: rerun the same command to resume')


def _leave(code: int, text: str) -> None:
    _say(text)
    os._exit(code)


def _say(text: str) -> None:
    if (run := hosts.known()) and run.index:
        return
    with contextlib.suppress(OSError):  # print would fail if the main thread is in the middle of another
        os.write(2, f'{text}\n'.encode())


def asked() -> bool:
    """Whether one of the signals has come. Several processes get one answer, so each asks as often as the others."""
    if hosts.here() is None:
        return _asked.is_set()
    run = hosts.together()
    return run is not None and run.peers.agree()


def learnt() -> None:
    """Notes that a signal has come to another process of the run."""
    _asked.set()


def saved() -> bool:
    """Whether nothing is unsaved."""
    with _change:
        return not _unsaved


def check() -> None:
    """Raises Preempted if a signal has come; for places where all that is finished is on disk."""
    if asked():
        raise Preempted


@contextlib.contextmanager
def hold():
    """What is done within is finished, such as a file that is being written, before a signal ends the process."""
    token = object()
    with _change:
        _unsaved.add(token)
    try:
        yield
    finally:
        with _change:
            _unsaved.discard(token)
            _change.notify_all()


def unsaved() -> None:
    """Notes that there is something to save: the caller looks at `asked`, saves and raises Preempted."""
    with _change:
        _unsaved.add(_LOOP)


def loop(function):
    """Decorator of a function that calls `unsaved`: once it has ended, nothing is left to save."""

    @functools.wraps(function)
    def run(*args, **kw):
        try:
            return function(*args, **kw)
        finally:
            with _change:
                _unsaved.discard(_LOOP)
                _change.notify_all()

    return run


peers.stopping = peers.Stopping(learnt, saved, goodbye, PATIENCE)
