"""Several workers on one machine, each with a device, or a share of the cores, of its own."""

import os
import signal
import subprocess
import sys

import jax

from ssljax import preempt


def run(count: int, arguments: list[str]) -> None:
    """Runs `python -m ssljax.study` with these arguments `count` times at once, and waits for all.

    On GPUs each sees one of them; on a CPU each has its share of the cores. SIGTERM is passed on.

    Raises:
      ValueError: more workers than devices or cores, or a worker failed.
      preempt.Preempted: SIGTERM came.
    """
    platform = jax.default_backend()
    places = sorted(os.sched_getaffinity(0)) if platform == 'cpu' else [d.id for d in jax.devices()]
    if count > len(places):
        kind = 'cores' if platform == 'cpu' else 'devices'
        raise ValueError(f'--workers={count}, but this machine has {len(places)} {kind}: give at most so many.')
    workers = []
    for i in range(count):
        environment = dict(os.environ)
        if platform == 'cpu':
            start = (os.sched_setaffinity, places[i * len(places) // count : (i + 1) * len(places) // count])
        else:
            start = None
            environment['CUDA_VISIBLE_DEVICES'] = str(places[i])
        command = [sys.executable, '-m', 'ssljax.study', *arguments]
        workers.append(subprocess.Popen(command, env=environment))
        if start:
            start[0](workers[-1].pid, start[1])
    while any(w.poll() is None for w in workers):
        if preempt.asked():
            for w in workers:
                w.send_signal(signal.SIGTERM)
        for w in workers:
            try:
                w.wait(timeout=0.5)
            except subprocess.TimeoutExpired:
                continue
    if preempt.asked():
        raise preempt.Preempted
    if failed := [w.returncode for w in workers if w.returncode]:
        raise ValueError(f'{len(failed)} of {count} workers ended with exit codes {failed}: see their messages above.')
