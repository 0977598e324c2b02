"""Runs that are killed, and a disk that is full, as a user meets them."""

import signal
import subprocess
import sys
import time

import pytest

from ssljax.processes import preempt
from ssljax.progress.log import read
from tests.command import ROOT, command, environment, outcome, run, same


@pytest.mark.parametrize('sign', [signal.SIGKILL, signal.SIGTERM], ids=['SIGKILL', 'SIGTERM'])
def test_a_killed_run_ends_as_one_that_was_not(finished, tmp_path, sign):
    flags = ['--config.save_every=0']
    metrics = tmp_path / 'seed0/pretrain/metrics.jsonl'
    process = subprocess.Popen(command(tmp_path, *flags), cwd=ROOT, env=environment(), stderr=subprocess.PIPE)
    deadline = time.time() + 200
    while not (metrics.exists() and len(read(metrics)) >= 3) and time.time() < deadline and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(sign)
    said = process.communicate(timeout=60)[1].decode()
    if sign == signal.SIGTERM:
        assert process.returncode == preempt.RESUME and 'rerun the same command to resume' in said
    assert not (tmp_path / 'seed0/pretrain/done.json').exists()
    assert run(tmp_path, *flags).returncode == 0
    same(outcome(finished[0]), outcome(tmp_path))


def test_a_full_disk_says_so_and_keeps_what_is_there(tmp_path):
    """The run starts with a megabyte free by its own count."""
    code = (
        'import shutil, runpy; shutil.disk_usage = lambda path: shutil._ntuple_diskusage(10**9, 10**9 - 10**6, 10**6); '
        'runpy.run_module("ssljax.main", run_name="__main__", alter_sys=True)'
    )
    flags = command(tmp_path, '--config.save_every=0')[3:]
    done = subprocess.run([sys.executable, '-c', code, *flags], cwd=ROOT, env=environment(), capture_output=True,
                          text=True, timeout=300)  # fmt: skip
    assert done.returncode == 1
    assert 'Traceback' not in done.stderr and 'no space left for' in done.stderr
    assert run(tmp_path, '--config.save_every=0').returncode == 0
