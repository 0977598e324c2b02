"""Convolution and pooling in XLA's forms and in faster ones; NHWC, HWIO, square windows.

On the CPU XLA computes ordinary convolutions well and their relatives badly: the gradients of a strided
convolution are dilated convolutions, a filter gradient inside a loop, a depthwise convolution and an image
smaller than its kernel run in a naive loop, and pooling's gradient is a scatter. The fast forms write each
of these in terms of what is quick there: ordinary convolutions, matrix products and slices. They are exact,
up to rounding and order of summation. They have their own reverse derivatives, which can be differentiated
again in reverse and mapped with `jax.vmap`; forward-mode (`jax.jvp`, `jax.hessian`) needs `mode='xla'`.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

MODES = ('auto', 'xla', 'fast')
_FEW = 9  # inputs of an output pixel: 3x3 of a gray image
_LAYOUT = ('NHWC', 'HWIO', 'NHWC')


def is_fast(mode: str) -> bool:
    """Whether `mode` asks for the fast forms: 'fast' always, 'auto' on the CPU backend, 'xla' never."""
    return mode == 'fast' or (mode == 'auto' and jax.default_backend() == 'cpu')


def conv2d(x, w, stride: int = 1, padding: int = 0, *, groups: int = 1, mode: str = 'auto') -> jax.Array:
    """Convolution of x [B, H, W, C] with w [k, k, C / groups, D] -> [B, h, w, D].

    h = (H + 2 padding - k) // stride + 1. x and w are of one float dtype, which is the result's. `groups=C`
    with D = C is a depthwise convolution.
    """
    if is_fast(mode):
        if groups == x.shape[-1] == w.shape[-1]:
            return _depthwise(x, w, stride, padding)
        if groups == 1:
            return _conv(x, w, stride, ((padding, padding), (padding, padding)))
    return _lax_conv(x, w, stride, ((padding, padding), (padding, padding)), groups)


def conv_transpose2d(x, w, stride: int = 1, padding: int = 0, *, mode: str = 'auto') -> jax.Array:
    """The transpose of `conv2d`: x [B, h, w, C] with w [k, k, D, C] -> [B, H, W, D].

    H = (h - 1) stride + k - 2 padding. The fast form is one ordinary convolution for each of the stride^2 phases of the
    output's pixels.
    """
    pads = ((padding, padding), (padding, padding))
    if is_fast(mode):
        size = [(n - 1) * stride + k - 2 * padding for n, k in zip(x.shape[1:3], w.shape[:2])]
        return _input_gradient(x, w, stride, pads, size)
    edges = [(k - 1 - padding, k - 1 - padding) for k in w.shape[:2]]
    return lax.conv_transpose(x, w, (stride, stride), edges, dimension_numbers=_LAYOUT, transpose_kernel=True)


def max_pool(x, window: int, stride: int, padding: int = 0, *, mode: str = 'auto') -> jax.Array:
    """Max pooling of x [B, H, W, C] -> [B, h, w, C]; the padding is never the maximum."""
    if is_fast(mode):
        return _max_pool(x, window, stride, padding)
    return lax.reduce_window(x, -jnp.inf, lax.max, *_windows(window, stride, padding))


def avg_pool(x, window: int, stride: int, padding: int = 0, *, mode: str = 'auto') -> jax.Array:
    """Average pooling of x [B, H, W, C] -> [B, h, w, C]; padding counts as zeros (PyTorch's default)."""
    if is_fast(mode):
        return _sum_pool(x, window, stride, padding) / window**2
    return lax.reduce_window(x, 0.0, lax.add, *_windows(window, stride, padding)) / window**2


def _windows(window, stride, padding):
    return (
        (1, window, window, 1),
        (1, stride, stride, 1),
        ((0, 0), (padding, padding), (padding, padding), (0, 0)),
    )


def _lax_conv(x, w, stride, pads, groups=1, kernel_dilation=1):
    dilation = (kernel_dilation, kernel_dilation)
    return lax.conv_general_dilated(
        x,
        w,
        (stride, stride),
        pads,
        rhs_dilation=dilation,
        dimension_numbers=_LAYOUT,
        feature_group_count=groups,
    )


# Convolution. `pads` is ((top, bottom), (left, right)), any of them possibly negative.


def _conv(x, w, stride, pads):
    """The quickest form for the shapes at hand."""
    (height, width), kernel = x.shape[1:3], w.shape[:2]
    if kernel == (1, 1) and pads == ((0, 0), (0, 0)):
        x = x[:, ::stride, ::stride]  # as a matrix: the gradient of a product over three axes would transpose first
        return (x.reshape(-1, x.shape[-1]) @ w[0, 0]).reshape(*x.shape[:-1], -1)
    if height < kernel[0] or width < kernel[1]:
        return _dense_conv(x, w, stride, pads)
    return _large_conv(x, w, stride, pads)


def _dense_conv(x, w, stride, pads):
    """A convolution of an image smaller than the kernel: one matrix over all pairs of pixels in and out."""
    rows = _pairs(x.shape[1], w.shape[0], stride, pads[0])
    cols = _pairs(x.shape[2], w.shape[1], stride, pads[1])
    matrix = jnp.einsum('khp,lwq,klio->hwipqo', rows.astype(w.dtype), cols.astype(w.dtype), w, optimize=True)
    h, wd, c, p, q, d = matrix.shape
    return (x.reshape(-1, h * wd * c) @ matrix.reshape(h * wd * c, p * q * d)).reshape(-1, p, q, d)


def _pairs(size, kernel, stride, pad):
    """[kernel, size, out] of 0 and 1: whether kernel tap k joins pixel h with output p."""
    out = (size + sum(pad) - kernel) // stride + 1
    tap, pixel, output = np.ogrid[:kernel, :size, :out]
    return (pixel + pad[0] == output * stride + tap).astype(np.float32)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _large_conv(x, w, stride, pads):
    if np.prod(w.shape[:3]) <= _FEW:
        return _few_conv(x, w, stride, pads)
    return _lax_conv(x, w, stride, pads)


def _few_conv(x, w, stride, pads):
    """The sum of one product for each input of an output pixel: for a first layer, whose inputs are few."""
    edges = ((0, 0, 0), *((low, high, 0) for low, high in pads), (0, 0, 0))
    x = lax.pad(lax.optimization_barrier(x), jnp.zeros((), x.dtype), edges)
    h, wd = ((n - k) // stride * stride + 1 for n, k in zip(x.shape[1:3], w.shape))
    places = np.ndindex(w.shape[:3])
    return lax.optimization_barrier(
        sum(x[:, i : i + h : stride, j : j + wd : stride, c : c + 1] * w[i, j, c] for i, j, c in places)
    )


def _large_conv_forward(x, w, stride, pads):
    return _large_conv(x, w, stride, pads), (x, w)


def _large_conv_backward(stride, pads, residuals, g):
    x, w = residuals
    return _input_gradient(g, w, stride, pads, x.shape[1:3]), _filter_gradient(x, g, w.shape[:2], stride, pads)


_large_conv.defvjp(_large_conv_forward, _large_conv_backward)


def _filter_gradient(x, g, kernel, stride, pads):
    """[k, k, C, D]: the convolution of x with g as the kernel, channels as batch and batch as channels.

    XLA brings a convolution into this layout itself, but only outside of loops. The barriers keep it from
    folding the transpositions back into the convolution.
    """
    pads = [
        (low, k + (o - 1) * stride - n - low) for (low, _), k, o, n in zip(pads, kernel, g.shape[1:3], x.shape[1:3])
    ]
    rows, cols = (n + min(high, 0) for n, (_, high) in zip(x.shape[1:3], pads))
    x, g = lax.optimization_barrier((_transposed(x[:, :rows, :cols], (3, 1, 2, 0)), _transposed(g, (1, 2, 0, 3))))
    dw = _lax_conv(x, g, 1, [(low, max(high, 0)) for low, high in pads], kernel_dilation=stride)
    return lax.optimization_barrier(dw).transpose(1, 2, 0, 3)


def _transposed(x, axes):
    """x with its axes in this order, computed on its own.

    XLA would otherwise compute what x comes from, pixel by pixel in the new order, which is ten times as slow. It does
    not look across a condition; this one holds, or x is not finite anyway.
    """
    if not x.size:
        return x.transpose(axes)
    first = x[(0,) * x.ndim]
    return lax.cond(first == first, lambda x: x.transpose(axes), lambda x: x.transpose(axes) * jnp.nan, x)


def _input_gradient(g, w, stride, pads, size):
    """[B, *size, C]: one ordinary convolution of g for each of the stride^2 phases of the input's pixels."""
    flipped = w[::-1, ::-1].transpose(0, 1, 3, 2)

    def phase(taps, shifts, sizes):
        if not all(taps):
            return jnp.zeros((g.shape[0], *sizes, w.shape[2]), g.dtype)
        part = flipped[tuple(slice(k - 1 - t[-1], k - t[0], stride) for k, t in zip(w.shape[:2], taps))]
        reach = [(len(t) - 1 - s, n - 1 + s - (o - 1)) for t, s, n, o in zip(taps, shifts, sizes, g.shape[1:3])]
        return _conv(g, part, 1, tuple(reach))

    return _interleave(phase, w.shape[:2], stride, [low for low, _ in pads], size)


def _interleave(phase, kernel, stride, padding, size):
    """Puts together a map whose every stride-th row and column, from (a, b), is phase(taps, shifts, sizes).

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


# Windows as slices.


def _taps(x, window, stride, padding, fill=0.0):
    """The window's pixels in reading order: a list of window^2 arrays [B, h, w, C].

    The barrier, like those in the gradients below, keeps XLA from computing what x comes from anew for
    every slice.
    """
    x = jnp.pad(
        lax.optimization_barrier(x),
        ((0, 0), (padding, padding), (padding, padding), (0, 0)),
        constant_values=fill,
    )
    h, w = ((n - window) // stride * stride + 1 for n in x.shape[1:3])
    return [x[:, i : i + h : stride, j : j + w : stride] for i in range(window) for j in range(window)]


def _untap(taps, window, stride, padding, size):
    """The transpose of `_taps`: [B, *size, C], each pixel the sum over the windows and taps that hold it."""

    def phase(reached, shifts, sizes):
        parts = [
            _shift(taps[i * window + j], shifts[0] - m, shifts[1] - n, sizes)
            for m, i in enumerate(reached[0])
            for n, j in enumerate(reached[1])
        ]
        return sum(parts) if parts else jnp.zeros((taps[0].shape[0], *sizes, taps[0].shape[-1]), taps[0].dtype)

    return _interleave(phase, (window, window), stride, (padding, padding), size)


def _shift(t, down, right, sizes):
    """[B, *sizes, C] whose pixel (y, x) is t's (y + down, x + right), zero outside."""
    h, w = t.shape[1:3]
    edges = ((0, 0, 0), (-down, sizes[0] + down - h, 0), (-right, sizes[1] + right - w, 0), (0, 0, 0))
    return lax.pad(t, jnp.zeros((), t.dtype), edges)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def _max_pool(x, window, stride, padding):
    return functools.reduce(jnp.maximum, _taps(x, window, stride, padding, -jnp.inf))


def _max_pool_forward(x, window, stride, padding):
    first, *rest = _taps(x, window, stride, padding, -jnp.inf)
    best, index = first, jnp.zeros(first.shape, jnp.uint8)
    for i, tap in enumerate(rest, 1):  # of equal pixels the first one is the maximum, as in XLA
        index, best = jnp.where(tap > best, jnp.uint8(i), index), jnp.maximum(best, tap)
    return best, (index, x[:0])  # the empty array carries the shape


def _max_pool_backward(window, stride, padding, residuals, g):
    index, empty = residuals
    g = lax.optimization_barrier(g)
    taps = [jnp.where(index == i, g, 0) for i in range(window**2)]
    return (_untap(taps, window, stride, padding, empty.shape[1:3]),)


_max_pool.defvjp(_max_pool_forward, _max_pool_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def _sum_pool(x, window, stride, padding):
    return sum(_taps(x, window, stride, padding))


def _sum_pool_forward(x, window, stride, padding):
    return _sum_pool(x, window, stride, padding), x[:0]


def _sum_pool_backward(window, stride, padding, empty, g):
    g = lax.optimization_barrier(g)
    return (_untap([g] * window**2, window, stride, padding, empty.shape[1:3]),)


_sum_pool.defvjp(_sum_pool_forward, _sum_pool_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _depthwise(x, w, stride, padding):
    """x [B, H, W, C], w [k, k, 1, C]: every channel with its own kernel, as a sum of scaled slices."""
    k = w.shape[0]
    return sum(tap * v for tap, v in zip(_taps(x, k, stride, padding), w.reshape(k * k, -1)))


def _depthwise_forward(x, w, stride, padding):
    return _depthwise(x, w, stride, padding), (x, w)


def _depthwise_backward(stride, padding, residuals, g):
    (x, w), g = residuals, lax.optimization_barrier(g)
    k = w.shape[0]
    dx = _untap([g * v for v in w.reshape(k * k, -1)], k, stride, padding, x.shape[1:3])
    dw = [_tap_gradient(x, g, tap, stride, padding) for tap in np.ndindex(k, k)]
    return dx, jnp.stack(dw).reshape(w.shape)


def _tap_gradient(x, g, tap, stride, padding):
    """[C]: the products of g with the pixels of x under one tap, summed over batch, rows and columns.

    The batch's parts are added first, then a product with ones sums up: the compiler computes both in quick loops,
    where it would copy the slices for a plain sum.
    """
    within = []  # the outputs whose pixel under the tap lies within x
    for i, n, outputs in zip(tap, x.shape[1:3], g.shape[1:3]):
        first = max(-(-(padding - i) // stride), 0)
        within.append((first, min((n - 1 + padding - i) // stride + 1, outputs)))
    if any(first >= end for first, end in within):
        return jnp.zeros(x.shape[-1], x.dtype)
    rows, cols = (
        slice(first * stride + i - padding, (end - 1) * stride + i - padding + 1, stride)
        for (first, end), i in zip(within, tap)
    )
    x, g = x[:, rows, cols], g[:, slice(*within[0]), slice(*within[1])]
    parts = next(n for n in (8, 4, 2, 1) if x.shape[0] % n == 0)
    total = sum(a * b for a, b in zip(jnp.split(x, parts), jnp.split(g, parts))).reshape(-1, x.shape[-1])
    return jnp.ones(len(total), x.dtype) @ total


_depthwise.defvjp(_depthwise_forward, _depthwise_backward)
