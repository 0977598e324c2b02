"""Layers of sequences: the fast forms, and the plain ones, are those of Flax."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssljax.models import layers, vit


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def agree(a, b, tolerance):
    """Within `tolerance` of the largest value: some gradients, such as that of a key's bias, are rounding alone."""
    assert jax.tree.map(lambda p: (p.shape, p.dtype), a) == jax.tree.map(lambda q: (q.shape, q.dtype), b)
    a, b = (np.concatenate([np.ravel(p).astype(np.float32) for p in jax.tree.leaves(tree)]) for tree in (a, b))
    np.testing.assert_allclose(b, a, rtol=0, atol=tolerance * (1 + np.abs(a).max()))


def same(theirs, ours, x, tolerance, draws=True):
    """Initial weights, unless they are drawn otherwise; output and gradients of both modules with the same ones."""
    variables = theirs.init(jax.random.key(0), x)
    other = ours.init(jax.random.key(0), x)
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(jnp.shape, other)
    if draws:
        agree(variables, other, 0)
    leaves, structure = jax.tree.flatten(variables)
    variables = jax.tree.unflatten(structure, [a + 0.3 * normal(i, *a.shape) for i, a in enumerate(leaves)])

    @jax.jit
    def outcome(variables, x):
        found = []
        for module in (theirs, ours):
            y, vjp = jax.vjp(module.apply, variables, x)
            found.append((y, vjp(jnp.asarray(normal(9, *y.shape), y.dtype))))
        return found

    agree(*outcome(variables, x), tolerance)


@pytest.mark.parametrize('mode', ['fast', 'xla'])
@pytest.mark.parametrize('dtype, tolerance', [(jnp.float32, 1e-5), (jnp.bfloat16, 3e-2)])
def test_layers_equal_flax(mode, dtype, tolerance):
    x = jnp.asarray(2 * normal(0, 4, 9, 24) + 1, dtype)
    draw = nn.initializers.xavier_uniform()
    ours = {'dtype': dtype, 'mode': mode}
    same(nn.LayerNorm(epsilon=1e-6, dtype=dtype), layers.LayerNorm(epsilon=1e-6, **ours), x, tolerance)
    same(nn.Dense(7, dtype=dtype, kernel_init=draw), layers.Dense((7,), kernel_init=draw, **ours), x, tolerance)
    attention = nn.MultiHeadDotProductAttention(4, dtype=dtype, kernel_init=draw)
    same(attention, vit.Attention(4, **ours), x, tolerance)


@settings(max_examples=10)
@given(shape=st.lists(st.integers(1, 9), min_size=3, max_size=4), seed=st.integers(0, 999))
def test_layer_norm_of_any_shape(shape, seed):
    """Each row's deviation is 1: where two features are nearly equal, their rounding is all there is to compare."""
    shape[-1] += 1
    x = normal(seed, *shape)
    x = (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True) + 10 * normal(seed + 1, *shape[:-1], 1)
    same(nn.LayerNorm(use_fast_variance=False), layers.LayerNorm(mode='fast'), x, 2e-4)


def test_second_order_and_vmap_equal_flax():
    x = jnp.asarray(normal(0, 2, 3, 4, 6))

    def steepness(x, module):
        variables = module.init(jax.random.key(0), x)
        inner = lambda x: (module.apply(variables, x) ** 3).sum()
        return (jax.grad(inner)(x) ** 2).sum()

    for theirs, ours in (
        (nn.LayerNorm(), layers.LayerNorm(mode='fast')),
        (nn.Dense(5), layers.Dense((5,), mode='fast')),
    ):
        agree(*(jax.jit(jax.vmap(jax.grad(lambda x: steepness(x, module))))(x) for module in (theirs, ours)), 2e-4)
