"""What processes tell each other: a program that two of them run, without training."""

import concurrent.futures
import contextlib
import socket
import subprocess
import sys
import time

import pytest

from ssljax.processes import hosts, joining, rendezvous
from ssljax.storage import files
from tests.command import ROOT
from tests.hosts.processes import environments
from tests.ports import free_port

PROGRAM = """
import os, signal, sys, time
from pathlib import Path
from ssljax.devices import environment
from ssljax.processes import hosts, peers, preempt
from ssljax.storage import files, held

what, place = sys.argv[1], Path(sys.argv[2])
preempt.install()
environment.start()
import jax
import numpy as np
from ssljax.data import memory
from ssljax.devices.sharding import everywhere, fetch, from_first, make_mesh

run = hosts.here()
say = lambda *words: print(*words, file=sys.__stdout__, flush=True)

def main():
    assert (run.count, jax.process_count(), run.index) == (2, 2, jax.process_index())
    if what == 'tell':
        assert hosts.told(lambda: run.index) == 0
        assert hosts.gather(run.index) == [0, 1]
        for turn in range(200):  # past what the store keeps
            assert hosts.told(lambda: turn) == turn
        def refuse():
            raise files.Damaged('x.json', 'because')
        for look in (lambda: hosts.told(refuse), lambda: hosts.each(refuse if run.index else lambda: None)):
            try:
                look()
            except files.Damaged as e:
                assert e.why == 'because'
            else:
                raise AssertionError('nothing was raised')
        with hosts.apart():
            assert hosts.told(lambda: run.index) == run.index
        memory.available_memory = lambda: 100 if run.index else 10**9
        assert not memory.fits(1000, 1.0) and memory.fits(50, 1.0)  # it must fit on both
        mesh = make_mesh()
        assert np.array_equal(fetch(everywhere({'a': np.arange(3)}, mesh))['a'], [0, 1, 2])
        key = everywhere(jax.random.key(3), mesh)
        assert np.array_equal(jax.random.key_data(key), jax.random.key_data(jax.random.key(3)))
        with files.lock(place / 'run'):
            files.write_json(place / 'run/a.json', {'index': run.index})
            assert held.elsewhere(place / 'run/a.json') == (run.index == 1)
            hosts.barrier()
            assert files.read_json(place / 'run/a.json') == {'index': 0}
        assert not held.elsewhere(place / 'run/a.json')
    elif what == 'stop':
        preempt.unsaved()  # as in training: nothing ends a process that is slow to ask
        points = 0
        while not preempt.asked():
            points += 1
            if points == 1:
                say('ready')
            time.sleep(0.001 * (1 + 4 * run.index))
            if points % 50 == 0:  # as a step does: neither gets far ahead
                hosts.barrier()
        say(points)
        hosts.barrier()
        raise preempt.Preempted
    elif what == 'compile':
        say('ready')
        time.sleep(60)
    elif what == 'blind':
        held._reads = lambda path: held.Path(path).read_text() if run.index == 0 else ''
        held.SEEN = 0.5
        with files.lock(place / 'run'):
            assert held.private(place / 'run/seed0') and held.elsewhere(place / 'run/a') == (run.index == 1)
            assert not held.private(place)
            sent = from_first({'a': np.array([-0.0, np.nan, run.index], np.float32), 'b': np.full((2, 0), run.index)})
            assert sent['a'].tobytes() == np.array([-0.0, np.nan, 0], np.float32).tobytes()
            assert sent['b'].shape == (2, 0)
            assert from_first(np.array(3 + run.index)) == 3
        assert not held.private(place / 'run')
    elif what == 'fail' and run.index == 1:
        peers.GRACE = 60.0  # as long as it leaves it to the first to say it
        raise ValueError('only here')
    elif what == 'fail':
        hosts.barrier()

try:
    main()
except preempt.Preempted:
    hosts.leave()
    os._exit(preempt.RESUME)
except ValueError as e:
    hosts.failed(e, f'error: {e}')
hosts.leave()
"""


def together(what, place, act=None):
    """[(exit code, stdout, stderr)] of both processes."""
    started = [
        subprocess.Popen([sys.executable, '-c', PROGRAM, what, str(place)], cwd=ROOT, env=own, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for own in environments(2, 1)
    ]  # fmt: skip
    try:
        if act:
            assert [p.stdout.readline() for p in started] == ['ready\n'] * 2
            act(started)
        said = [p.communicate(timeout=300) for p in started]
        return [(p.returncode, *text) for p, text in zip(started, said)]
    finally:
        for p in started:
            p.kill()


def test_the_first_tells_the_others(tmp_path):
    for code, _, said in together('tell', tmp_path):
        assert code == 0, said


@pytest.mark.parametrize('who', [0, 1])
def test_a_signal_to_either_stops_both_at_the_same_point(tmp_path, who):
    (a, at, said), (b, also, also_said) = together('stop', tmp_path, lambda started: started[who].terminate())
    assert (a, b) == (75, 75), (said, also_said)
    assert at == also and int(at) > 0


def test_both_end_where_neither_can_ask_and_nothing_is_unsaved(tmp_path):
    began = []
    found = together('compile', tmp_path, lambda started: began.append(time.time()) or started[1].terminate())
    assert [code for code, *_ in found] == [75, 75] and time.time() - began[0] < 50
    assert 'rerun the same command to resume' in found[0][2] and not found[1][2].count('stopped')


def test_an_error_of_one_is_said_once_and_ends_both(tmp_path):
    (a, _, said), (b, _, also_said) = together('fail', tmp_path)
    assert (a, b) == (1, 1)
    assert 'process 1 of 2' in said and 'error: only here' in said and 'only here' not in also_said


def test_of_a_directory_that_is_not_shared_the_first_reads_and_writes(tmp_path):
    (a, _, said), (b, _, also_said) = together('blind', tmp_path)
    assert (a, b) == (0, 0), (said, also_said)
    assert said.count('is not on a disk that process 1 of 2') == 1 and 'not on a disk' not in also_said


def test_one_process_asks_nobody(tmp_path):
    assert hosts.here() is None and hosts.first() and hosts.gather(3) == [3] and hosts.told(len, [1]) == 1
    with pytest.raises(ZeroDivisionError):
        hosts.each(lambda: 1 / 0)
    with files.lock(tmp_path):
        files.write_json(tmp_path / 'a.json', {})


@pytest.mark.parametrize(
    'variables, joins',
    [
        ({}, False),
        ({'SLURM_JOB_ID': '1', 'SLURM_NTASKS': '8', 'SLURM_PROCID': '0'}, False),  # in the batch script itself
        ({'SLURM_STEP_NUM_TASKS': '1', 'SLURM_NTASKS': '1', 'SLURM_PROCID': '0'}, False),
        ({'SLURM_STEP_NUM_TASKS': '8', 'SLURM_NTASKS': '8', 'SLURM_PROCID': '3'}, True),
        ({'OMPI_COMM_WORLD_SIZE': '1', 'OMPI_MCA_orte_hnp_uri': 'x'}, False),
        ({'OMPI_COMM_WORLD_SIZE': '2', 'OMPI_MCA_orte_hnp_uri': 'x'}, True),
        ({'TPU_WORKER_HOSTNAMES': 'a'}, False),
        ({'TPU_WORKER_HOSTNAMES': 'a,b'}, True),
        ({'KUBERNETES_SERVICE_HOST': '10.0.0.1', 'JOB_COMPLETION_INDEX': '0'}, False),
    ],
)
def test_only_one_of_several_tasks_joins_by_itself(monkeypatch, variables, joins):
    for name in ('SLURM_STEP_NUM_TASKS', 'OMPI_COMM_WORLD_SIZE', 'TPU_WORKER_HOSTNAMES'):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert joining.detected() == joins


@pytest.mark.parametrize(
    'given, said',
    [
        (('nonsense', 2, 0), "--coordinator='nonsense' is not an address of the form HOST:PORT"),
        *[((f, 2, 1), 'is not an address') for f in ('localhost:0', 'http://a:1', 'a:1:2', 'a:65536', ':1', 'a b:1')],
        (('localhost:1', None, 1), '--processes and --process go together'),
        (('localhost:1', 2, None), '--processes and --process go together'),
        (('', None, 0), '--process=0: --processes and --process go together'),
        (('', None, 1), '--process=1: --processes and --process go together'),
        (('localhost:1', 2, 2), '--process=2 of --processes=2: they are numbered from 0 to 1'),
        (('', 1, 5), '--process=5 of --processes=1: they are numbered from 0 to 0'),
        (('localhost:1', 1, 3), '--process=3 of --processes=1'),
        (('', 2, 1), '--processes=2 without --coordinator=HOST:PORT'),
        (('localhost:1', None, None), 'no scheduler that JAX knows'),
    ],
)
def test_what_cannot_be_joined(given, said):
    with pytest.raises(ValueError, match=said):
        joining.start(*given)


@pytest.mark.parametrize('who', [0, 1])
def test_who_does_not_come_is_named(who, monkeypatch):
    monkeypatch.setenv('SSLJAX_JOIN_TIMEOUT', '1')
    said = (
        'of 3 processes, these did not join within 1 s: 1, 2'
        if who == 0
        else 'process 0 could not be reached at localhost:'
    )
    with pytest.raises(ValueError, match=f'cannot join the other processes .{said}'):
        joining.start(f'localhost:{free_port()}', 3, who)


def test_all_meet_in_any_order_also_where_somebody_else_calls():
    port = free_port()
    where = f'localhost:{port}'
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        others = [pool.submit(rendezvous.meet, where, 3, i, 60) for i in (2, 1)]
        first = pool.submit(rendezvous.meet, where, 3, 0, 60)
        with contextlib.suppress(OSError):
            socket.create_connection(('localhost', port)).sendall(b'GET / HTTP/1.1\n')
        assert [f.result() for f in (first, *others)] == [None] * 3
    with socket.create_server(('localhost', port)):
        pass


def test_one_that_dies_while_it_waits_may_come_again():
    port = free_port()
    where = f'localhost:{port}'
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        first = pool.submit(rendezvous.meet, where, 3, 0, 60)
        dead = None
        while dead is None:
            with contextlib.suppress(OSError):
                dead = socket.create_connection(('localhost', port))
        dead.sendall(b'ssljax 1\n')
        time.sleep(0.5)
        dead.close()
        two = pool.submit(rendezvous.meet, where, 3, 2, 60)
        time.sleep(1)
        assert not first.done() and not two.done()
        rendezvous.meet(where, 3, 1, 60)
        assert first.result() is None and two.result() is None


def test_two_of_one_number_are_told():
    where = f'localhost:{free_port()}'
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        found = [pool.submit(rendezvous.meet, where, 3, i, 60) for i in (0, 1, 1)]
        with pytest.raises(ValueError, match='two processes were started as --process=1'):
            found[0].result()
        for _ in range(2):  # which lets the others end: one after the other is the only one
            rendezvous.meet(where, 2, 0, 60)


def test_a_port_that_is_taken_is_told_at_once():
    """As where two processes were both started as the first."""
    with socket.create_server(('localhost', 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ValueError, match=f'cannot open port {port} here.*--process=0'):
            joining.start(f'localhost:{port}', 2, 0)
