"""Memory and cores of the host."""

import concurrent.futures
import os

import numpy as np

from ssljax.processes import hosts
from ssljax.progress.say import Counter


def empty_images(n, shape):
    """Uninitialised uint8 [n, *shape] at a multiple of 64 bytes, which JAX's CPU device can use without a
    copy."""
    size = n * int(np.prod(shape))
    buffer = np.empty(size + 64, np.uint8)
    start = -buffer.ctypes.data % 64
    return buffer[start : start + size].reshape(n, *shape)


def available_memory():
    """Bytes of host memory that are free now, within the limits of a container; None if unknown."""
    found = []
    try:
        with open('/proc/meminfo') as f:
            found += [int(line.split()[1]) * 1024 for line in f if line.startswith('MemAvailable')]
        with open('/sys/fs/cgroup/memory.max') as limit, open('/sys/fs/cgroup/memory.current') as used:
            found.append(max(int(limit.read()) - int(used.read()), 0))
    except (OSError, ValueError):
        pass
    if not found and hasattr(os, 'sysconf') and 'SC_AVPHYS_PAGES' in os.sysconf_names:
        found.append(os.sysconf('SC_AVPHYS_PAGES') * os.sysconf('SC_PAGE_SIZE'))
    return min(found, default=None)


def fits(nbytes, share=0.25):
    """Whether `nbytes` are at most that share of the host's free memory. All processes ask, and get the same answer."""
    free = available_memory()
    return all(hosts.gather(bool(nbytes < np.inf and (free is None or nbytes <= free * share))))


def cores():
    """CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def parallel(run, n, size, threads=None, title=''):
    """Calls run(start, stop) for each piece of 0..n of the given size, in threads, by default one per core; raises the
    first error. With a title it says how many are done, if it takes long."""
    counter = Counter(title, n)
    with concurrent.futures.ThreadPoolExecutor(threads or cores()) as pool:
        for i, _ in enumerate(pool.map(lambda start: run(start, min(start + size, n)), range(0, n, size)), 1):
            counter.at(min(i * size, n))
    counter.end()
