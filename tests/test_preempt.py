"""What SIGTERM and Ctrl-C do to a process that saves before it ends."""

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import time
from ssljax import preempt
preempt.install()
print('ready', flush=True)
while not preempt.asked():
    time.sleep(0.01)
print('asked', flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize('signum', [signal.SIGTERM, signal.SIGINT])
def test_it_is_asked_once_and_ctrl_c_again_ends_it(signum):
    process = subprocess.Popen(
        [sys.executable, '-c', PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == 'ready\n'
    process.send_signal(signum)
    assert process.stdout.readline() == 'asked\n' and process.poll() is None
    if signum == signal.SIGTERM:
        process.send_signal(signal.SIGINT)
    assert (
        process.stderr.readline() + process.stderr.readline()
        == '\nstopping when all is saved; Ctrl-C again stops at once\n'
    )
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=20)[1]
    assert process.returncode == -signal.SIGINT and 'KeyboardInterrupt' in said
