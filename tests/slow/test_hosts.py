"""Several processes as one run, in what takes long: each kind of method, each place where a signal can come, tuning and
studies."""

import csv
import json
import random
import signal
import time

import jax
import numpy as np
import pytest

from tests.command import outcome, same
from tests.hosts.processes import SMALL, Processes, completed

METHODS = {  # with steps too small for what rounding differs in to grow
    'rotation': ['--config.pretrain.method=rotation', '--config.pretrain.optim.lr=0.005'],
    'simclr': ['--config.pretrain.method=simclr', '--config.pretrain.optim.lr=0.005'],
    'byol': ['--config.pretrain.method=byol', '--config.pretrain.optim.lr=0.005'],
    # Adam takes full steps along gradients that are zero but for rounding, and so does the sign of feature matching.
    'sgan': [
        '--config.pretrain.method=none',
        "--config.transfer.ways=('sgan',)",
        '--config.semi.optim.name=sgd',
        '--config.semi.optim.lr=0.0001',
    ],
    'fixmatch': ['--config.pretrain.method=none', "--config.transfer.ways=('fixmatch',)"],
}
FIFTY = ['--config.pretrain.steps=50', '--config.semi.epochs=0', '--config.semi.steps=50',
         '--config.semi.batch_size=16',
         '--config.semi.labeled_batch_size=16', '--config.semi.evals=1', "--config.transfer.ways=('frozen',)",
         '--config.evaluate.knn=5', '--config.evaluate.random=False']  # fmt: skip


@pytest.mark.parametrize('name', METHODS)
def test_two_by_two_is_one_by_four_and_one_by_one(tmp_path, name):
    """Parameters after 50 steps to 5 ten-thousandths of their largest; accuracies to one image of the test split."""
    found = []
    for count, devices in ((2, 2), (1, 4), (1, 1)):
        place = tmp_path / f'{count}x{devices}'
        completed(place, *FIFTY, *METHODS[name], count=count, devices=devices)
        found.append(outcome(place))
    for _, tests, weights in found[1:]:
        for stage, tree in found[0][2].items():
            for a, b in zip(jax.tree.leaves(tree), jax.tree.leaves(weights[stage]), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-6 + 5e-4 * np.abs(b).max())
        for way, scores in found[0][1].items():
            assert abs(scores['top1'] - tests[way]['top1']) <= 1 / 500 + 1e-9
            assert scores['loss'] == pytest.approx(tests[way]['loss'], rel=1e-3)


SEEN = {  # what of a run shows that it is there
    'compilation': lambda run: 'compiling' in run.texts()[0],
    'training': lambda run: run.lines('scratch') >= 3,
    'evaluation': lambda run: 'evaluation: ' in run.texts()[0],
    'saving': lambda run: any((run.workdir / 'seed0/scratch/checkpoints').glob('*tmp*')),
}


@pytest.fixture(scope='module')
def undisturbed(tmp_path_factory):
    place = tmp_path_factory.mktemp('hosts') / 'undisturbed'
    completed(place, *SMALL, '--config.save_every=0')
    return place


@pytest.mark.parametrize(('where', 'who'), list(zip(SEEN, (0, 1, 1, 0), strict=True)))
def test_a_signal_anywhere_stops_both_and_changes_no_bit(undisturbed, tmp_path, where, who):
    with Processes(tmp_path / 'run', *SMALL, '--config.save_every=0') as run:
        run.until(lambda: SEEN[where](run))
        run.all[who].send_signal(signal.SIGTERM)
        codes = run.ended()
        assert codes == [75, 75] or where == 'evaluation' and codes == [0, 0], run.texts()  # it may just have ended
    completed(tmp_path / 'run', *SMALL, '--config.save_every=0')
    same(outcome(undisturbed), outcome(tmp_path / 'run'))


@pytest.mark.parametrize('who', [1, 0])
def test_a_lost_process_is_named_and_the_run_goes_on_with_another_number(undisturbed, tmp_path, who):
    with Processes(tmp_path / 'run', *SMALL, '--config.save_every=0', SSLJAX_LOST_AFTER='20') as run:
        run.until(lambda: run.lines('scratch') >= 2)
        run.all[who].send_signal(signal.SIGKILL)
        assert run.all[1 - who].wait(200) == 75, run.texts()
        assert f'error: process {who} of 2' in run.texts()[1 - who] and 'was lost' in run.texts()[1 - who]
    if who:
        completed(tmp_path / 'run', *SMALL, '--config.save_every=0', count=1, devices=1)
        a, b = outcome(undisturbed), outcome(tmp_path / 'run')
        for x, y in zip(jax.tree.leaves(a[2]), jax.tree.leaves(b[2]), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5)


def test_killing_either_at_any_moment_changes_no_bit(undisturbed, tmp_path):
    """SIGKILL, three times at random moments of one run; the survivor ends by itself."""
    chance, killed = random.Random(0), 0
    for _ in range(3):
        with Processes(tmp_path / 'run', *SMALL, '--config.save_every=0', SSLJAX_LOST_AFTER='15') as run:
            run.until(lambda: 'scratch' in run.texts()[0])
            time.sleep(chance.uniform(0, 8))
            who = chance.randrange(2)
            run.all[who].kill()
            code = run.all[1 - who].wait(100)
            assert code in (0, 75), run.texts()
            killed += code == 75
    assert killed >= 2
    completed(tmp_path / 'run', *SMALL, '--config.save_every=0')
    same(outcome(undisturbed), outcome(tmp_path / 'run'))


def test_tuning_decides_the_same_in_both(tmp_path):
    flags = [*SMALL, '--config.tune=True', '--config.tuning.minutes=1', "--config.tuning.decide=('rate',)"]
    completed(tmp_path / 'run', *flags)
    decisions = json.loads((tmp_path / 'run/tuning/decisions.json').read_text())
    assert decisions['trials'] > 1
    assert [d['field'] for d in decisions['decisions']] == ['transfer.scratch.optim.lr']


def test_a_study_is_done_by_both_as_one_worker(tmp_path):
    flags = [*SMALL, "--config.study.labels=('10/class',)", '--config.seeds=(0, 1)']
    for place, kw in (('two', {}), ('one', {'count': 1, 'devices': 4})):
        completed(tmp_path / place, *flags, verb='ssljax.study', **kw)
    two, one = (list(csv.DictReader(open(tmp_path / place / 'rows.csv'))) for place in ('two', 'one'))
    assert len(two) == 2
    assert [row['test_top1'] for row in two] == [row['test_top1'] for row in one]


def test_weights_in_parts_over_two_processes(tmp_path):
    flags = [*SMALL, '--config.fsdp.devices=4', '--config.fsdp.least=0']
    for place, kw in (('two', {}), ('one', {'count': 1, 'devices': 4})):
        completed(tmp_path / place, *flags, **kw)
    a, b = outcome(tmp_path / 'two'), outcome(tmp_path / 'one')
    for x, y in zip(jax.tree.leaves(a[2]), jax.tree.leaves(b[2]), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5)
