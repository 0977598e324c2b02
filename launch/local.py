#!/usr/bin/env python3
"""Start several processes on this machine that are one run, as on several hosts.

usage: launch/local.py -n N [--devices D] -- COMMAND ...

  -n N          how many processes
  --devices D   CPU devices that each simulates; without it, each has the
                devices that JAX finds, so say which (CUDA_VISIBLE_DEVICES)
  --dry-run     print what each process is started with

example: launch/local.py -n 2 --devices 2 -- ssljax train --config=quickstart

Each gets JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID, and
joins the others by them. A signal goes to the first, which stops all. The exit
code is that of the first process that failed, or 0, or 75 where all stopped and
rerunning goes on.
"""

import argparse
import os
import shlex
import signal
import socket
import subprocess
import sys
import time

RESUME = 75
PATIENCE = 30.0  # seconds that the others have to end after one has failed


def main(argv: list[str]) -> int:
    """Starts the processes and waits for them; returns the exit code."""
    parser = argparse.ArgumentParser(usage=__doc__.split('\n\n')[1].removeprefix('usage: '), add_help=False)
    parser.add_argument('-h', '--help', action='store_true')
    parser.add_argument('-n', type=int, default=2)
    parser.add_argument('--devices', type=int, default=0)
    parser.add_argument('--dry-run', action='store_true')
    parser.add_argument('command', nargs=argparse.REMAINDER)
    given = parser.parse_args(argv)
    command = given.command[1:] if given.command[:1] == ['--'] else given.command
    if given.help:
        print(__doc__.strip())
        return 0
    if not command or given.n < 1 or given.devices < 0:
        parser.error('give a command after --' if not command else '-n must be 1 or more, --devices 0 or more')
    added = variables(given.n, given.devices, free_port())
    if given.dry_run:
        for own in added:
            print(' '.join(f'{name}={shlex.quote(value)}' for name, value in own.items()), shlex.join(command))
        return 0
    return wait([subprocess.Popen(command, env=os.environ | own) for own in added])


def variables(count: int, devices: int, port: int) -> list[dict]:
    """What the environment of each process has beside that of this one."""
    shared = {'JAX_COORDINATOR_ADDRESS': f'localhost:{port}', 'JAX_NUM_PROCESSES': str(count)}
    if devices:
        flags = [f for f in os.environ.get('XLA_FLAGS', '').split() if 'host_platform_device_count' not in f]
        shared['XLA_FLAGS'] = ' '.join([*flags, f'--xla_force_host_platform_device_count={devices}'])
        shared['JAX_PLATFORMS'] = 'cpu'
    return [shared | {'JAX_PROCESS_ID': str(i)} for i in range(count)]


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as s:
        s.bind(('localhost', 0))
        return s.getsockname()[1]


def wait(processes: list) -> int:
    """The exit code, once all have ended. Those that outlive one that failed are killed after PATIENCE seconds more
    than they need to find out."""
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, lambda signum, _: processes[0].poll() is None and processes[0].send_signal(signum))
    limit = None
    while any(process.poll() is None for process in processes):
        if limit is None and any(process.poll() not in (None, 0, RESUME) for process in processes):
            limit = time.monotonic() + PATIENCE + float(os.environ.get('SSLJAX_LOST_AFTER', 60))
        if limit is not None and time.monotonic() > limit:
            for process in processes:
                process.kill()
        time.sleep(0.05)
    codes = [process.returncode for process in processes]
    wrong = [code for code in codes if code not in (0, RESUME)]
    return (wrong[0] if wrong[0] > 0 else 128 - wrong[0]) if wrong else max(codes)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
