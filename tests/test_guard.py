import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssljax import experiment, guard
from ssljax.settings import suits


def test_spread_of_constructed_features():
    rng = np.random.default_rng(0)
    sphere = rng.normal(size=(5000, 8))
    found = guard.spread(sphere)
    assert found['std'] == pytest.approx(1, abs=0.02) and found['rank'] == pytest.approx(8, abs=0.05)
    constant = guard.spread(np.ones((50, 8)) + 1e-5 * rng.normal(size=(50, 8)))
    assert constant['std'] < 1e-4
    line = np.outer(rng.uniform(size=50), np.ones(8)) * [1, 0, 0, 0, 0, 0, 0, 0] + [0, 1, 0, 0, 0, 0, 0, 0]
    assert guard.spread(line)['rank'] < 1.6
    two = np.repeat(np.eye(4)[:2], 10, axis=0)  # two points: one direction
    assert guard.spread(two)['rank'] == pytest.approx(1, abs=1e-3)


def test_effective_rank_is_that_of_the_singular_values():
    values = np.array([3.0, 1.0, 1.0])
    u, v = np.linalg.qr(np.random.default_rng(1).normal(size=(60, 3)))[0], np.eye(3)
    u = np.linalg.qr(u - u.mean(0))[0]
    x = u * values @ v
    p = values / values.sum()
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    s = np.linalg.svd(x - x.mean(0), compute_uv=False)
    p = s / s.sum()
    assert guard.spread(x)['rank'] == pytest.approx(np.exp(-(p * np.log(p)).sum()), rel=1e-3)


def test_the_first_bad_step_is_kept():
    metrics = {'loss': (jnp.float32(1), 1.0), 'grad_norm': (jnp.float32(jnp.inf), 1.0)}
    fine = metrics | {'grad_norm': (jnp.float32(1), 1.0)}
    assert guard.first_bad(guard.NEVER, 3, fine) == guard.NEVER
    assert guard.first_bad(guard.NEVER, 3, metrics) == 3
    assert guard.first_bad(jnp.int32(2), 3, metrics) == 2


def means(**changes):
    return {'grad/backbone': 1.0, 'update/backbone': 1e-3, 'grad/head': 1.0, 'update/head': 1e-3} | changes


def test_parameters_that_do_not_move_are_named():
    both = {'backbone', 'head'}
    assert guard.not_moving(means(), both, 0.1, early=False) == ''
    assert 'no gradient reaches' in guard.not_moving(means(**{'grad/backbone': 0.0}), both, 0.1, early=True)
    assert "'head' do not change" in guard.not_moving(means(**{'update/head': 0.0}), both, 0.1, early=False)
    assert guard.not_moving(means(**{'update/head': 0.0}), both, 0.0, early=False) == ''
    assert guard.not_moving(means(**{'grad/head': 0.0}), both, 0.1, early=True) == ''
    assert guard.not_moving(means(**{'grad/head': 0.0}), {'backbone'}, 0.1, early=False) == ''


def test_a_run_whose_backbone_gets_no_gradient_stops(config, tmp_path, monkeypatch):
    from ssljax.methods import network

    apply = network.apply
    monkeypatch.setattr(network, 'apply', lambda *a, **k: apply(*a, **(k | {'frozen': True})))
    config.transfer.ways = ('scratch', 'finetune')
    with pytest.raises(guard.Stopped, match="no gradient reaches the parameters of 'backbone'"):
        experiment.run(config, tmp_path)
    assert (tmp_path / 'seed0/pretrain/offending_batch.npz').exists()


def test_a_collapsed_run_stops_and_saves_the_batch(config, tmp_path):
    config.transfer.ways = ('frozen', 'finetune')
    config.pretrain.update(method='simsiam', augment='crop(1)', steps=60, evals=6)
    config.pretrain.optim.update(lr=1e-3, weight_decay=1e3)  # all weights become nothing
    with pytest.raises(guard.Stopped, match='embedding collapsed.*effective rank.*predictor.*offending_batch.npz') as e:
        experiment.run(config, tmp_path)
    assert e.value.kind == 'collapsed' and e.value.step == 50
    with np.load(tmp_path / 'seed0/pretrain/offending_batch.npz') as batch:
        assert batch['image'].shape == (16, 8, 8, 1) and batch['step'] == 49


def test_a_layer_that_pretraining_does_not_reach(config):
    config.pretrain.layer = 'conv1'
    with pytest.raises(ValueError, match='--config.transfer.layer=conv1'):
        suits.check_layers(config)
    config.transfer.layer = 'conv1'
    suits.check_layers(config)


def test_pretraining_is_watched(config, tmp_path):
    from ssljax.progress import log

    config.transfer.ways = ()
    experiment.run(config, tmp_path)
    rows = [r for r in log.read(tmp_path / 'seed0/pretrain/metrics.jsonl') if 'val/knn' in r]
    assert len(rows) == 2 and all(0 <= r['val/knn'] <= 1 and r['val/features_rank'] > 1 for r in rows)


@pytest.mark.parametrize(
    'means, word',
    [
        ({}, ''),
        ({'unlabeled': 0.5, 'coverage': 0.6, 'top_class': 0.3}, ''),
        ({'unlabeled': 0.0, 'coverage': 0.0}, 'no unlabelled image is used'),
        ({'unlabeled': 0.0, 'coverage': 0.5}, 'both views'),
        ({'unlabeled': 0.0}, 'both views'),
        ({'unlabeled': 0.5, 'coverage': 0.6, 'top_class': 0.99}, 'one class'),
        ({'unlabeled': 0.5, 'coverage': 1.0, 'top_class': 0.3}, ''),
    ],
)
def test_unlabelled_losses_without_effect(means, word):
    found = guard.idle(means)
    assert word in found and bool(word) == bool(found)
    assert bool(guard.unselective(means)) == (means.get('coverage') == 1.0)


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.integers(0, 11))
def test_an_unlabelled_loss_is_idle_since_a_step_if_no_look_after_it_found_an_effect(effects, after):
    rows = [
        {'step': step, 'train/loss': 1.0, 'train/unlabeled': float(effect), 'train/coverage': float(effect)}
        for step, effect in enumerate(effects, 1)
    ]
    rows.insert(len(rows) // 2, {'step': len(rows) // 2 + 1, 'val/loss': 1.0})
    assert guard.idle_since(rows, after) == (not any(effects[after:]))
