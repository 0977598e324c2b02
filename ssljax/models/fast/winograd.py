"""Convolutions of stride 1 with fewer products: Winograd's minimal filtering (Lavin & Gray 2016, arXiv:1509.09308).

An output tile of m x m pixels is the transform of one product for each of the (m + k - 1)^2 elements of a transformed
input tile: 36 for 4x4 outputs of a 3x3 kernel, where the sum over the kernel takes 144. The products of all tiles are
one batch of matrix products. All of it is computed in float32, because the transforms round two to five times as much
as the sum; so is bfloat16, whose convolution is slower in XLA.
"""

import functools

import jax.numpy as jnp
import numpy as np
from jax import lax

from ssljax.models.fast.fusion import apart
from ssljax.models.fast.slices import padded

_POINTS = (0, 2 / 3, -2 / 3, 3 / 2, -3 / 2)  # and infinity
_SIZE = len(_POINTS) + 1  # pixels of an input tile's side
_CHANNELS, _TILES = 32, 64  # from which it pays off, measured with AVX2


def pays(x, kernel, stride, pads) -> bool:
    """Whether these forms are faster than a plain convolution of x [B, H, W, C] with a kernel of shape [k, k, C, D]:
    for 3x3, with enough channels and tiles that the products outweigh the transforms."""
    if x.dtype not in (jnp.float32, jnp.bfloat16) or stride != 1 or kernel[:2] != (3, 3) or min(kernel[2:]) < _CHANNELS:
        return False
    return x.shape[0] * np.prod(_grid(x, 3, pads)) >= _TILES


@functools.cache
def matrices(kernel: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(A [m, 6], G [6, kernel], B [6, 6]) float32, by Toom and Cook: the m = 7 - kernel correlations of 6 pixels d with
    `kernel` weights w are A ((G w) * (B d)).

    The points 0, +-2/3, +-3/2 and infinity give a third of the rounding error of the usual small integers.
    """

    def powers(n):
        return [[point**j for j in range(n)] for point in _POINTS] + [[j == n - 1 for j in range(n)]]

    a, g, full = (np.array(powers(n), np.float64) for n in (_SIZE + 1 - kernel, kernel, _SIZE))
    return a.T.astype(np.float32), g.astype(np.float32), np.linalg.inv(full).T.astype(np.float32)


def conv(x, w, pads):
    """Convolution of x [B, H, W, C] with w [k, k, C, D], padded by ((top, bottom), (left, right)) -> [B, h, w, D]."""
    out = matrices(w.shape[0])[0]
    m = len(out)
    size = [n + sum(pad) - w.shape[0] + 1 for n, pad in zip(x.shape[1:3], pads)]
    grid = _grid(x, w.shape[0], pads)
    y = _products(_input_tiles(x, w.shape[0], pads, grid), _weights(w), 1)
    y = y.reshape(_SIZE, _SIZE, x.shape[0], *grid, w.shape[3])
    y = apart(lambda y: _combine(out, y), y)

    def rows(y):
        parts = (y[:, k].transpose(1, 2, 3, 0, 4)[:, :, None] for k in range(_SIZE))
        return sum(out[:, k].reshape(m, 1, 1, 1) * part for k, part in enumerate(parts)).astype(x.dtype)

    y = apart(rows, y)  # [B, tile, row, tile, column, D]
    return y.reshape(x.shape[0], grid[0] * m, grid[1] * m, -1)[:, : size[0], : size[1]]


def gradients(x, w, g, pads):
    """(dx like x, dw like w): the derivatives of sum(g * conv(x, w, pads)), by the transposed transforms, so that both
    use the same tiles of g, and dw the tiles of x that `conv` has made (the compiler computes equal calls once)."""
    out, weights, full = matrices(w.shape[0])
    grid = _grid(x, w.shape[0], pads)
    tiles = _output_tiles(g, out.T, grid)
    dw = _products(_input_tiles(x, w.shape[0], pads, grid), tiles, 0)
    dw = apart(lambda y: _combine(weights.T, y), dw.reshape(_SIZE, _SIZE, *dw.shape[1:]))
    dw = apart(lambda y: _combine(weights.T, [y[:, k] for k in range(_SIZE)]).astype(w.dtype), dw)
    dx = _products(tiles, _weights(w).swapaxes(2, 3), 1).reshape(_SIZE, _SIZE, x.shape[0], *grid, -1)
    places = [(low, n) for (low, _), n in zip(pads, x.shape[1:3])]
    dx = apart(lambda y: _overlap(full, y, 3, len(out), *places[1]), dx)
    dx = apart(lambda y: _overlap(full, y, 1, len(out), *places[0]).astype(x.dtype), dx)
    dx = dx.reshape(x.shape[0], dx.shape[1] * len(out), dx.shape[3] * len(out), -1)  # from tiles' rows and columns
    return dx[:, : x.shape[1], : x.shape[2]], dw


def _weights(w):
    """The transformed kernel, [column, row of the input tile, C, D]."""
    g = matrices(w.shape[0])[1]
    return apart(lambda w: _combine(g, _combine(g, w.astype(jnp.float32)).swapaxes(0, 1)), w)


def _overlap(matrix, y, axis, m, low, size):
    """The transpose of a transform of overlapping tiles.

    y: [6, ...] with its tiles along `axis` of the rest. Their 6 pixels are the sums of y weighted by the columns of
    `matrix`; tiles begin every m pixels, the first `low` before the map's first pixel. Returns the sums of the tiles at
    the map's pixels, [..., tiles of the map, m, ...], the last tile including what is beyond `size`.
    """
    tiles = -(-size // m)
    beyond = [1] * (y.ndim - axis - 2)
    total = 0.0
    for shift in range(-(-(low + 1 - _SIZE) // m), (low + m - 1) // m + 1):  # of a tile against that of the map
        reached = [low + row - m * shift for row in range(m)]
        for values, part in zip(matrix, y):
            weights = np.array([values[i] if 0 <= i < _SIZE else 0.0 for i in reached], np.float32)
            if weights.any():
                pads = [(-shift, tiles + shift - n, 0) if i == axis else (0, 0, 0) for i, n in enumerate(part.shape)]
                part = lax.pad(part, jnp.zeros((), part.dtype), pads)
                total += weights.reshape(m, *beyond) * jnp.expand_dims(part, axis + 1)
    return total


def _grid(x, kernel, pads):
    """Rows and columns of tiles."""
    return [-(-(n + sum(pad) - kernel + 1) // (_SIZE + 1 - kernel)) for n, pad in zip(x.shape[1:3], pads)]


def _combine(matrix, parts):
    """[n, ...]: sums of the `parts`, weighted by each of n rows of the matrix."""
    shape = -1, *[1] * parts[0].ndim
    return sum(column.reshape(shape) * part[None] for column, part in zip(matrix.T, parts))


def _input_tiles(x, kernel, pads, grid):
    """The transformed tiles, each with the pixels that its outputs reach: [36, B * rows * columns, C]."""
    m, matrix = _SIZE + 1 - kernel, matrices(kernel)[2]
    pads = [(low, t * m + kernel - 1 - n - low) for n, (low, _), t in zip(x.shape[1:3], pads, grid)]
    x = apart(lambda x: padded(x.astype(jnp.float32), pads), x)
    return _transform(x, matrix, m, grid)


def _output_tiles(g, matrix, grid):
    """The transformed tiles of a gradient: [36, B * rows * columns, D]."""
    m = matrix.shape[1]
    pads = [(0, t * m - n) for n, t in zip(g.shape[1:3], grid)]
    if g.dtype != jnp.float32 or any(high for _, high in pads):
        g = apart(lambda g: padded(g.astype(jnp.float32), pads), g)
    return _transform(g, matrix, m, grid)


def _transform(x, matrix, stride, grid):
    """Rows, then columns; tiles begin every `stride` pixels."""
    spans = [(t - 1) * stride + 1 for t in grid]
    reach = range(matrix.shape[1])
    x = apart(lambda x: _combine(matrix, [x[:, i : i + spans[0] : stride] for i in reach]), x)
    x = apart(lambda x: _combine(matrix, [x[:, :, :, j : j + spans[1] : stride] for j in reach]), x)
    return x.reshape(_SIZE**2, -1, x.shape[-1])


def _products(a, b, axis):
    """The matrix products of each of 36 pairs, over the given axis of the matrices of a and the first of b's."""
    b = b.reshape(_SIZE**2, *b.shape[-2:])
    return lax.dot_general(a, b, (((axis + 1,), (1,)), ((0,), (0,))))
