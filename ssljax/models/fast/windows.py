"""Pooling and depthwise convolution, whose windows are slices."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ssljax.models.fast.fusion import apart
from ssljax.models.fast.slices import taps, under, untap


def _square(window, stride, padding):
    """(kernel, stride, pads), as slices.taps takes them."""
    return (window, window), stride, ((padding, padding), (padding, padding))


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def max_pool(x, window, stride, padding):
    """As conv.max_pool."""
    return functools.reduce(jnp.maximum, taps(x, *_square(window, stride, padding), -jnp.inf))


def _max_pool_forward(x, window, stride, padding):
    first, *rest = taps(x, *_square(window, stride, padding), -jnp.inf)
    best, index = first, jnp.zeros(first.shape, jnp.uint8)
    for i, tap in enumerate(rest, 1):  # of equal pixels the first one is the maximum, as in XLA
        index, best = jnp.where(tap > best, jnp.uint8(i), index), jnp.maximum(best, tap)
    return best, (index, x[:0])  # the empty array carries the shape


def _max_pool_backward(window, stride, padding, residuals, g):
    index, empty = residuals

    def put_back(index, g):
        parts = [jnp.where(index == i, g, 0) for i in range(window**2)]
        return untap(parts, *_square(window, stride, padding), empty.shape[1:3])

    return (apart(put_back, index, g),)


max_pool.defvjp(_max_pool_forward, _max_pool_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def sum_pool(x, window, stride, padding):
    """The sums of the windows of x [B, H, W, C] -> [B, h, w, C], padded with zeros."""
    return sum(taps(x, *_square(window, stride, padding)))


def _sum_pool_forward(x, window, stride, padding):
    return sum_pool(x, window, stride, padding), x[:0]


def _sum_pool_backward(window, stride, padding, empty, g):
    return (apart(lambda g: untap([g] * window**2, *_square(window, stride, padding), empty.shape[1:3]), g),)


sum_pool.defvjp(_sum_pool_forward, _sum_pool_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def depthwise(x, w, stride, padding):
    """x [B, H, W, C], w [k, k, 1, C]: every channel with its own kernel, as a sum of scaled slices."""
    k = w.shape[0]
    return sum(tap * v for tap, v in zip(taps(x, *_square(k, stride, padding)), w.reshape(k * k, -1)))


def _depthwise_forward(x, w, stride, padding):
    return depthwise(x, w, stride, padding), (x, w)


def _depthwise_backward(stride, padding, residuals, g):
    (x, w), g = residuals, lax.optimization_barrier(g)
    k = w.shape[0]
    dx = apart(
        lambda g, w: untap([g * v for v in w.reshape(k * k, -1)], *_square(k, stride, padding), x.shape[1:3]), g, w
    )
    dw = [_tap_gradient(x, g, tap, stride, padding) for tap in np.ndindex(k, k)]
    return dx, jnp.stack(dw).reshape(w.shape)


def _tap_gradient(x, g, tap, stride, padding):
    """[C]: the products of g with the pixels of x under one tap, summed over batch, rows and columns.

    Parts of the batch are added first, then a product with ones sums the rest: the compiler makes fast loops of both,
    but would copy the slices for a plain sum.
    """
    within, x = under(x, tap, stride, (padding, padding), g.shape[1:3])
    if not x.size:
        return jnp.zeros(x.shape[-1], x.dtype)
    g = g[:, *(slice(*ends) for ends in within)]
    parts = next(n for n in (8, 4, 2, 1) if x.shape[0] % n == 0)
    total = sum(a * b for a, b in zip(jnp.split(x, parts), jnp.split(g, parts))).reshape(-1, x.shape[-1])
    return jnp.ones(len(total), x.dtype) @ total


depthwise.defvjp(_depthwise_forward, _depthwise_backward)
