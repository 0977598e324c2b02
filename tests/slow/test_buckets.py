"""Runs on a bucket whose machine is lost."""

import json
import shutil
import signal
import subprocess
import time

import pytest

from ssljax.buckets import fetch, snapshot
from ssljax.buckets.store import Store
from ssljax.processes import preempt
from tests.command import ROOT, command, environment, outcome, run, same
from tests.store import bucket


@pytest.fixture(params=['file', 's3'])
def url(request, tmp_path, monkeypatch):
    monkeypatch.setenv('SSLJAX_LOST_AFTER', '4')  # what a lease lasts
    with bucket(request.param, tmp_path, monkeypatch) as found:
        yield f'{found}/lost'


def stopped(url, sign, seen):
    """(exit code, what was said) of a run that gets a signal once `seen`(names on the bucket)."""
    flags = ['--config.save_every=0']
    process = subprocess.Popen(command(url, *flags), cwd=ROOT, env=environment(), stderr=subprocess.PIPE)
    store, deadline = Store(url), time.time() + 200
    while not seen(store.names()) and time.time() < deadline and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(sign)
    said = process.communicate(timeout=100)[1].decode()
    return process.returncode, said


def in_training(names):
    return len([n for n in names if n.startswith(snapshot.SNAPSHOTS)]) > 1 and any('checkpoints/' in n for n in names)


@pytest.mark.parametrize('damage', [False, True], ids=['whole', 'damaged'])
def test_a_run_whose_machine_is_lost_ends_as_one_that_was_not(finished, url, tmp_path, damage):
    code, said = stopped(url, signal.SIGKILL, in_training)
    assert code == -signal.SIGKILL, said
    store = Store(url)
    kept = snapshot.newest(store)
    assert kept.number and not any(name.endswith('done.json') for name in kept.files)
    shutil.rmtree(tmp_path / 'copies')
    if damage:
        step = max(int(n.split('/')[3]) for n in kept.files if 'checkpoints/' in n)
        name = max((n for n in kept.files if f'checkpoints/{step}/params' in n), key=lambda n: kept.files[n].size)
        content = bytearray(store.read(name))
        content[len(content) // 2] ^= 1
        store.write(name, bytes(content))
    done = run(url, '--config.save_every=0')
    assert done.returncode == 0, done.stderr
    assert 'going on from what is there' in done.stderr
    assert ('does not match its checksum' in done.stderr) == damage
    same(outcome(finished[0]), outcome(fetch.local(url)))
    assert json.loads(store.read('result.json'))['seeds']


def test_sigterm_copies_everything_and_gives_the_directory_back(finished, url, tmp_path):
    code, said = stopped(url, signal.SIGTERM, in_training)
    assert code == preempt.RESUME, said
    assert not Store(url).read('.ssljax/lease.json')
    shutil.rmtree(tmp_path / 'copies')
    done = run(url, '--config.save_every=0')
    assert done.returncode == 0 and 'waiting' not in done.stderr, done.stderr
    same(outcome(finished[0]), outcome(fetch.local(url)))
