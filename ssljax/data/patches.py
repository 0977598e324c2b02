"""Square tiles of an image: where they are, cutting them out, and putting them together again.

A grid has N x N tiles in reading order: tile t is in row t // N and column t % N. Everything runs on the device.
"""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Grid(NamedTuple):
    """`tiles` x `tiles` tiles with side `tile`, in pixels, `gap` apart, each moved by up to `jitter` either way."""

    tiles: int
    tile: int
    gap: int
    jitter: int

    @property
    def extent(self) -> int:
        """Pixels that the grid needs on each axis."""
        return self.tiles * self.tile + (self.tiles - 1) * self.gap + 2 * self.jitter


def fit(shape, count: int, tile: int = 0, gap: int = -1, jitter: int = -1, *, smallest: int = 1, task: str) -> Grid:
    """The grid of `count` x `count` tiles for images of `shape` (H, W, C), as large as fits.

    Args:
      shape: (H, W, C).
      count: N, from 2 on.
      tile: side of a tile in pixels; 0 takes what the gaps leave of a cell of side // N.
      gap: pixels between tiles before jitter; -1 takes what `tile` leaves of the cell, or without one the 11 of 75
        pixels of Noroozi & Favaro 2016, at least 2 pixels (1 if a cell has fewer than 8).
      jitter: pixels; -1 takes half the gap, which keeps tiles from overlapping.
      smallest: the smallest side of a tile that the network can take.
      task: the method's name, for messages.

    Raises:
      ValueError: a number out of range, a grid larger than the image, tiles smaller than `smallest`.
    """
    if count < 2:
        raise ValueError(f'pretrain.{task}.grid is {count}: a grid has at least 2 tiles a side.')
    for name, value, least in (('tile', tile, 0), ('gap', gap, -1), ('jitter', jitter, -1)):
        if value < least:
            raise ValueError(f'pretrain.{task}.{name} is {value}; it must be {least} (automatic) or more.')
    if 0 < tile < smallest:
        raise ValueError(f'pretrain.{task}.tile is {tile} pixels; the network needs at least {smallest}.')
    side = min(shape[:2])
    grid = _automatic(side // count, count, tile, gap, jitter)
    if grid.tile < smallest:
        enough = next(s for s in itertools.count(side) if _automatic(s // count, count, 0, -1, -1).tile >= smallest)
        raise ValueError(
            f'{task} would cut images of {shape[0]}x{shape[1]} into {count}x{count} tiles of {max(grid.tile, 0)} '
            f'pixels a side; the network needs {smallest}: set a larger image size (--config.data.image_size={enough} '
            'is enough for automatic tiles), choose a backbone for smaller images, or another pretext task.'
        )
    if grid.extent > side:
        raise ValueError(
            f'{task}: {count} tiles of {grid.tile} pixels with gaps of {grid.gap} and jitter {grid.jitter} take '
            f'{grid.extent} pixels, but the images have {side}: make pretrain.{task}.tile, gap or jitter smaller.'
        )
    return grid


def _automatic(cell, count, tile, gap, jitter):
    if gap < 0:
        gap = max(cell - tile, 0) if tile else max(min(2, cell // 4), round(cell * 11 / 75))
    return Grid(count, tile or cell - gap, gap, gap // 2 if jitter < 0 else jitter)


def decided(task: str, options, grid: Grid) -> tuple:
    """core.Method.decided for a task on `grid`, whose `options` may leave tile, gap and jitter open."""
    why = {'tile': 'what the gaps leave', 'gap': 'about a seventh of a cell', 'jitter': 'half the gap'}
    why |= {'gap': 'what the tiles leave of a cell'} if options.tile else {}
    open_ = [name for name in why if options[name] == (0 if name == 'tile' else -1)]
    return tuple((f'pretrain.{task}.{name}', getattr(grid, name), why[name]) for name in open_)


def places(key, batch: int, shape, grid: Grid):
    """Top left corners [batch, N * N, 2] int32 (row, column) of every image's tiles.

    The whole grid lies anywhere in the image and each tile anywhere within its jitter, uniformly and independently
    for each image.
    """
    k_grid, k_tile = jax.random.split(key)
    room = jnp.array([n - grid.extent for n in shape[:2]], jnp.int32)
    start = jax.random.randint(k_grid, (batch, 1, 2), 0, room + 1)
    moved = jax.random.randint(k_tile, (batch, grid.tiles**2, 2), 0, 2 * grid.jitter + 1)
    cells = np.stack(np.divmod(np.arange(grid.tiles**2, dtype=np.int32), grid.tiles), 1)
    return start + cells * (grid.tile + grid.gap) + moved


def scatter(key, images, grid: Grid):
    """Tiles [B, N * N, tile, tile, C] of images [B, H, W, C] at random `places`."""
    return cut(images, places(key, len(images), images.shape[1:], grid), grid.tile)


def cut(images, places, tile: int):
    """Tiles [B, T, tile, tile, C] of images [B, H, W, C] whose top left corners are `places` [B, T, 2] int32.

    Every tile must lie inside its image.
    """
    batch, _, width, channels = images.shape
    rows, columns = (places[..., i, None] + jnp.arange(tile) for i in (0, 1))
    index = (rows[..., :, None] * width + columns[..., None, :]).reshape(batch, -1, 1)
    flat = jnp.take_along_axis(images.reshape(batch, -1, channels), index, 1, mode='promise_in_bounds')
    return flat.reshape(batch, -1, tile, tile, channels)


def equalize(tiles):
    """Gives each tile the mean and standard deviation, per channel, that all tiles of its image have together.

    So brightness and contrast, which drift across an image, do not tell a tile's place (Noroozi & Favaro 2016, on
    shortcuts). They bring every tile to mean 0 and deviation 1; with the image's own values the network sees the range
    that it will see in whole images, which its normalisation statistics depend on. A deviation counts as at least one
    gray level, 1 / 255: a flat tile gets the mean.

    tiles: [B, T, h, w, C] float32 in [0, 1]; returns the same shape, not quite within [0, 1].
    """
    centred = tiles - tiles.mean((2, 3), keepdims=True)
    standard = centred / jnp.sqrt(jnp.maximum((centred**2).mean((2, 3), keepdims=True), 1 / 255**2))
    return tiles.mean((1, 2, 3), keepdims=True) + standard * tiles.std((1, 2, 3), keepdims=True)


def spread(tiles, shape):
    """Images [B, H, W, C] of `shape` (H, W, C): the tiles [B, N * N, h, w, C] in reading order, evenly from border to
    border, and the mean of the image's tiles between them."""
    count = round(tiles.shape[1] ** 0.5)
    whole = jnp.broadcast_to(tiles.mean((1, 2, 3))[:, None, None], (len(tiles), *shape))
    for t, (row, column) in enumerate(itertools.product(range(count), repeat=2)):
        top, left = (i * (n - tiles.shape[2]) // (count - 1) for i, n in ((row, shape[0]), (column, shape[1])))
        whole = whole.at[:, top : top + tiles.shape[2], left : left + tiles.shape[3]].set(tiles[:, t])
    return whole


def assemble(tiles, line: int = 0, fill: float = 1.0):
    """One image [B, N * h, N * w, C] from the tiles [B, N * N, h, w, C] in reading order.

    With `line` > 0, that many pixels of value `fill` separate neighbouring tiles.
    """
    batch, total, height, width, channels = tiles.shape
    count = round(total**0.5)
    tiles = jnp.pad(tiles, ((0, 0), (0, 0), (0, line), (0, line), (0, 0)), constant_values=fill)
    rows = tiles.reshape(batch, count, count, height + line, width + line, channels)
    whole = rows.swapaxes(2, 3).reshape(batch, count * (height + line), count * (width + line), channels)
    return whole[:, : whole.shape[1] - line, : whole.shape[2] - line]


def take(tiles, order):
    """Tiles [B, T, ...] in another order: place t of image b shows its tile order[b, t]; order: [B, T] int32."""
    index = order.reshape(*order.shape, *(1,) * (tiles.ndim - 2))
    return jnp.take_along_axis(tiles, index, 1, mode='promise_in_bounds')
