"""What SIGTERM, SIGHUP and Ctrl-C do to a process that saves before it ends."""

import signal
import subprocess
import sys
import time

import pytest

PROGRAM = """
import signal, sys, time
from ssljax.processes import preempt
# Not as these tests were started, perhaps under nohup.
signal.signal(signal.SIGHUP, signal.SIG_IGN if 'ignored' in sys.argv else signal.SIG_DFL)
preempt.early()
if 'early' not in sys.argv:
    preempt.install()

@preempt.loop
def train():
    preempt.unsaved()
    print('ready', flush=True)
    while not preempt.asked():
        time.sleep(0.01)
    print('asked', flush=True)
    time.sleep(2 if 'saves' in sys.argv else 60)

if 'loop' in sys.argv:
    train()
    time.sleep(60)
print('ready', flush=True)
time.sleep(60)
"""


def start(*args):
    process = subprocess.Popen(
        [sys.executable, '-c', PROGRAM, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == 'ready\n'
    return process


@pytest.mark.parametrize('signum', [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_is_asked_once_and_ctrl_c_again_ends_it_with_a_line(signum):
    process = start('loop')
    process.send_signal(signum)
    assert process.stdout.readline() == 'asked\n' and process.poll() is None
    if signum != signal.SIGINT:
        process.send_signal(signum)  # again: nothing new
        process.send_signal(signal.SIGINT)
    assert (
        process.stderr.readline() + process.stderr.readline()
        == '\nstopping once everything is saved; Ctrl-C again stops immediately\n'
    )
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=50)[1]
    assert process.returncode == 130 and said == 'stopped immediately; what was saved before is intact\n'


def test_it_ends_by_itself_only_once_all_is_saved():
    process = start('loop', 'saves')
    began = time.time()
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=50)[1]
    assert process.returncode == 75 and 1.9 < time.time() - began < 50
    assert said == 'stopped; everything is saved: rerun the same command to resume\n'


def test_work_that_cannot_ask_is_ended_where_nothing_is_unsaved():
    process = start()
    process.send_signal(signal.SIGHUP)
    assert 'everything is saved' in process.communicate(timeout=50)[1] and process.returncode == 75


@pytest.mark.parametrize('signum', [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_before_anything_is_begun_it_ends_at_once(signum):
    process = start('early')
    process.send_signal(signum)
    said = process.communicate(timeout=50)[1]
    assert process.returncode == 128 + signum and said == 'stopped; nothing was started\n'


@pytest.mark.parametrize('when', ['early', 'later'])
def test_a_hangup_stays_ignored_under_nohup(when):
    process = start('ignored', when)
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1.5)
    process.kill()
