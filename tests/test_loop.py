"""The loop: what it selects, when it stops, and that devices and interruptions change nothing."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from ssljax import config as configs
from ssljax import experiment, loop, seeds
from ssljax.processes import preempt
from ssljax.program import Program, eval_steps
from ssljax.progress.log import read
from ssljax.storage import checkpoint
from tests.command import outcome, same

ROOT = Path(__file__).resolve().parent.parent


def quiet_run(config, workdir):
    return experiment.run(config, workdir)


@pytest.fixture
def tiny(config):
    config.transfer.ways = ('frozen', 'finetune')
    config.evaluate.update(knn=0, probe=False)
    return config


def test_validation_chooses_the_weights_and_patience_ends_the_stage(tiny, tmp_path):
    tiny.transfer.ways = ('scratch',)
    tiny.pretrain.method = 'none'
    tiny.transfer.scratch.update(steps=400, evals=40, patience=3)
    tiny.transfer.scratch.optim.lr = 0.2
    record = quiet_run(tiny, tmp_path)['seeds'][0]['ways']['scratch']
    values = {r['step']: r['val/top1'] for r in read(tmp_path / 'seed0/scratch/metrics.jsonl') if 'val/top1' in r}
    assert record['steps'] == max(values) < 400
    assert record['best_step'] == max(values, key=lambda s: (values[s], -s))
    assert record['val']['top1'] == max(values.values())
    later = [s for s in values if s > record['best_step']]
    assert len(later) == 3


def test_of_equal_evaluations_the_earliest_is_chosen(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, 'evaluate', lambda *_: {'top1': 0.9, 'loss': 1.0})  # less than 0.9 in float32
    tiny.transfer.ways, tiny.pretrain.method = ('random_frozen',), 'none'
    state = experiment.prepare(tiny, tmp_path, experiment.sources.load(tiny.data))
    assert seeds.train_seed(state, 0).ways['random_frozen'].record['best_step'] == 2


def test_several_steps_a_call_are_the_same_steps(tiny, tmp_path):
    for stage in (tiny.pretrain, tiny.transfer.frozen, tiny.transfer.finetune):
        stage.update(steps=8, evals=1)
    one = quiet_run(tiny, tmp_path / 'one')
    tiny.steps_per_call = 4
    four = quiet_run(tiny, tmp_path / 'four')
    for way in tiny.transfer.ways:
        a, b = (r['seeds'][0]['ways'][way]['test']['loss'] for r in (one, four))
        assert a == pytest.approx(b, rel=1e-3)


def asked(monkeypatch):
    """It is asked to stop, between two stages."""
    look = iter([False] * 9 + [True] * 1000)
    monkeypatch.setattr(preempt, 'asked', lambda: next(look))


def dies(monkeypatch):
    """It ends before the weights of its second stage are kept."""
    write, calls = checkpoint.write, iter(range(1000))

    def written(*args):
        if next(calls):
            raise KeyboardInterrupt
        write(*args)

    monkeypatch.setattr(checkpoint, 'write', written)


def full_disk(monkeypatch):
    """A megabyte is left, by the run's own count."""
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: shutil._ntuple_diskusage(10**9, 10**9 - 10**6, 10**6))


def test_a_run_that_is_cut_short_goes_on_to_the_same_numbers(tiny, tmp_path, monkeypatch):
    """The processes that are killed, and a disk that is full, are in tests/slow."""
    tiny.save_every = 0.0
    tiny.transfer.ways = ('frozen',)
    quiet_run(tiny, tmp_path / 'whole')
    for cut, error, said in (
        (asked, preempt.Preempted, ''), (dies, KeyboardInterrupt, ''), (full_disk, OSError, 'no space left for')
    ):  # fmt: skip
        workdir = tmp_path / cut.__name__
        with monkeypatch.context() as patch, pytest.raises(error, match=said):
            cut(patch)
            quiet_run(tiny, workdir)
        quiet_run(tiny, workdir)
        same(outcome(workdir), outcome(tmp_path / 'whole'))


def test_what_was_noted_before_a_stop_is_in_the_record(tiny, tmp_path, monkeypatch):
    tiny.save_every, tiny.transfer.ways = 0.0, ('frozen',)
    report, noted = loop.Training.report, []

    def once(self):
        report(self)
        if not noted:
            noted.append(self.step)
            self._warn('odd: something was seen')

    monkeypatch.setattr(loop.Training, 'report', once)
    with monkeypatch.context() as patch, pytest.raises(preempt.Preempted):
        patch.setattr(preempt, 'asked', lambda: bool(noted))
        quiet_run(tiny, tmp_path)
    found = quiet_run(tiny, tmp_path)
    assert found['seeds'][0]['pretrain']['warnings'] == ['odd: something was seen']


def test_a_clock_that_is_set_back_changes_nothing(tiny, tmp_path, monkeypatch):
    tiny.save_every, tiny.transfer.ways = 0.0, ('frozen',)
    real, steps, advance = time.time, [], loop.Training.advance

    def stepped(self, payload):
        steps.append(self.step)
        advance(self, payload)

    monkeypatch.setattr(loop.Training, 'advance', stepped)
    monkeypatch.setattr(time, 'time', lambda: real() - (3600 if len(steps) > 3 else 0))
    saved, save = [], checkpoint.Saver.save
    kept = lambda self, step, *args, **kw: saved.append(step) or save(self, step, *args, **kw)
    monkeypatch.setattr(checkpoint.Saver, 'save', kept)
    found = quiet_run(tiny, tmp_path)
    record = found['seeds'][0]['pretrain']
    assert record['seconds'] > 0 and record['images_per_second'] > 0 and found['seconds'] > 0
    assert len(saved) > len(steps) - 5


def test_as_many_checkpoints_are_kept_as_asked(tiny, tmp_path, monkeypatch):
    tiny.save_every, tiny.save_keep = 0.0, 3
    with monkeypatch.context() as patch, pytest.raises(preempt.Preempted):
        asked(patch)
        quiet_run(tiny, tmp_path)
    steps = [int(path.name) for path in (tmp_path / 'seed0/pretrain/checkpoints').iterdir()]
    assert len(steps) == 3 and max(steps) - min(steps) == 2
    tiny.save_keep = 1
    quiet_run(tiny, tmp_path)


def test_checkpoints_of_a_run_killed_right_after_a_stage_are_removed(tiny, tmp_path, monkeypatch):
    tiny.transfer.ways = ('frozen',)
    whole = quiet_run(tiny, tmp_path)
    (tmp_path / 'seed0/evaluation.json').unlink()
    left = tmp_path / 'seed0/pretrain/checkpoints'
    (left / '3').mkdir(parents=True)
    again = quiet_run(tiny, tmp_path)
    assert not left.exists() and again['summary'] == whole['summary']


def test_a_loss_that_is_not_finite_is_explained(tiny, tmp_path):
    tiny.pretrain.optim.update(lr=1e20, momentum=0.0)
    with pytest.raises(ValueError, match='step 2: the loss .* not finite: lower optim.lr'):
        quiet_run(tiny, tmp_path)


def test_a_run_without_validation_images_is_refused(tiny, tmp_path):
    tiny.data.val = '0'
    with pytest.raises(ValueError, match='validation selects the weights'):
        quiet_run(tiny, tmp_path)


def test_evaluations_are_even_and_the_last_is_at_the_end(tiny):
    nothing = dict.fromkeys(('method', 'tx', 'rate', 'step', 'run', 'measure', 'predict', 'mapped'))
    program = Program(**nothing, steps=100, steps_per_call=8)
    assert sorted(eval_steps(program, 4)) == [32, 56, 80, 100]


def test_summary_is_paired_by_seed():
    from ssljax.records.result import summarise

    seeds = [
        {'ways': {'scratch': {'test': {'top1': a}}, 'finetune': {'test': {'top1': b}}}}
        for a, b in ((0.5, 0.6), (0.7, 0.9))
    ]
    got = summarise(seeds)
    assert got['summary']['scratch']['top1']['mean'] == pytest.approx(0.6)
    assert got['summary']['scratch']['top1']['std'] == pytest.approx(0.1 * 2**0.5)
    assert got['versus_scratch']['finetune']['values'] == pytest.approx([0.1, 0.2])


CHILD = """
import json, sys, jax
from tests.test_loop import child
print(json.dumps([jax.device_count(), child(sys.argv[1])]))
"""


def child(workdir):
    """What a fine-tuned run has on test."""
    return quiet_run(child_config(), workdir)['seeds'][0]['ways']['finetune']['test']


def child_config():
    """The cnn has BatchNorm: its statistics are those of the whole batch, over all devices."""
    c = configs.base()
    c.data.update(source='synthetic:8x8x1:3', labels='10/class', val='60')
    c.pretrain.update(epochs=0.0, steps=5, evals=1, batch_size=16)
    c.transfer.update(ways=('finetune',), batch_size=16)
    c.transfer.finetune.update(steps=5, evals=1)
    c.pretrain.optim.lr = c.transfer.finetune.optim.lr = 0.01
    c.evaluate.update(batch_size=100, figures=False, knn=0, probe=False)
    return c


def test_one_device_and_four_devices_agree(tmp_path):
    here = jax.device_count()
    there = 4 if here == 1 else 1
    env = os.environ | {'JAX_PLATFORMS': 'cpu', 'PYTHONPATH': str(ROOT)}
    env['XLA_FLAGS'] += f' --xla_force_host_platform_device_count={there}'
    command = [sys.executable, '-c', CHILD, str(tmp_path / str(there))]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    count, test = json.loads(done.stdout.strip().splitlines()[-1])
    assert count == there
    assert child(tmp_path / str(here))['loss'] == pytest.approx(test['loss'], rel=1e-4)
    logs = [read(tmp_path / f'{n}/seed0/pretrain/metrics.jsonl')[0] for n in (here, there)]
    np.testing.assert_allclose(logs[0]['train/loss'], logs[1]['train/loss'], rtol=1e-4)


def test_streamed_training_equals_resident_training(tiny, tmp_path):
    resident = quiet_run(tiny, tmp_path / 'resident')
    tiny.data.path = 'stream'
    stream = quiet_run(tiny, tmp_path / 'stream')
    assert stream['seeds'][0]['pretrain']['path'] == 'stream'
    assert resident['summary'] == stream['summary']


def test_the_mesh_refuses_a_batch_that_does_not_divide(mesh):
    from ssljax.devices.sharding import check_batch

    with pytest.raises(ValueError, match='does not divide'):
        check_batch(mesh.size + 1 if mesh.size > 1 else 3, mesh if mesh.size > 1 else _Mesh(2))
    assert jax.device_count() == mesh.size


class _Mesh:
    def __init__(self, size):
        self.size = size
