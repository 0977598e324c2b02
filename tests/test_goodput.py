"""Where the time of a stage goes."""

import jax
import jax.numpy as jnp
import pytest

from ssljax import experiment
from ssljax.progress import goodput
from ssljax.progress.goodput import Compiling, Spent, slow_input


@pytest.fixture
def clock(monkeypatch):
    """clock[0]: what the clock shows, which stands still otherwise."""
    now = [0.0]
    monkeypatch.setattr(goodput.time, 'perf_counter', lambda: now[0])
    return now


@pytest.fixture
def spend(clock):
    """spend(seconds)"""

    def wait(seconds):
        clock[0] += seconds

    return wait


def test_every_second_counts_once(spend):
    spent = Spent()
    with spent.on('evaluate'):
        spend(0.1)
        with spent.on('save'):  # of an evaluation that was interrupted
            spend(0.2)
    spend(0.3)
    seconds = {'total': 0.6, 'steps': 0.3, 'evaluate': 0.1, 'save': 0.2, 'compile': 0, 'input': 0}
    assert spent.state() == pytest.approx(seconds)


def test_what_fails_is_counted_too(spend):
    spent = Spent()
    with pytest.raises(OSError), spent.on('save'):
        spend(0.1)
        raise OSError
    assert spent.state()['save'] == pytest.approx(0.1)


def test_only_waits_of_idle_devices_are_waits_for_input(spend):
    def payloads():
        for _ in range(2):
            spend(0.1)
            yield 1

    idle, busy = Spent(), Spent()
    assert list(idle.waiting(payloads(), lambda: True)) == list(busy.waiting(payloads(), lambda: False)) == [1, 1]
    assert idle.state()['input'] == pytest.approx(0.2) and busy.state()['input'] == 0


def test_the_payloads_are_closed_with_it():
    closed = []

    def payloads():
        try:
            yield from range(3)
        finally:
            closed.append(True)

    for _ in Spent().waiting(payloads(), lambda: True):
        break
    assert closed


def test_the_next_process_adds_to_it_and_survives_damage(spend):
    spent = Spent()
    spend(0.5)
    spent.add({'total': 10.0, 'steps': 7.0, 'save': 3, 'input': 'x'})
    found = spent.state()
    assert found['save'] == 3 and found['total'] == 10.5 and found['steps'] == 7.5 and found['input'] == 0
    spent.add(None)
    assert spent.state()['save'] == 3


def test_events_within_each_other_count_once(clock):
    compiling = Compiling()
    for end, seconds in (2, 1), (4, 1), (5, 5), (9, 2):  # the third holds the first two
        clock[0] = end
        compiling.event('/jax/core/compile/x', seconds)
    compiling.event('/jax/other', 100)
    assert compiling.seconds == 7


def test_compilation_within_an_evaluation_is_no_part_of_it(spend, monkeypatch):
    compiling = Compiling()
    monkeypatch.setattr(goodput, '_compiling', lambda: compiling)
    spent = Spent()
    with spent.on('evaluate'):
        spend(3.0)
        compiling.event('/jax/core/compile/x', 2.0)
    seconds = {'total': 3, 'steps': 0, 'evaluate': 1, 'compile': 2, 'save': 0, 'input': 0}
    assert spent.state() == pytest.approx(seconds)


def test_compilation_is_not_evaluation():
    spent = Spent()
    with spent.on('evaluate'):
        jax.block_until_ready(jax.jit(lambda x: jnp.sin(x) @ x.T + 0.123)(jnp.ones((7, 5))))
    found = spent.state()
    assert found['compile'] > 0 and found['compile'] + found['evaluate'] <= found['total']


def test_a_stream_slower_than_the_step_is_told_what_to_change():
    spent = {'total': 100.0, 'steps': 60.0, 'input': 40.0}
    text = slow_input(spent, 'stream')
    assert '40%' in text
    for advice in 'data.path=resident', 'data.cache=DIR', 'data.image_size', 'CPU cores':
        assert advice in text
    assert not slow_input(spent, 'resident')
    assert not slow_input({'steps': 4.0, 'input': 4.0}, 'stream')  # a pipeline's start
    assert not slow_input({'steps': 960.0, 'input': 40.0}, 'stream')


def test_a_run_says_it_of_every_stage(config, tmp_path):
    config.transfer.ways = ('scratch',)
    config.evaluate.update(knn=0, probe=False)
    seed = experiment.run(config, tmp_path)['seeds'][0]
    for stage in seed['pretrain'], seed['ways']['scratch']:
        spent = stage['spent']
        assert set(spent) == {'total', 'steps', *goodput.LOST}
        assert spent['total'] == pytest.approx(sum(v for k, v in spent.items() if k != 'total'))
        assert min(spent.values()) >= 0 and spent['evaluate'] > 0 and spent['compile'] > 0
