import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest

from ssljax import config as configs
from ssljax import muon, optim

SHAPES = (6, 4), (4, 6), (3, 3, 2, 5), (2, 3, 24), (3, 3, 1, 8), (1, 1, 16, 16)


def kernels(seed: int, scale=1.0) -> dict:
    rng = np.random.default_rng(seed)
    return {str(shape): {'kernel': jnp.asarray(scale * rng.normal(size=shape), 'float32')} for shape in SHAPES}


def made(**kw) -> optax.GradientTransformation:
    given = configs.stage(epochs=1.0).optim
    given.update(name='muon', lr=0.1, weight_decay=0.5, schedule='constant', **kw)
    return optim.make(given, 10)[0]


@pytest.mark.parametrize('scale', [1e-5, 1.0, 1e5])
def test_an_update_is_that_of_optax(scale):
    """Without momentum, for optax corrects its bias at the start."""
    params, grads = kernels(0), kernels(1, scale)
    numbers = lambda tree: jax.tree.map(
        lambda x: optax.contrib.MuonDimensionNumbers(tuple(range(x.ndim - 1)), x.ndim - 1), tree
    )
    theirs = optax.contrib.muon(
        0.1, beta=0.0, weight_decay=0.5, consistent_rms=0.2, muon_weight_dimension_numbers=numbers
    )
    ours = made(momentum=0.0)
    moved, expected = (tx.update(grads, tx.init(params), params)[0] for tx in (ours, theirs))
    for ours, theirs in zip(jax.tree.leaves(moved), jax.tree.leaves(expected)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize('nesterov', [True, False])
def test_momentum_is_that_of_the_source(nesterov):
    """buffer = (1 - b) gradient + b buffer, and in Nesterov's form once more; the size is lost in what follows."""
    tx, state, buffer = muon.scale_by_muon(0.9, nesterov), None, jnp.zeros((6, 4))
    for seed in range(3):
        grads = {'kernel': kernels(seed)['(6, 4)']['kernel']}
        moved, state = tx.update(grads, state or tx.init(grads))
        buffer = 0.1 * grads['kernel'] + 0.9 * buffer
        seen = 0.1 * grads['kernel'] + 0.9 * buffer if nesterov else buffer
        expected = muon.orthogonal(seen) * 0.2 * 6**0.5
        np.testing.assert_allclose(moved['kernel'], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('shape', SHAPES)
def test_singular_vectors_stay_and_values_are_near_one(shape):
    x = kernels(3)[str(shape)]['kernel']
    flat = lambda x: np.asarray(x, 'float64').reshape(-1, shape[-1])
    left, values, right = np.linalg.svd(flat(x), full_matrices=False)
    got = left.T @ flat(muon.orthogonal(x)) @ right.T
    assert np.all(np.diag(got)[values > values.max() / 10] > 0.6) and np.all(np.diag(got) < 1.3)
    np.testing.assert_allclose(got - np.diag(np.diag(got)), 0.0, atol=1e-4)


def test_a_kernel_of_zeros_stays():
    assert not np.any(muon.orthogonal(jnp.zeros((3, 3, 2, 5))))


def test_what_is_no_kernel_has_adams_update():
    params = {
        'norm': {'scale': jnp.ones(4), 'bias': jnp.zeros(4)},
        'positions': jnp.ones((3, 4)),
        'kernel': jnp.ones(3),
    }
    grads = jax.tree.map(lambda x: x + 0.5, params)
    moved, _ = made().update(grads, made().init(params), params)
    for name in ('norm', 'positions'):
        jax.tree.map(lambda x: np.testing.assert_allclose(x, -0.1, rtol=1e-4), moved[name])
    assert muon.kinds(params)['kernel'] == 'other'  # one axis: no matrix
