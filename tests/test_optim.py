import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ssljax import config as configs
from ssljax import optim

PARAMS = {
    'backbone': {'conv1': {'kernel': jnp.ones(2), 'bias': jnp.ones(1)}},
    'head': {'kernel': jnp.ones(3)},
}


def cfg(**kw):
    c = configs.stage(epochs=1.0).optim
    c.update(kw)
    return c


def step(c, grads=None, steps=1):
    tx, _ = optim.make(c, 10)
    params, state = PARAMS, tx.init(PARAMS)
    for _ in range(steps):
        g = grads or jax.tree.map(jnp.ones_like, params)
        updates, state = tx.update(g, state, params)
        params = optax.apply_updates(params, updates)
    return params


def test_sgd_with_nesterov_and_l2_by_hand():
    c = cfg(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.5, schedule='constant', decay='.*=1')
    got = step(c, steps=2)['head']['kernel']
    p, v = 1.0, 0.0
    for _ in range(2):
        g = 1.0 + 0.5 * p
        v = 0.9 * v + g
        p -= 0.1 * (g + 0.9 * v)
    np.testing.assert_allclose(got, p, rtol=1e-6)


def test_adamw_first_step_is_the_learning_rate():
    c = cfg(name='adamw', lr=0.1, weight_decay=0.0, schedule='constant')
    np.testing.assert_allclose(step(c)['head']['kernel'], 0.9, rtol=1e-4)


def test_lars_by_hand():
    """As in the code of Barlow Twins: what decays is scaled to a thousandth of its norm, then momentum."""
    c = cfg(name='lars', lr=2.0, momentum=0.9, nesterov=False, weight_decay=0.5, schedule='constant')
    got = step(c, steps=2)
    kernel, bias, v, u = np.ones(3), np.ones(1), np.zeros(3), np.zeros(1)
    for _ in range(2):
        g = 1.0 + 0.5 * kernel
        v = 0.9 * v + 0.001 * np.linalg.norm(kernel) / np.linalg.norm(g) * g
        u = 0.9 * u + 1.0
        kernel, bias = kernel - 2.0 * v, bias - 2.0 * u
    np.testing.assert_allclose(got['head']['kernel'], kernel, rtol=1e-6)
    np.testing.assert_allclose(got['backbone']['conv1']['bias'], bias, rtol=1e-6)


@pytest.mark.parametrize('name', configs.OPTIMISERS)
def test_every_optimiser_freezes_and_scales(name):
    given = dict(name=name, lr=0.1, weight_decay=0.0, schedule='constant')
    rules = 'backbone/.*=0; head/.*=0.5'
    still, whole, half = PARAMS, step(cfg(**given)), step(cfg(**given, rules=rules))
    np.testing.assert_array_equal(half['backbone']['conv1']['kernel'], still['backbone']['conv1']['kernel'])
    moved, halved = (np.asarray(p['head']['kernel'] - still['head']['kernel']) for p in (whole, half))
    assert np.all(moved < 0)
    np.testing.assert_allclose(halved, moved / 2, rtol=1e-5)


def test_rules_freeze_and_scale():
    c = cfg(lr=0.1, momentum=0.0, weight_decay=0.0, schedule='constant', rules='backbone/.*=0; head/.*=0.5')
    got = step(c)
    np.testing.assert_array_equal(got['backbone']['conv1']['kernel'], 1.0)
    np.testing.assert_allclose(got['head']['kernel'], 0.95, rtol=1e-6)


def test_decay_spares_what_its_rules_say():
    c = cfg(lr=0.1, momentum=0.0, weight_decay=1.0, schedule='constant')
    zero = jax.tree.map(jnp.zeros_like, PARAMS)
    got = step(c, grads=zero)
    np.testing.assert_array_equal(got['backbone']['conv1']['bias'], 1.0)
    np.testing.assert_allclose(got['head']['kernel'], 0.9, rtol=1e-6)


def test_schedules():
    multistep = optim.schedule(cfg(lr=1.0, schedule='multistep', milestones=(0.5, 0.75), gamma=0.1), 100)
    np.testing.assert_allclose([multistep(s) for s in (0, 49, 50, 75)], [1, 1, 0.1, 0.01], rtol=1e-5)
    flat = optim.schedule(cfg(lr=1.0, schedule='flat_linear', milestones=(2 / 3,)), 1200)
    np.testing.assert_allclose([flat(s) for s in (0, 800, 1000, 1200)], [1, 1, 0.5, 0], atol=1e-6)
    slow = optim.schedule(cfg(lr=1.0, schedule='slow_cosine'), 100)
    assert slow(0) == 1 and float(slow(100)) == pytest.approx(np.cos(7 * np.pi / 16), rel=1e-5)
    cosine = optim.schedule(cfg(lr=1.0, schedule='cosine', warmup=0.1), 100)
    np.testing.assert_allclose([cosine(s) for s in (0, 5, 10, 55, 100)], [0, 0.5, 1, 0.5, 0], atol=1e-6)


def test_a_part_may_have_another_b1():
    """Adam's first step has the size of the learning rate; the second, against a gradient that has turned, shows b1."""
    given = cfg(name='adamw', lr=0.1, b1=0.5, weight_decay=0.0, schedule='constant', b1_rules='head/.*=0')
    tx, _ = optim.make(given, 10)
    params = {'backbone': jnp.zeros(1), 'head': {'kernel': jnp.zeros(1)}}
    state, moved = tx.init(params), []
    for gradient in (1.0, -1.0):
        updates, state = tx.update(jax.tree.map(lambda x: gradient + x, params), state, params)
        moved.append((float(updates['backbone'][0]), float(updates['head']['kernel'][0])))
    assert moved[0] == pytest.approx((-0.1, -0.1), rel=1e-4)
    # With b1 = 0.5 the mean is (0.25 - 0.5) / 0.75 = -1/3; with 0 it is the gradient itself.
    assert moved[1] == pytest.approx((0.1 / 3, 0.1), rel=1e-3)


@pytest.mark.parametrize(
    'change, said',
    [
        ({'rules': 'head/.*=1'}, 'no optimiser rule'),
        ({'rules': 'head/(.*=1'}, 'not of the form'),
        ({'name': 'lion'}, 'sgd, adamw, lars or muon'),
        ({'schedule': 'linear'}, 'cosine, slow_cosine, constant, multistep or flat_linear'),
    ],
)
def test_errors(change, said):
    with pytest.raises(ValueError, match=said):
        step(cfg(**change))
