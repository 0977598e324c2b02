"""A process that works when it is told to: one line of JSON for each line that it reads."""

import contextlib
import json
import math
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def serve(ready: dict, run: Callable[[int], None], finish: Callable[[], dict]) -> None:
    """Answers 'go SECONDS' with {'steps', 'seconds'} of as many steps as fit, at least one, 'warm SECONDS' the same,
    but with none where none fits, and 'stop' with `finish()`.

    Args:
      ready: said first.
      run: trains at least so many steps, and as many as it returns, and comes back when the device is done.
      finish: what is known at the end.
    """
    run(1)
    each = _timed(run, 1)
    answer(ready)
    for line in sys.stdin:
        word, *arguments = line.split()
        if word == 'stop':
            return answer(finish())
        steps = math.floor(float(arguments[0]) * each['steps'] / each['seconds'])
        if word == 'warm' and not steps:
            answer({'steps': 0, 'seconds': 0.0})
            continue
        each = _timed(run, max(1, steps))
        answer(each)


def serve_calls(ready: dict, calls: dict[str, Callable[..., dict]]) -> None:
    """Answers 'NAME ARGUMENT ...' with calls[NAME](ARGUMENT, ...), until there are no more lines."""
    answer(ready)
    for line in sys.stdin:
        name, *arguments = line.split()
        answer(calls[name](*arguments))


def _timed(run, steps: int) -> dict:
    began = time.perf_counter()
    steps = run(steps)
    return {'steps': steps, 'seconds': time.perf_counter() - began}


def answer(record: dict) -> None:
    """One line to who asked."""
    print('=' + json.dumps(record), flush=True)


def forget(root) -> None:
    """Drops the files of a folder, or a file, from the system's memory, as far as it does on being asked; what is not
    yet on the disk stays."""
    for path in [Path(root), *Path(root).rglob('*')]:
        if path.is_file() and hasattr(os, 'posix_fadvise'):
            with open(path, 'rb') as f:
                os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def peak_rss() -> int:
    """Bytes of host memory that this process had at most."""
    unit = 1 if sys.platform == 'darwin' else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def family(pid: int) -> list[int]:
    """A process and those that it started."""
    found = [pid]
    for path in Path(f'/proc/{pid}/task').glob('*/children'):
        with contextlib.suppress(OSError):
            for child in path.read_text().split():
                found += family(int(child))
    return found


def cpu_seconds() -> float:
    """Of this process and those that it started, up to now."""
    ticks = 0
    for pid in family(os.getpid()):
        with contextlib.suppress(OSError):
            ticks += sum(map(int, Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[11:15]))
    return ticks / os.sysconf('SC_CLK_TCK')


def timed_stream(source, batch: int, began: tuple, seconds: float) -> dict:
    """Takes batches from an iterator.

    Args:
      source: the iterator.
      batch: images of one.
      began: (time.perf_counter(), cpu_seconds()) before it was made.
      seconds: how long, at least.

    Returns:
      {'first_batch', 'first_cpu': seconds, and seconds of all cores, to the first batch; after nine more 'rate':
      images/s, and 'cpu': microseconds of all cores an image}.
    """
    next(source)
    first, first_cpu = time.perf_counter() - began[0], cpu_seconds() - began[1]
    for _ in range(9):
        next(source)
    started, used, count = time.perf_counter(), cpu_seconds(), 0
    while (spent := time.perf_counter() - started) < seconds:
        next(source)
        count += batch
    cpu = 1e6 * (cpu_seconds() - used) / count
    return {'first_batch': first, 'first_cpu': first_cpu, 'rate': count / spent, 'cpu': cpu}


class Worker:
    """The other end: starts a module in a process of its own and asks it."""

    def __init__(self, module: str, *arguments: str, python: str = sys.executable, wait: bool = True):
        """wait: until it is `ready`. Without, another process can start meanwhile, and `wait` is to be called."""
        command, pipe = [python, '-m', module, *arguments], subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT)
        self.module, self.ready = module, None
        if wait:
            self.wait()

    def wait(self) -> None:
        """Sets `ready`, what the process said when it had compiled and warmed up; raises RuntimeError if it ended."""
        try:
            self.ready = self._read()
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def ask(self, line: str) -> dict:
        """The answer to a line."""
        self._process.stdin.write(line + '\n')
        self._process.stdin.flush()
        return self._read()

    def close(self) -> None:
        """Ends the process."""
        self._process.stdin.close()
        if self.ready is None:
            self._process.terminate()
        self._process.wait()

    def _read(self) -> dict:
        for line in self._process.stdout:  # libraries may print, too
            if line.startswith('='):
                return json.loads(line[1:])
        raise RuntimeError(f'{self.module} ended with code {self._process.wait()}; its own message is above.')
