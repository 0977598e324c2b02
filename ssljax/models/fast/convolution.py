"""Convolution. `pads` is ((top, bottom), (left, right)), any of them possibly negative."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ssljax.models.fast import winograd
from ssljax.models.fast.fusion import apart
from ssljax.models.fast.products import product
from ssljax.models.fast.slices import fold, interleave, padded, taps, under

LAYOUT = ('NHWC', 'HWIO', 'NHWC')
_FEW = 9  # most inputs of an output pixel for `_few_conv`: 3x3 of a gray image
_WIDE = 16  # channels from which a product for each tap, or convolutions for the input gradient, pay off with AVX2


def plain(x, w, stride, pads, *, groups=1, kernel_dilation=1):
    """XLA's own convolution."""
    return lax.conv_general_dilated(
        x,
        w,
        (stride, stride),
        pads,
        rhs_dilation=(kernel_dilation, kernel_dilation),
        dimension_numbers=LAYOUT,
        feature_group_count=groups,
    )


def conv(x, w, stride, pads):
    """The fastest form for the shapes at hand."""
    (height, width), kernel = x.shape[1:3], w.shape[:2]
    if kernel == (1, 1) and pads == ((0, 0), (0, 0)):
        return _product(x[:, ::stride, ::stride], w[0, 0])
    if height < kernel[0] or width < kernel[1]:
        return _small_conv(x, w, stride, pads)
    return _large_conv(x, w, stride, pads)


def _product(x, w):
    """x [..., C] by w [C, D], as matrices: the gradient of a product over more axes would transpose first."""
    return product(x.reshape(-1, x.shape[-1]), w).reshape(*x.shape[:-1], -1)


def _small_conv(x, w, stride, pads):
    """A convolution of an image smaller than the kernel: one matrix product for each tap, of the pixels within x."""
    size = [(n + sum(pad) - k) // stride + 1 for n, pad, k in zip(x.shape[1:3], pads, w.shape)]
    y = jnp.zeros((x.shape[0], *size, w.shape[3]), x.dtype)
    matrices = jnp.unstack(w.reshape(-1, *w.shape[2:]))  # at once, so that their gradients are put together in one go
    for tap, matrix in zip(np.ndindex(w.shape[:2]), matrices):
        within, pixels = under(x, tap, stride, [low for low, _ in pads], size)
        if pixels.size:
            y += padded(_product(pixels, matrix), [(first, n - end) for (first, end), n in zip(within, size)])
    return y


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _large_conv(x, w, stride, pads):
    if np.prod(w.shape[:3]) <= _FEW:
        return _few_conv(x, w, stride, pads)
    if winograd.pays(x, w.shape, stride, pads):
        return winograd.conv(x, w, pads)
    return plain(x, w, stride, pads)


def _few_conv(x, w, stride, pads):
    """The sum of one product for each input of an output pixel: for a first layer, whose inputs are few."""
    pixels = taps(x, w.shape[:2], stride, pads)
    weights = w.reshape(len(pixels), *w.shape[2:])
    places = np.ndindex(weights.shape[:2])
    return lax.optimization_barrier(sum(pixels[tap][..., c : c + 1] * weights[tap, c] for tap, c in places))


def _large_conv_forward(x, w, stride, pads):
    return _large_conv(x, w, stride, pads), (x, w)


def _large_conv_backward(stride, pads, residuals, g):
    x, w = residuals
    if winograd.pays(x, w.shape, stride, pads):
        return winograd.gradients(x, w, g, pads)
    return input_gradient(g, w, stride, pads, x.shape[1:3]), filter_gradient(x, g, w.shape[:2], stride, pads)


_large_conv.defvjp(_large_conv_forward, _large_conv_backward)


def filter_gradient(x, g, kernel, stride, pads):
    """[k, k, C, D]: by the fastest form for the shapes at hand."""
    if stride > 1 and x.shape[3] >= _WIDE:
        return _tap_products(x, g, kernel, stride, pads)
    return _conv_gradient(x, g, kernel, stride, pads)


def _tap_products(x, g, kernel, stride, pads):
    """One matrix product for each tap: its pixels, put together, with g."""
    x = padded(x, pads)
    rows, cols = ((n - 1) * stride + 1 for n in g.shape[1:3])

    def tap_product(i, j):
        pixels = apart(lambda x: x[:, i : i + rows : stride, j : j + cols : stride], x)
        return product(pixels.reshape(-1, x.shape[3]).T, g.reshape(-1, g.shape[3]))

    return jnp.stack([tap_product(*tap) for tap in np.ndindex(kernel)]).reshape(*kernel, x.shape[3], -1)


def _conv_gradient(x, g, kernel, stride, pads):
    """The convolution of x with g as the kernel, channels as batch and batch as channels.

    XLA brings a convolution into this layout itself, but only outside of loops. The barriers keep it from
    folding the transpositions back into the convolution.
    """
    pads = [
        (low, k + (o - 1) * stride - n - low) for (low, _), k, o, n in zip(pads, kernel, g.shape[1:3], x.shape[1:3])
    ]
    rows, cols = (n + min(high, 0) for n, (_, high) in zip(x.shape[1:3], pads))
    x = apart(lambda x: x[:, :rows, :cols].transpose(3, 1, 2, 0), x)
    g = apart(lambda g: g.transpose(1, 2, 0, 3), g)
    x, g = lax.optimization_barrier((x, g))
    dw = plain(x, g, 1, [(low, max(high, 0)) for low, high in pads], kernel_dilation=stride)
    return lax.optimization_barrier(dw).transpose(1, 2, 0, 3)


def input_gradient(g, w, stride, pads, size):
    """[B, *size, C]: by the fastest form for the shapes at hand."""
    if w.shape[2] < _WIDE:
        pixels = _product(g, w.reshape(-1, w.shape[3]).T)
        return fold(pixels, w.shape[:2], stride, pads, tuple(size))
    return _phase_convs(g, w, stride, pads, size)


def _phase_convs(g, w, stride, pads, size):
    """Ordinary convolutions of g, one for each of the stride^2 phases of the input's pixels."""
    flipped = w[::-1, ::-1].transpose(0, 1, 3, 2)

    def phase(taps, shifts, sizes):
        if not all(taps):
            return jnp.zeros((g.shape[0], *sizes, w.shape[2]), g.dtype)
        part = flipped[tuple(slice(k - 1 - t[-1], k - t[0], stride) for k, t in zip(w.shape[:2], taps))]
        reach = [(len(t) - 1 - s, n - 1 + s - (o - 1)) for t, s, n, o in zip(taps, shifts, sizes, g.shape[1:3])]
        return conv(g, part, 1, tuple(reach))

    return interleave(phase, w.shape[:2], stride, [low for low, _ in pads], size)
