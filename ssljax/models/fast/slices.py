"""Windows and phases of a map as slices of it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ssljax.models.fast.fusion import apart


def interleave(phase, kernel, stride, padding, size):
    """Puts together a map of which every stride-th row and column, from (a, b), is phase(taps, shifts, sizes).

    The window at output o covers, with its taps i, the input pixels o * stride + i - padding. Pixel
    q * stride + a is thus reached by the taps i = (a + padding) % stride + stride * m from the outputs
    q + shift - m, shift = (a + padding) // stride. `taps` lists those i for rows and for columns.
    """
    sizes = [-(-n // stride) for n in size]

    def row(a):
        return [
            phase(
                [range((r + p) % stride, k, stride) for r, p, k in zip((a, b), padding, kernel)],
                [(r + p) // stride for r, p in zip((a, b), padding)],
                sizes,
            )
            for b in range(stride)
        ]

    if stride == 1:
        return row(0)[0]
    y = jnp.stack([jnp.stack(row(a), 3) for a in range(stride)], 2)  # [B, H / s, s, W / s, s, C]
    return y.reshape(y.shape[0], sizes[0] * stride, sizes[1] * stride, -1)[:, : size[0], : size[1]]


def padded(x, pads, fill=0.0):
    """x [B, H, W, C] with this many rows and columns added at ((top, bottom), (left, right)), or cut if negative."""
    return lax.pad(x, jnp.asarray(fill, x.dtype), ((0, 0, 0), *((low, high, 0) for low, high in pads), (0, 0, 0)))


def taps(x, kernel, stride, pads, fill=0.0):
    """The windows' pixels, one tap of the kernel after another in reading order: a list of arrays [B, h, w, C].

    The barrier keeps XLA from computing x anew for every slice.
    """
    x = padded(lax.optimization_barrier(x), pads, fill)
    h, w = ((n - k) // stride * stride + 1 for n, k in zip(x.shape[1:3], kernel))
    return [x[:, i : i + h : stride, j : j + w : stride] for i, j in np.ndindex(*kernel)]


def untap(taps, kernel, stride, pads, size):
    """The transpose of `taps`: [B, *size, C], each pixel the sum over the windows and taps that hold it."""

    def phase(reached, shifts, sizes):
        parts = [
            _shift(taps[i * kernel[1] + j], shifts[0] - m, shifts[1] - n, sizes)
            for m, i in enumerate(reached[0])
            for n, j in enumerate(reached[1])
        ]
        return sum(parts) if parts else jnp.zeros((taps[0].shape[0], *sizes, taps[0].shape[-1]), taps[0].dtype)

    return interleave(phase, kernel, stride, [low for low, _ in pads], size)


def _shift(t, down, right, sizes):
    """[B, *sizes, C] whose pixel (y, x) is t's (y + down, x + right), zero outside."""
    return padded(t, [(-shift, size + shift - n) for shift, size, n in zip((down, right), sizes, t.shape[1:3])])


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def unfold(x, kernel, stride, pads):
    """The windows' pixels side by side: [B, h, w, taps * C] ("im2col")."""
    return apart(lambda x: jnp.concatenate(taps(x, kernel, stride, pads), -1), x)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3, 4))
def fold(y, kernel, stride, pads, size):
    """The transpose of `unfold`: [B, *size, C]."""
    return apart(lambda y: untap(jnp.split(y, np.prod(kernel), -1), kernel, stride, pads, size), y)


unfold.defvjp(
    lambda x, *given: (unfold(x, *given), x[:0]),  # the empty array carries the shape
    lambda kernel, stride, pads, empty, g: (fold(g, kernel, stride, pads, empty.shape[1:3]),),
)
fold.defvjp(
    lambda y, *given: (fold(y, *given), None),
    lambda kernel, stride, pads, size, _, g: (unfold(g, kernel, stride, pads),),
)


def under(x, tap, stride, padding, size):
    """((first, end), (first, end)) of the output's rows and columns whose pixel under this tap lies within x, and these
    pixels [B, h, w, C]; there may be none."""
    within, places = [], []
    for i, n, low, outputs in zip(tap, x.shape[1:3], padding, size):
        first = max(-(-(low - i) // stride), 0)
        end = max(min((n - 1 + low - i) // stride + 1, outputs), first)
        within.append((first, end))
        places.append(slice(first * stride + i - low, max((end - 1) * stride + i - low + 1, 0), stride))
    return within, x[:, *places]
