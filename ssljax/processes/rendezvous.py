"""The processes of a run meet before JAX connects them: its client ends the process in C++ if one does not come."""

import contextlib
import socket
import time

HELLO = b'ssljax %d\n'
GO = b'go\n'
PAUSE = 0.3  # seconds between two attempts


def meet(coordinator: str, count: int, index: int, patience: float) -> None:
    """Returns once all processes have called this; the port of the first one is then free again.

    Args:
      coordinator: HOST:PORT of the first process.
      count, index: how many processes there are, and which one this is, from 0.
      patience: seconds to wait.

    Raises:
      ValueError: not all have come; or two are the same one. The message completes 'cannot join the other processes
        (...)'.
      OSError: in the first process: it cannot open the port.
    """
    deadline = time.monotonic() + patience
    if index:
        _come(coordinator, index, deadline, patience)
    else:
        _receive(int(coordinator.rpartition(':')[2]), count, deadline, patience)


def _receive(port: int, count: int, deadline: float, patience: float) -> None:
    """In the first process: waits for the others, and tells them to go on."""
    here: dict[int, socket.socket] = {}  # those that wait
    with contextlib.ExitStack() as closing:
        server = closing.enter_context(_server(port))
        while len(here := {i: other for i, other in here.items() if _open(other)}) < count - 1:
            server.settimeout(max(deadline - time.monotonic(), 0.01))
            try:
                other = closing.enter_context(server.accept()[0])
            except TimeoutError:
                missing = ', '.join(str(i) for i in range(1, count) if i not in here)
                raise ValueError(
                    f'of {count} processes, these did not join within {patience:.0f} s: {missing}'
                ) from None
            index = _said(other, count)
            if index is None:
                other.close()  # somebody else, such as a health check
            elif index in here and _open(here[index]):  # it has not gone, and come again
                raise ValueError(f'two processes were started as --process={index}')
            else:
                here[index] = other
        for other in here.values():
            with contextlib.suppress(OSError):
                other.sendall(GO)
        for other in here.values():  # they close first, so that the port is free at once
            with contextlib.suppress(OSError):
                other.settimeout(5)
                other.recv(1)


def _server(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        return socket.create_server(('', port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(('', port))


def _said(other: socket.socket, count: int) -> int | None:
    """The index that a process gives; None if it does not belong to the run."""
    try:
        other.settimeout(5)
        word, _, number = other.makefile('rb').readline(32).decode('ascii', 'replace').strip().partition(' ')
    except OSError:
        return None
    return int(number) if word == 'ssljax' and number.isdecimal() and 0 < int(number) < count else None


def _open(other: socket.socket) -> bool:
    """Whether a process still waits."""
    try:
        other.setblocking(False)
        return bool(other.recv(1))
    except BlockingIOError:
        return True
    except OSError:
        return False


def _come(coordinator: str, index: int, deadline: float, patience: float) -> None:
    """In the others: waits until the first process says that all are there."""
    host, _, port = coordinator.rpartition(':')
    why = ''
    while (left := deadline - time.monotonic()) > 0:
        try:
            with socket.create_connection((host.strip('[]'), int(port)), timeout=min(left, 10)) as first:
                first.sendall(HELLO % index)
                first.settimeout(max(deadline - time.monotonic(), 0.01))
                if first.makefile('rb').readline(8) == GO:
                    return
                why = 'it closed the connection'
        except TimeoutError:
            why = 'no answer' if not why else why
        except OSError as e:
            why = e.strerror or str(e)
        time.sleep(min(PAUSE, max(deadline - time.monotonic(), 0)))
    raise ValueError(f'process 0 could not be reached at {coordinator} within {patience:.0f} s: {why}')
