"""Windows and phases of a map as slices of it."""

import jax.numpy as jnp
from jax import lax


def interleave(phase, kernel, stride, padding, size):
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


def padded(x, pads, fill=0.0):
    """x [B, H, W, C] with so many more rows and columns at ((top, bottom), (left, right)), fewer where negative."""
    return lax.pad(x, jnp.asarray(fill, x.dtype), ((0, 0, 0), *((low, high, 0) for low, high in pads), (0, 0, 0)))


def taps(x, window, stride, padding, fill=0.0):
    """The window's pixels in reading order: a list of window^2 arrays [B, h, w, C].

    The barrier keeps XLA from computing what x comes from anew for every slice.
    """
    x = padded(lax.optimization_barrier(x), ((padding, padding),) * 2, fill)
    h, w = ((n - window) // stride * stride + 1 for n in x.shape[1:3])
    return [x[:, i : i + h : stride, j : j + w : stride] for i in range(window) for j in range(window)]


def untap(taps, window, stride, padding, size):
    """The transpose of `taps`: [B, *size, C], each pixel the sum over the windows and taps that hold it."""

    def phase(reached, shifts, sizes):
        parts = [
            _shift(taps[i * window + j], shifts[0] - m, shifts[1] - n, sizes)
            for m, i in enumerate(reached[0])
            for n, j in enumerate(reached[1])
        ]
        return sum(parts) if parts else jnp.zeros((taps[0].shape[0], *sizes, taps[0].shape[-1]), taps[0].dtype)

    return interleave(phase, (window, window), stride, (padding, padding), size)


def _shift(t, down, right, sizes):
    """[B, *sizes, C] whose pixel (y, x) is t's (y + down, x + right), zero outside."""
    return padded(t, [(-shift, size + shift - n) for shift, size, n in zip((down, right), sizes, t.shape[1:3])])


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
