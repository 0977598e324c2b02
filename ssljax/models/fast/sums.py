"""Sums over all axes but the last, as in batch normalisation."""

import math

import jax.numpy as jnp
from jax import lax

from ssljax.models.fast.fusion import apart

_PARTS = 8  # added by one loop, which reads this many places at once: 16 and 32 share cache lines and are slower


def channel_sums(f, arrays, vectors=()):
    """The sums over all axes but the last of each of f(*arrays, *vectors), [C] float32 each.

    A sum over many rows is slow in XLA's own loop and inexact as a product with ones, because each step rounds to the
    precision of the running total. Here the parts of a map are added in pairs, its rows first, in loops that read the
    arrays once for all that f returns; the images, which several devices may share, come last, as an ordinary sum.

    Args:
      f: elementwise, for arrays and vectors of one shape or of shapes that broadcast; float32 -> a tuple of float32.
      arrays: [B, ..., C] of one shape, with at least one axis in between, floats.
      vectors: [C] float32, of which f gets each channel's value.
    """
    batch, rows, *rest = arrays[0].shape
    width, channels = math.prod(rest[:-1]), rest[-1]

    def first(*given):
        flat = [a.reshape(batch, rows, -1).astype(jnp.float32) for a in given[: len(arrays)]]
        tiled = [jnp.tile(v, width) for v in given[len(arrays) :]]
        return [_added(each, 1) for each in f(*flat, *tiled)]

    parts = [each.reshape(batch, -1, channels) for each in apart(first, *arrays, *vectors)]
    while parts[0].shape[1] > 1:
        parts = apart(lambda *parts: [_added(each, 1) for each in parts], *parts)
    return jnp.unstack(jnp.stack(parts).sum((1, 2)))


def _added(x, axis):
    """The sum of up to _PARTS equal parts of x along an axis, the last padded with zeros."""
    size = x.shape[axis]
    length = -(-size // _PARTS)
    parts = [lax.slice_in_dim(x, i, min(i + length, size), axis=axis) for i in range(0, size, length)]
    if (missing := length - parts[-1].shape[axis]) > 0:
        pads = [(0, missing if i == axis else 0, 0) for i in range(x.ndim)]
        parts[-1] = lax.pad(parts[-1], jnp.zeros((), x.dtype), pads)
    while len(parts) > 1:
        parts = [sum(parts[i + 1 : i + 2], parts[i]) for i in range(0, len(parts), 2)]
    return parts[0]
