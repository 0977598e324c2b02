"""Two processes with two devices each are one run: the same as four devices of one, and as two undisturbed ones."""

import json
import re
import signal

import jax
import numpy as np
import pytest

from tests.command import outcome, same
from tests.hosts.processes import SMALL, Processes, completed

EVERY = '--config.save_every=1'
# What the library under collectives on the CPU prints, piece by piece: those of two devices may be mingled.
GLOO = re.compile(
    r'\[Gloo\] Rank |\d+| is connected to | peer ranks\. |Expected number of connected peer ranks is : |\s'
)


@pytest.fixture(scope='module')
def undisturbed(tmp_path_factory):
    place = tmp_path_factory.mktemp('hosts') / 'undisturbed'
    first, second = completed(place, *SMALL, EVERY)
    assert 'Report: ' in first and 'seed 0 · scratch' in first
    assert not GLOO.sub('', second), second
    return place


def test_two_processes_train_what_one_trains(undisturbed, tmp_path):
    completed(tmp_path / 'one', *SMALL, count=1, devices=4)
    (metrics, tests, weights), (others, their_tests, their_weights) = outcome(tmp_path / 'one'), outcome(undisturbed)
    for a, b in zip(jax.tree.leaves(weights), jax.tree.leaves(their_weights), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    for name, rows in metrics.items():
        assert [row['step'] for row in rows] == [row['step'] for row in others[name]]
        for row, other in zip(rows, others[name], strict=True):
            assert row == pytest.approx(other, rel=1e-3, abs=1e-5)
    assert tests['scratch']['confusion'] == their_tests['scratch']['confusion']
    hardware = json.loads((undisturbed / 'result.json').read_text())['hardware']
    assert hardware['processes'] == 2


def test_a_signal_to_one_saves_both_and_the_rerun_changes_no_bit(undisturbed, tmp_path):
    with Processes(tmp_path / 'run', *SMALL, EVERY) as run:
        run.until(lambda: run.lines('scratch') >= 2)
        for process in run.all:  # until the other run has had its answer
            process.send_signal(signal.SIGSTOP)
        with Processes(tmp_path / 'run', *SMALL, EVERY) as other:
            assert other.ended() == [1, 1]
            first, second = other.texts()
            assert first.count('error: ') == 1 and 'another run is using' in first and 'error' not in second
        run.all[1].send_signal(signal.SIGTERM)
        for process in run.all:
            process.send_signal(signal.SIGCONT)
        assert run.ended() == [75, 75], run.texts()
        assert 'rerun the same command to resume' in run.texts()[0] and 'stopped' not in run.texts()[1]
    assert not (tmp_path / 'run/seed0/scratch/done.json').exists()
    completed(tmp_path / 'run', *SMALL, EVERY)
    same(outcome(undisturbed), outcome(tmp_path / 'run'))
