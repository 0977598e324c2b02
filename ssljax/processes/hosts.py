"""Several processes that are one run: all execute the same program, and only the first writes and decides.

What a program does next may depend on files, on the clock or on free memory. There the first process looks, and `told`
gives the others what it saw, so that all go the same way. Its answers travel through the store of JAX's coordination
service, not over the devices: a process that waits for one can still be ended with a message (`peers`). With one
process nothing here does anything, and jax is not imported.
"""

import contextlib
import functools
import os
import pickle
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from ssljax.processes import peers

KEPT = 64  # answers that stay there until all have read them
SLICE = 10_000  # ms that one call waits for the store; the thread of `peers` ends a process that would wait for ever

_run: 'Run | None' = None


class Run:
    """This process among the others.

    Attributes:
      index, count: which of how many; 0 is the first.
      client, coordinator: JAX's client of its coordination service, and that one's HOST:PORT.
      peers: the thread that watches the others.
    """

    def __init__(self, index: int, count: int, client, coordinator: str):
        self.index, self.count, self.client, self.coordinator = index, count, client, coordinator
        self.turn, self.apart, self.thread = 0, 0, threading.current_thread()
        self.peers: Any = None

    def name(self) -> str:
        """Such as 'process 1 of 2'."""
        return f'process {self.index} of {self.count}'

    def next(self, what: str) -> str:
        """The key of the next exchange, which every process reaches in the same order."""
        self.turn += 1
        if self.turn % KEPT == 0:
            self.barrier(f'{peers.STORE}/{what}/{self.turn}/all')
            if self.index == 0:
                self.client.key_value_delete(f'{peers.STORE}/said/{self.turn // KEPT - 1}/')
        return f'{peers.STORE}/said/{self.turn // KEPT}/{self.turn}'

    def wait(self, key: str) -> bytes:
        """What another process puts under a key."""
        while True:
            try:
                return self.client.blocking_key_value_get_bytes(key, SLICE)
            except Exception as e:
                if 'DEADLINE_EXCEEDED' not in str(e):
                    raise

    def barrier(self, key: str) -> None:
        """Waits until all processes are here."""
        self.client.wait_at_barrier(key, 1000 * 86_400)


def known() -> Run | None:
    """As `here`, for threads other than the program's: None until that has called `here`."""
    return _run


def here() -> Run | None:
    """This process among several, even if other code initialised jax.distributed; None if it is the only one."""
    global _run
    if _run is None and 'jax' in sys.modules:
        _run = _found(sys.modules['jax'])
    return _run


def _found(jax) -> Run | None:
    distributed = getattr(jax, 'distributed', None)
    if distributed is None or not hasattr(distributed, 'is_initialized') or not distributed.is_initialized():
        return None
    from jax._src.distributed import global_state  # JAX has no public way to its store; Orbax uses the same

    if global_state.num_processes < 2:
        return None
    known = global_state.process_id, global_state.num_processes
    run = Run(*known, global_state.client, global_state.coordinator_address or '')
    run.peers = peers.watch(run)
    if run.index:
        _hush()
    return run


def _hush() -> None:
    """Hides all that is printed; errors are shown all the same, see `failed`."""
    sys.stdout = sys.stderr = open(os.devnull, 'w', encoding='utf-8')  # noqa: SIM115


def first() -> bool:
    """Whether this process writes, prints and decides."""
    run = here()
    return run is None or run.index == 0


def together() -> Run | None:
    """The Run in a call that all processes make; None in what one does apart from the others."""
    run = here()
    return None if run is None or run.apart or threading.current_thread() is not run.thread else run


@contextlib.contextmanager
def apart():
    """What one process does within, the others do not: nothing in it waits for them, or tells them anything."""
    run = here()
    if run is None:
        yield
        return
    run.apart += 1
    try:
        yield
    finally:
        run.apart -= 1


class OutOfStep(RuntimeError):
    """Two processes went different ways: a bug in this package."""


def told(look: Callable, *args, **kw):
    """What look(*args, **kw) returns or raises in the first process; the others do not call it. All processes call this
    in the same order. What is returned must be picklable.
    """
    if (run := together()) is None:
        return look(*args, **kw)
    key, name = run.next('told'), getattr(look, '__qualname__', repr(look))
    if run.index == 0:
        with apart():
            try:
                value, error = look(*args, **kw), None
            except Exception as e:
                value, error = None, e
        run.client.key_value_set_bytes(key, _packed(name, value, error))
    else:
        said, value, error = pickle.loads(run.wait(key))
        if said != name:
            raise OutOfStep(f'{run.name()} is at {name}, and process 0 at {said}')
    if error is not None:
        error.__dict__['told'] = run.index > 0  # the first process prints it
        raise error
    return value


def _packed(name: str, value, error) -> bytes:
    return pickle.dumps((name, value, _sendable(error)))


def _sendable(error: Exception | None) -> Exception | None:
    """The error, or one with its message if another process could not read it."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return ValueError(str(error))
    return error


def by_first(function):
    """Decorator of a function that looks at files or the clock, or writes: see `told`."""

    @functools.wraps(function)
    def call(*args, **kw):
        return told(function, *args, **kw)

    return call


def only_first(function):
    """Decorator of a function that returns nothing, and prints or writes: only the first process calls it, apart from
    the others."""

    @functools.wraps(function)
    def call(*args, **kw):
        if first():
            with apart():
                function(*args, **kw)

    return call


def now() -> float:
    """time.time() of the first process."""
    return told(time.time)


def each(work: Callable):
    """What work() returns here; if it raised in any process, that error is raised in all.

    Nothing within `work` is told."""
    value = error = None
    with apart():
        try:
            value = work()
        except Exception as e:
            error = e
    run = together()
    if run is None:
        if error is not None:
            raise error
        return value
    for i, found in enumerate(gather(_sendable(error))):
        if found is not None:
            found.told = i != run.index
            raise found
    return value


def gather(value) -> list:
    """[what each process passes], in their order; [value] with one."""
    if (run := together()) is None:
        return [value]
    key = run.next('gather')
    run.client.key_value_set_bytes(f'{key}/{run.index:06d}', pickle.dumps(value))
    run.barrier(f'{key}/all')
    return [pickle.loads(found) for _, found in sorted(run.client.key_value_dir_get_bytes(f'{key}/'))]


def barrier() -> None:
    """Waits until all processes are here."""
    if run := together():
        run.barrier(run.next('barrier'))


def alive() -> None:
    """Notes that something was done in a long piece of work that asks nothing else: the process has not stalled."""
    if _run is not None:
        _run.peers.points += 1


def failed(error: BaseException, text: str, unexpected: bool = False) -> None:
    """If there are several processes, ends this one because of an error, and with it the others. `text` is printed
    once, by the first if it has the same error; unexpected: this package did not foresee it."""
    if run := here():
        run.peers.failed(text, getattr(error, 'told', False), unexpected)


def leave() -> None:
    """Waits until all have done their work, so that none takes the end of another for a loss."""
    global _run
    if (run := here()) is None:
        return
    import jax

    run.peers.stop()
    with contextlib.suppress(Exception):
        run.client.wait_at_barrier(f'{peers.STORE}/leave', 60_000)
    with contextlib.suppress(Exception):
        jax.distributed.shutdown()
    _run = None


def label() -> str:
    """Such as 'process 1 of 2 (node7)'."""
    run = here()
    return f'{run.name() if run else "process 0 of 1"} ({peers.host()})'
