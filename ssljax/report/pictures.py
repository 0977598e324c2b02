"""Images and filters as small inline PNG files."""

import io

import numpy as np
from PIL import Image

from ssljax.report.draw import img


def as_png(array, alt, *, longest=96, smallest=0, **others):
    """A uint8 [H, W] or [H, W, C] image as an <img>; of 4 channels the first 3, of 2 the first is shown.

    `longest` bounds the stored side in pixels; an image below `smallest` is enlarged by a whole factor.
    """
    array = np.asarray(array, np.uint8)
    if array.ndim == 3:
        array = array[..., :3] if array.shape[-1] >= 3 else array[..., 0]
    image = Image.fromarray(np.ascontiguousarray(array))
    if max(image.size) > longest:
        image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    elif smallest and max(image.size) < smallest:
        factor = -(-smallest // max(image.size))
        image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    image.save(buffer, 'PNG', optimize=True)
    return img(buffer.getvalue(), 'png', alt, **others)


def animation(frames, alt, *, colors=(), seconds=8.0, most=1_000_000):
    """uint8 [H, W, 3] frames of one size as an endless GIF in an <img>, with a pause on the last.

    `colors`, uint8 [n, 3], are kept as they are among its 96, however rare. If it would take more than `most` bytes,
    every second frame is left out, repeatedly if needed.
    """
    shown = np.concatenate([frames[i] for i in (0, len(frames) // 2, -1)])
    free = Image.fromarray(shown).quantize(96 - len(colors)).getpalette()
    shades = Image.new('P', (1, 1))
    shades.putpalette([*np.ravel(colors).astype(int).tolist(), *free])
    pictures = [Image.fromarray(frame).quantize(palette=shades, dither=Image.Dither.NONE) for frame in frames]
    while True:
        each = round(1000 * min(0.8, seconds / len(pictures)))
        buffer = io.BytesIO()
        rests = [each] * (len(pictures) - 1) + [2000]
        pictures[0].save(buffer, 'GIF', save_all=True, append_images=pictures[1:], duration=rests, loop=0)
        if len(buffer.getvalue()) <= most or len(pictures) == 1:
            break
        pictures = pictures[-1::-2][::-1]
    return img(buffer.getvalue(), 'gif', alt)


def filter_sheet(filters, most=256):
    """First-layer filters as one picture, each scaled to its own range around zero (zero is mid-gray).

    Three input channels are shown as colour; for any other number, each channel is a gray row of its own.

    Args:
      filters: [kh, kw, C, F] float32.

    Returns:
      (uint8 sheet [H, W] or [H, W, 3], number of filters shown).
    """
    filters = np.asarray(filters, np.float32)[..., :most]
    kh, kw, channels, count = filters.shape
    peak = np.abs(filters).max((0, 1, 2), keepdims=True)
    tiles = np.uint8(np.clip(127.5 + 127.5 * filters / np.maximum(peak, 1e-12), 0, 255)).transpose(3, 0, 1, 2)
    zoom = max(1, 48 // kw)
    tiles = tiles.repeat(zoom, 1).repeat(zoom, 2)
    if channels not in (1, 3):  # a column of gray tiles
        tiles = np.pad(tiles[..., :16], ((0, 0), (0, 3), (0, 0), (0, 0)), constant_values=255)
        tiles = tiles.transpose(0, 3, 1, 2).reshape(count, -1, kw * zoom, 1)
    across = min(count, 16)
    down = -(-count // across)
    gap = 4 if channels in (1, 3) else 8
    height, width = tiles.shape[1] + gap, tiles.shape[2] + gap
    sheet = np.full((down * height + gap, across * width + gap, tiles.shape[-1]), 255, np.uint8)
    for index, tile in enumerate(tiles):
        top, left = gap + index // across * height, gap + index % across * width
        sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return (sheet[..., 0] if sheet.shape[-1] == 1 else sheet), count
