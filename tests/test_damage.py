"""Every file of a run, damaged in every way: the run goes on to the same numbers, or says which file it is.

The fast suite tries each way on one file of each kind. SSLJAX_SLOW=1 tries every way on every file, in an
hour.
"""

import functools
import json
import os
import re
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

from ssljax import experiment, main
from ssljax.processes import preempt
from ssljax.progress.log import read
from ssljax.storage import checkpoint
from tests import pages

SLOW = os.environ.get('SSLJAX_SLOW') == '1'


def flip(path, share=0.6):
    content = bytearray(path.read_bytes())
    if content:
        content[int(share * len(content))] ^= 4
    path.write_bytes(content)


def directory(path):
    path.unlink()
    path.mkdir()
    (path / 'inside').write_text('x')


WAYS = {
    'half': lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    'empty': lambda path: path.write_bytes(b''),
    'flipped': flip,
    'flipped early': functools.partial(flip, share=0.1),
    'list': lambda path: path.write_text('[]'),
    'null': lambda path: path.write_text('null'),
    'other keys': lambda path: path.write_text('{"a": {"b": NaN}}'),
    'not UTF-8': lambda path: path.write_bytes(b'\xff\xfe{"a": 1}'),
    'deleted': Path.unlink,
    'a directory': directory,
}


INSIDE = ('half', 'flipped', 'deleted', 'a directory')  # enough for each of the many files of a checkpoint


@pytest.fixture(scope='module')
def settings():
    from ssljax.config import base

    c = base()
    c.name = 'tiny'
    c.data.update(source='synthetic:8x8x1:3', labels='10/class', val='60')
    c.pretrain.update(epochs=0.0, steps=6, evals=3, batch_size=16, watch=0)
    c.transfer.update(ways=('frozen',), batch_size=16)
    c.transfer.frozen.update(epochs=0.0, steps=4, evals=2)
    c.evaluate.update(batch_size=100, knn=5, probe=False)
    c.update(log_every=2, save_every=0.0)
    return c


@pytest.fixture(scope='module')
def runs(settings, tmp_path_factory):
    """{'finished': a run's directory, 'interrupted': that of one asked to stop at step 4 of its pretraining}."""
    with pytest.MonkeyPatch.context() as patch:
        pages.leave_out(patch)
        place = tmp_path_factory.mktemp('runs')
        experiment.run(settings, place / 'finished')
        third = place / 'interrupted/seed0/pretrain/checkpoints/3'
        save = checkpoint.Saver.save  # each is complete before the next step
        patch.setattr(checkpoint.Saver, 'save', lambda self, *args, wait: save(self, *args, wait=True))
        patch.setattr(preempt, 'asked', third.is_dir)  # then at the next look, in the middle of step 4's evaluation
        with pytest.raises(preempt.Preempted):
            experiment.run(settings, place / 'interrupted')
    steps = sorted(p.name for p in (place / 'interrupted/seed0/pretrain/checkpoints').iterdir())
    assert steps == ['3', '4']
    return {name: place / name for name in ('finished', 'interrupted')}


def outcome(workdir):
    metrics = {str(p.relative_to(workdir)): read(p) for p in sorted(workdir.glob('seed*/*/metrics.jsonl'))}
    result = json.loads((workdir / 'result.json').read_text())
    ways = {w: (r['test'], r['val'], r['best_step']) for w, r in result['seeds'][0]['ways'].items()}
    weights = {p.parent.name: checkpoint.load_variables(p)[0] for p in sorted(workdir.glob('seed*/*/model'))}
    arrays = dict(np.load(workdir / 'seed0/figures.npz'))
    return metrics, [ways, result['seeds'][0]['partition'], result['seeds'][0]['knn']], weights, arrays


def files_of(workdir):
    paths = [p for p in sorted(workdir.rglob('*')) if p.is_file() and p.name not in ('.lock', 'report.html')]
    return [str(p.relative_to(workdir)) for p in paths]


def attempt(settings, whole, run, name, way, place):
    """Damages one file of a copy and goes on; returns the error's text, or '' where it ended in the same numbers."""
    shutil.copytree(run, place)
    WAYS[way](place / name)
    try:
        experiment.run(settings, place)
    except (ValueError, OSError) as error:
        assert main.raised_by_us(error), f'{name}, {way}: {error!r}'
        assert any(part in str(error) for part in (name, Path(name).name)), f'{name}, {way}: {error}'
        return str(error)
    after = outcome(place)
    if name.endswith('metrics.jsonl'):
        for stage, rows in after[0].items():
            assert all(row in whole[0][stage] for row in rows), f'{name}, {way}'
    else:
        assert after[0] == whole[0], f'{name}, {way}'
    assert after[1] == whole[1], f'{name}, {way}'
    np.testing.assert_equal(after[2], whole[2], f'{name}, {way}')
    np.testing.assert_equal(after[3], whole[3], f'{name}, {way}')
    return ''


def some(run):
    """(file, way) of which the fast suite tries each kind once."""
    pairs = {
        'finished': [
            ('config.json', 'flipped'), ('config.json', 'null'), ('data.json', 'half'), ('result.json', 'a directory'),
            ('seed0/evaluation.json', 'list'), ('seed0/figures.npz', 'flipped'), ('seed0/partition.npz', 'flipped'),
            ('seed0/frozen/metrics.jsonl', 'not UTF-8'),
            ('seed0/frozen/done.json', 'flipped'),
        ],
        'interrupted': [
            ('seed0/pretrain/metrics.jsonl', 'flipped'),
            ('seed0/pretrain/checkpoints/4/checksums.json', 'half'),
        ],
    }  # fmt: skip
    return pairs[run]


@pytest.mark.parametrize('run', ['finished', 'interrupted'])
def test_a_damaged_file_is_named_or_changes_no_number(runs, settings, tmp_path, monkeypatch, run):
    pages.leave_out(monkeypatch)
    whole, failed = outcome(runs['finished']), []
    pairs = some(run)
    if SLOW:
        pairs = [(n, w) for n in files_of(runs[run]) for w in WAYS if w in INSIDE or not re.search('/(0|3|4)/', n)]
    for i, (name, way) in enumerate(pairs):
        try:
            said = attempt(settings, whole, runs[run], name, way, tmp_path / str(i))
        except Exception as error:
            if not SLOW:
                raise
            failed.append(f'{name}, {way}: {type(error).__name__}: {str(error)[:300]}')
            said = 'FAILED'
        if SLOW:
            print(f'{name} · {way}: {said[:200] or "same"}', flush=True)
        shutil.rmtree(tmp_path / str(i), ignore_errors=True)
        if i % 10 == 9:
            jax.clear_caches()  # each run has programs of its own
    assert not failed, '\n'.join(failed)


@pytest.mark.parametrize('lost', ['done.json', 'model'])
def test_a_stage_that_is_trained_again_describes_its_new_weights(runs, settings, tmp_path, monkeypatch, lost):
    pages.leave_out(monkeypatch)
    shutil.copytree(runs['finished'], tmp_path / 'run')
    stage = tmp_path / 'run/seed0/frozen'
    before = json.loads((stage / 'model.json').read_text())
    (stage / 'model.json').write_text(json.dumps(before | {'chosen': 'the weights of another training'}))
    shutil.rmtree(stage / lost) if lost == 'model' else (stage / lost).unlink()
    experiment.run(settings, tmp_path / 'run')
    assert json.loads((stage / 'model.json').read_text()) == before
