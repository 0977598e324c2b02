"""Where the time of a stage goes: to steps, or to compilation, waiting for input, saving and evaluation.

The name is that of Google's metric for training ("ML Productivity Goodput", 2024): the share of time that ends in
progress.
"""

import contextlib
import functools
import os
import time
from collections.abc import Callable, Generator, Iterator

import jax

LOST = 'compile', 'input', 'save', 'evaluate'
SLOW, ENOUGH = 0.1, 20.0  # share of the time of training, seconds: a wait beyond both is more than a pipeline's start


class Spent:
    """The seconds of a stage by what they went to, over the processes that worked on it.

    For a killed process, the time since its last checkpoint is lost, like its steps. In a run on several hosts each
    process measures itself: waiting for the input of another falls within a step.
    """

    def __init__(self):
        """Begins now."""
        self._seconds = dict.fromkeys(LOST, 0.0)
        self._total, self._begun, self._compiled = 0.0, time.perf_counter(), _compiling().seconds

    def add(self, before) -> None:
        """Adds the `state` of the process before this one; what is missing in it, or not a number, is 0."""
        known = before if isinstance(before, dict) else {}
        for kind in (*LOST, 'total'):
            seconds = float(known[kind]) if isinstance(known.get(kind), int | float) else 0.0
            if kind == 'total':
                self._total += seconds
            else:
                self._seconds[kind] += seconds

    @contextlib.contextmanager
    def on(self, kind: str):
        """Counts the time spent within as `kind`, except for what is counted as another kind meanwhile."""
        begun, before = time.perf_counter(), self._counted()
        try:
            yield
        finally:
            self._seconds[kind] += time.perf_counter() - begun - (self._counted() - before)

    def waiting(self, payloads: Generator, idle: Callable[[], bool]) -> Iterator:
        """`payloads`, with the waits for them counted as input; if the devices are not `idle` when one comes, it came
        in time."""
        with contextlib.closing(payloads):
            while True:
                begun = time.perf_counter()
                if (payload := next(payloads, None)) is None:
                    return
                self._seconds['input'] += (time.perf_counter() - begun) * idle()
                yield payload

    def state(self) -> dict:
        """{'total', 'steps' and each of LOST: seconds}; steps are what is left of the total."""
        lost = self._seconds | {'compile': self._seconds['compile'] + _compiling().seconds - self._compiled}
        total = self._total + time.perf_counter() - self._begun
        return {'total': total, 'steps': max(total - sum(lost.values()), 0.0), **lost}

    def _counted(self) -> float:
        return sum(self._seconds.values()) + _compiling().seconds


class Compiling:
    """The seconds in which JAX traced or compiled; JAX's events are nested."""

    def __init__(self):
        self.seconds = 0.0
        self._spans: list = []  # disjoint, in the order of time; a longer event that ends later absorbs those within it

    def event(self, event: str, duration_secs: float, **about) -> None:
        """Listens to `jax.monitoring`: an event that has just ended."""
        if not event.startswith('/jax/core/compile/'):
            return
        end = time.perf_counter()
        begin = end - duration_secs
        while self._spans and self._spans[-1][0] >= begin:
            inner = self._spans.pop()
            self.seconds -= inner[1] - inner[0]
        if self._spans:
            begin = max(begin, self._spans[-1][1])
        self._spans.append((begin, end))
        self.seconds += end - begin


@functools.cache
def _compiling() -> Compiling:
    found = Compiling()
    jax.monitoring.register_event_duration_secs_listener(found.event)
    return found


def slow_input(spent: dict, path: str) -> str:
    """What to change if a stream is slower than the step, or ''; spent: `Spent.state`, path: a feed's."""
    waited, share = spent['input'], spent['input'] / max(spent['input'] + spent['steps'], 1e-9)
    if path != 'stream' or share < SLOW or waited < ENOUGH:
        return ''
    return (
        f'input is slower than the step: the devices waited for images for {share:.0%} of the training time. '
        'Set data.path=resident if memory can hold the images, keep them decoded with data.cache=DIR, reduce '
        f'data.image_size, or use a machine with more CPU cores (this one has {os.cpu_count()}).'
    )
