"""Several workers on one machine, each with a device, or a share of the cores, of its own."""

import os
import signal
import subprocess
import sys
import threading
import time

from ssljax.processes import preempt

_PARENT = 'SSLJAX_STARTED_BY'  # process ID of the one that waits for its workers


def run(count: int, arguments: list[str]) -> None:
    """Runs `python -m ssljax.study` with these arguments `count` times at once, and waits for all.

    On GPUs each sees one of them; on a CPU each has its share of the cores. SIGTERM is passed on; if this process is
    killed, they save and stop (`follow`).

    Raises:
      ValueError: more workers than devices or cores, or a worker failed.
      preempt.Preempted: the run was asked to stop.
    """
    platform, places = _places()
    if count > len(places):
        kind = 'cores' if platform == 'cpu' else 'devices'
        raise ValueError(f'--workers={count}, but this machine has {len(places)} {kind}: start at most {len(places)}.')
    visible = [name for name in os.environ.get('CUDA_VISIBLE_DEVICES', '').split(',') if name]
    workers = []
    for i in range(count):
        gpu = {} if platform == 'cpu' else {'CUDA_VISIBLE_DEVICES': visible[i] if visible else str(places[i])}
        environment = os.environ | gpu | {_PARENT: str(os.getpid())}
        workers.append(subprocess.Popen([sys.executable, '-m', 'ssljax.study', *arguments], env=environment))
        if platform == 'cpu' and hasattr(os, 'sched_setaffinity'):
            os.sched_setaffinity(workers[-1].pid, places[i * len(places) // count : (i + 1) * len(places) // count])
    with preempt.hold():
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


def follow() -> None:
    """In a worker: stops it, as SIGTERM does, once the process that started it is gone."""
    parent = os.environ.pop(_PARENT, '')

    def look():
        while os.getppid() == int(parent):
            time.sleep(1.0)
        os.kill(os.getpid(), signal.SIGTERM)

    if parent.isdecimal():
        threading.Thread(target=look, daemon=True).start()


def _places() -> tuple[str, list[int]]:
    """The platform, and its devices or, for a CPU, cores. Asked in a process of its own, since one that has started a
    GPU holds its memory."""
    code = 'import jax; print(jax.default_backend(), *[d.id for d in jax.local_devices()])'
    found = subprocess.run([sys.executable, '-c', code], check=True, capture_output=True, text=True)
    platform, *devices = found.stdout.splitlines()[-1].split()
    if platform == 'cpu':
        return platform, sorted(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else [0]
    return platform, [int(d) for d in devices]
