"""Convolution and pooling in XLA's forms and in those of `fast`; NHWC, HWIO, square windows."""

import jax
import jax.numpy as jnp
from jax import lax

from ssljax.models.fast import convolution, windows

MODES = ('auto', 'xla', 'fast')


def is_fast(mode: str) -> bool:
    """Whether `mode` asks for the fast forms: 'fast' always, 'auto' on the CPU backend, 'xla' never."""
    return mode == 'fast' or (mode == 'auto' and jax.default_backend() == 'cpu')


def conv2d(x, w, stride: int = 1, padding: int = 0, *, groups: int = 1, mode: str = 'auto') -> jax.Array:
    """Convolution of x [B, H, W, C] with w [k, k, C / groups, D] -> [B, h, w, D].

    h = (H + 2 padding - k) // stride + 1. x and w are of one float dtype, which is the result's. `groups=C`
    with D = C is a depthwise convolution.
    """
    pads = ((padding, padding), (padding, padding))
    if is_fast(mode):
        if groups == x.shape[-1] == w.shape[-1]:
            return windows.depthwise(x, w, stride, padding)
        if groups == 1:
            return convolution.conv(x, w, stride, pads)
    return convolution.plain(x, w, stride, pads, groups=groups)


def conv_transpose2d(x, w, stride: int = 1, padding: int = 0, *, mode: str = 'auto') -> jax.Array:
    """The transpose of `conv2d`: x [B, h, w, C] with w [k, k, D, C] -> [B, H, W, D].

    H = (h - 1) stride + k - 2 padding. The fast form is one ordinary convolution for each of the stride^2 phases of the
    output's pixels.
    """
    pads = ((padding, padding), (padding, padding))
    if is_fast(mode):
        size = [(n - 1) * stride + k - 2 * padding for n, k in zip(x.shape[1:3], w.shape[:2])]
        return convolution.input_gradient(x, w, stride, pads, size)
    edges = [(k - 1 - padding, k - 1 - padding) for k in w.shape[:2]]
    return lax.conv_transpose(
        x, w, (stride, stride), edges, dimension_numbers=convolution.LAYOUT, transpose_kernel=True
    )


def max_pool(x, window: int, stride: int, padding: int = 0, *, mode: str = 'auto') -> jax.Array:
    """Max pooling of x [B, H, W, C] -> [B, h, w, C]; the padding is never the maximum."""
    if is_fast(mode):
        return windows.max_pool(x, window, stride, padding)
    return lax.reduce_window(x, -jnp.inf, lax.max, *_windows(window, stride, padding))


def avg_pool(x, window: int, stride: int, padding: int = 0, *, mode: str = 'auto') -> jax.Array:
    """Average pooling of x [B, H, W, C] -> [B, h, w, C]; padding counts as zeros (PyTorch's default)."""
    if is_fast(mode):
        return windows.sum_pool(x, window, stride, padding) / window**2
    return lax.reduce_window(x, 0.0, lax.add, *_windows(window, stride, padding)) / window**2


def _windows(window, stride, padding):
    return (
        (1, window, window, 1),
        (1, stride, stride, 1),
        ((0, 0), (padding, padding), (padding, padding), (0, 0)),
    )
