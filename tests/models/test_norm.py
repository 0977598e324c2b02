import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import NamedSharding, PartitionSpec

from ssljax.devices import platform
from ssljax.devices.sharding import make_mesh
from ssljax.models import layers
from ssljax.models.fast.sums import channel_sums
from tests.devices import on_four

SHAPES = [(5, 4, 6, 3), (8, 1, 1, 5), (3, 17, 9, 8), (4, 40, 16), (1, 2, 3, 1)]


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def outcome(mode, slope, x, g):
    """Output, running statistics, and the gradients of scale, bias and input, of one training step."""
    module = layers.BatchNorm(True, slope=slope, mode=mode, dtype=x.dtype)
    channels = x.shape[-1]
    params = {'scale': jnp.linspace(-0.5, 2, channels), 'bias': jnp.linspace(-1, 1, channels)}
    stats = {'mean': jnp.ones(channels), 'var': jnp.ones(channels)}

    def train(params, x):
        y, state = module.apply({'params': params, 'batch_stats': stats}, x, mutable='batch_stats')
        return y, state['batch_stats']

    y, vjp, state = jax.vjp(train, params, x, has_aux=True)
    return y, state, vjp(g)


def agree(a, b, tolerance):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for p, q in zip(jax.tree.leaves(a), jax.tree.leaves(b)):
        assert (p.shape, p.dtype) == (q.shape, q.dtype)
        p, q = np.asarray(p, np.float32), np.asarray(q, np.float32)
        np.testing.assert_allclose(p, q, rtol=0, atol=tolerance * (1 + np.abs(p).max()))


@pytest.mark.parametrize('slope', [0.0, 0.1, 1.0])
@pytest.mark.parametrize('shape', SHAPES)
def test_training_equals_flax(shape, slope):
    run = jax.jit(outcome, static_argnums=(0, 1))
    x, g = 3 * normal(0, *shape) + 1, normal(1, *shape)
    agree(run('xla', slope, x, g), run('fast', slope, x, g), 5e-6)


def test_training_in_bfloat16_equals_flax():
    x, g = (jnp.asarray(normal(i, 4, 6, 5, 8), jnp.bfloat16) for i in range(2))
    run = jax.jit(outcome, static_argnums=(0, 1))
    agree(run('xla', 0.0, x, g), run('fast', 0.0, x, g), 1e-2)


def test_variables_are_flax_own():
    x, key = jnp.ones((2, 4, 4, 3)), jax.random.key(0)
    for fields in ({}, {'use_scale': False}, {'use_scale': False, 'use_bias': False}):
        ours, theirs = (layers.BatchNorm(True, mode=mode, **fields).init(key, x) for mode in ('fast', 'xla'))
        agree(ours, theirs, 0)


def test_gradients_through_the_statistics():
    """Of what depends on the mean and the variance that the layer returns, such as a penalty on them."""
    x, g = jnp.asarray(normal(0, 3, 4, 5, 2)), jnp.asarray([0.3, -0.7])

    def penalty(x, mode):
        module = layers.BatchNorm(True, mode=mode, momentum=0.0)
        stats = module.apply(module.init(jax.random.key(0), x), x, mutable='batch_stats')[1]['batch_stats']
        return stats['mean'] @ g + stats['var'] @ (g + 1)

    agree(*(jax.grad(penalty)(x, mode) for mode in ('xla', 'fast')), 1e-6)


def test_second_order_and_vmap_equal_flax():
    x, g = jnp.asarray(normal(0, 2, 3, 4, 5, 2)), jnp.asarray(normal(1, 3, 4, 5, 2))

    def steepness(x, mode):
        inner = lambda x: (outcome(mode, 0.1, x, g)[0] ** 3).sum()
        return (jax.grad(inner)(x) ** 2).sum()

    agree(*(jax.jit(jax.vmap(jax.grad(lambda x: steepness(x, mode))))(x) for mode in ('xla', 'fast')), 2e-4)


# The first axis of rows is that of the batch; XLA's sums through YNN were wrong from 32,769 rows on.
@pytest.mark.parametrize('shape', [(32_769, 1, 3), (1, 32_769, 3), (3, 10_923, 1, 3), (11, 3, 993, 3), (100_003, 1, 2)])
def test_sums_of_many_rows_round_less_than_plain_ones(shape):
    x = 2 * normal(0, *shape) + 1
    exact = np.asarray(x, np.float64).reshape(-1, shape[-1])
    exact = np.stack([exact.sum(0), (exact**2).sum(0)])
    sums = lambda x: jnp.stack(channel_sums(lambda x: (x, x * x), [x]))
    found = jax.jit(sums, compiler_options=platform.compiler_options())(x)
    assert np.abs(found / exact - 1).max() < 2 * np.finfo(np.float32).eps * np.log2(x.size)
    one_by_one = np.cumsum(np.stack([x, x * x]).reshape(2, -1, shape[-1]), 1, dtype=np.float32)[:, -1]
    assert np.abs(found - exact).max() < np.abs(one_by_one - exact).max()


@settings(max_examples=15)
@given(shape=st.lists(st.integers(1, 21), min_size=3, max_size=4), seed=st.integers(0, 9))
def test_sums_of_any_shape(shape, seed):
    a, b, v = normal(seed, *shape), normal(seed + 1, *shape), normal(seed, shape[-1])
    found = channel_sums(lambda a, b, v: (a * b, a - v), [a, b], [v])
    axes = tuple(range(len(shape) - 1))
    np.testing.assert_allclose(found[0], (a.astype(np.float64) * b).sum(axes), rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(found[1], (a.astype(np.float64) - v).sum(axes), rtol=1e-5, atol=1e-4)


def shared_by_four():
    """Mean and variance of a batch that four devices share, and how large a map any of them holds of it."""
    mesh, x = make_mesh(), normal(0, 8, 6, 6, 4) + np.arange(8, dtype=np.float32)[:, None, None, None]
    x = jax.device_put(x, NamedSharding(mesh, PartitionSpec('data')))
    program = jax.jit(lambda x, g: outcome('fast', 0.0, x, g)).lower(x, x).compile()
    _, stats, (_, dx) = program(x, x)
    return [stats['mean'].tolist(), stats['var'].tolist(), np.asarray(dx).tolist(), 'all-gather' in program.as_text()]


def test_statistics_of_a_shared_batch_are_those_of_all():
    x = normal(0, 8, 6, 6, 4) + np.arange(8, dtype=np.float32)[:, None, None, None]
    mean, var, dx, gathered = on_four(shared_by_four)
    _, stats, (_, expected) = outcome('xla', 0.0, x, x)
    agree((stats['mean'], stats['var'], expected), tuple(np.float32(a) for a in (mean, var, dx)), 1e-5)
    assert not gathered  # only sums pass between devices, no map
