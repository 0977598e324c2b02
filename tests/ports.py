"""Ports for processes that a test starts, or starts anew, on this machine."""

import contextlib
import itertools
import os
import socket
from pathlib import Path

_RANGE = Path('/proc/sys/net/ipv4/ip_local_port_range')
_count = itertools.count()


def free_port() -> int:
    """A port that nothing uses, and that the system gives to nobody else until a process of the test opens it: it is
    below those that are given to connections. Each process that runs tests has places of its own, by its PID."""
    low = int(_RANGE.read_text().split()[0]) if _RANGE.exists() else 32768
    first, last = 10_000, low if low > 20_000 else 32768
    while True:
        port = first + (101 * os.getpid() + next(_count)) % (last - first)
        with contextlib.suppress(OSError), socket.create_server(('', port)):
            return port
