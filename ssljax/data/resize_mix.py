"""ResizeMix: a whole image, made smaller, in a box of another. Qin et al. 2020 (arXiv:2012.11101)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

SCOPE = 0.1, 0.8  # sides of the box, as shares of the image's, before it is cut off at the border
CENTRE = 0.9  # of each side of the image, which is the part that RegMixMatch's code pastes


class Box(NamedTuple):
    """Rows top to bottom - 1 and columns left to right - 1, int32 scalars; empty where bottom is top or right left."""

    top: jax.Array
    bottom: jax.Array
    left: jax.Array
    right: jax.Array


def draw(key, height: int, width: int, alpha: float) -> Box:
    """A box for all images of a batch: its sides are 0.1 + 0.7 sqrt(b) of the image's, with b from Beta(alpha, alpha),
    as in RegMixMatch's code (ResizeMix draws them uniformly), around a random pixel; what lies beyond the border is cut
    off."""
    k_size, k_row, k_column = jax.random.split(key, 3)
    low, high = SCOPE
    size = low + (high - low) * jnp.sqrt(jax.random.beta(k_size, alpha, alpha))

    def span(key, side):
        half, centre = (side * size).astype(jnp.int32) // 2, jax.random.randint(key, (), 0, side)
        return jnp.clip(centre - half, 0, side), jnp.clip(centre + half, 0, side)

    return Box(*span(k_row, height), *span(k_column, width))


def paste(images, others, box: Box):
    """Images [B, H, W, C] with the central 0.9 of `others` [B, H, W, C], scaled by nearest neighbours, in the box."""
    height, width = images.shape[1:3]
    rows, in_rows = _from(height, box.top, box.bottom)
    columns, in_columns = _from(width, box.left, box.right)
    inside = (in_rows[:, None] & in_columns)[None, :, :, None]
    return jnp.where(inside, others[:, rows][:, :, columns], images)


def kept(height: int, width: int, box: Box):
    """The share of an image that is not under the box, a scalar in [0, 1]."""
    return 1 - (box.bottom - box.top) * (box.right - box.left) / (height * width)


def _from(side: int, start, stop):
    """(for each pixel of a side the one that is pasted there, [side] int32; whether it is in the box)."""
    cut = int(side * CENTRE)
    place = jnp.arange(side)
    source = (side - cut) // 2 + (place - start) * cut // jnp.maximum(stop - start, 1)
    return jnp.clip(source, 0, side - 1), (place >= start) & (place < stop)
