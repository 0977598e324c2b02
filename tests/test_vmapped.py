"""Several runs at once: each leaves what the ordinary loop leaves."""

import jax
import numpy as np
import pytest

from ssljax import experiment, seeds, vmapped
from ssljax.data import sources
from ssljax.processes import preempt
from ssljax.progress.log import read
from ssljax.storage import checkpoint, files

SEEDS = (0, 1, 2)


@pytest.fixture
def tiny(config):
    config.pretrain.method = 'none'
    config.seeds = SEEDS
    config.transfer.ways = ('scratch',)
    config.transfer.augment = 'crop(1)|flip'
    config.transfer.scratch.update(steps=12, evals=4)
    config.evaluate.update(knn=0, probe=False, random=False)
    return config


def prepared(config, workdir):
    state = experiment.prepare(config, workdir, sources.load(config.data), quiet=True)
    (way,) = config.transfer.ways
    return state, [seeds.single_stage(state, way, seed) for seed in config.seeds]


def records(config, workdir, way='scratch'):
    return [files.read_json(workdir / f'seed{s}' / way / 'done.json') for s in config.seeds]


@pytest.mark.parametrize(
    'change',
    [
        {},
        {'steps_per_call': 4, 'backbone.name': 'mlp'},
        {'transfer.ways': ('random_frozen',), 'transfer.dropout': 0.1},
        {'transfer.ways': ('mixed',), 'variants': (('mixed', 'scratch', (('transfer.mixup', 0.3),)),)},
    ],
)
def test_each_run_is_as_the_ordinary_loop_has_it(tiny, tmp_path, change):
    tiny.update_from_flattened_dict(change)
    (way,) = tiny.transfer.ways
    alone, _ = prepared(tiny, tmp_path / 'alone')
    for seed in SEEDS:
        seeds.train_seed(alone, seed)
    state, runs = prepared(tiny, tmp_path / 'together')
    assert all(vmapped.can(run) for run in runs)
    assert vmapped.fit(runs) == [True] * 3 and not any(vmapped.can(run) for run in runs)
    program = runs[0].program
    assert program.mapped._cache_size() == 1
    for a, b in zip(records(tiny, tmp_path / 'alone', way), records(tiny, tmp_path / 'together', way)):
        assert b.pop('together') == 3
        timed = ('seconds', 'images_per_second', 'views_per_second')
        assert all(b[k] > 0 for k in timed) and list(a) == list(b)
        assert b.pop('spent').keys() == a.pop('spent').keys()
        assert {k: v for k, v in a.items() if k not in timed} == {k: v for k, v in b.items() if k not in timed}
    for seed in SEEDS:
        places = [tmp_path / name / f'seed{seed}' / way for name in ('alone', 'together')]
        one, other = (read(place / 'metrics.jsonl') for place in places)
        assert [list(row) for row in one] == [list(row) for row in other] and len(one) > 4
        for a, b in zip(one, other):
            assert list(a.values()) == pytest.approx(list(b.values()), rel=1e-4, abs=1e-6)
        (a, meta), (b, same) = (checkpoint.load_variables(place) for place in places)
        assert meta == same
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-5), a, b)
    assert seeds.evaluate_seed(state, 1)['ways'][way]['together'] == 3


def test_a_run_that_is_not_finite_is_left_to_the_ordinary_loop(tiny, tmp_path):
    state, runs = prepared(tiny, tmp_path)
    runs[1] = runs[1]._replace(variables=jax.tree.map(lambda a: a * np.nan, runs[1].variables))
    assert vmapped.fit(runs) == [True, False, True]
    first, bad, _ = records(tiny, tmp_path)
    assert bad is None and not (tmp_path / 'seed1/scratch').exists()
    assert first['steps'] == 12 and vmapped.can(runs[1])


def test_a_signal_leaves_nothing(tiny, tmp_path, monkeypatch):
    _, runs = prepared(tiny, tmp_path)
    asked = iter([False] * 5 + [True])
    monkeypatch.setattr(preempt, 'asked', lambda: next(asked))
    with pytest.raises(preempt.Preempted):
        vmapped.fit(runs)
    assert not list(tmp_path.glob('seed*/scratch'))


@pytest.mark.parametrize('change', [{'transfer.scratch.patience': 2}, {'data.path': 'stream'}])
def test_what_cannot_be_trained_together(tiny, tmp_path, change):
    tiny.update_from_flattened_dict(change)
    assert not any(vmapped.can(run) for run in prepared(tiny, tmp_path)[1])


def test_the_measurement_trains_nothing(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(vmapped, 'SECONDS', 0.01)
    _, runs = prepared(tiny, tmp_path)
    assert 0.01 < vmapped.speedup(runs) < 100
    assert [p.name for p in tmp_path.glob('seed*/*')] == ['partition.npz'] * 3 and all(map(vmapped.can, runs))
    assert runs[0].program.run._cache_size() == 1 and runs[0].program.mapped._cache_size() == 1
