"""Bilinear resizing with antialiasing: Pillow's pixels bit for bit, by vector instructions.

Pillow's loops (Resample.c of its source) process one value at a time. Those of resample_loops.py do the same arithmetic
on many, compiled for the processor at hand by LLVM, which numba brings. Which axis comes first, and so how results are
rounded, depends on sizes and on Pillow's version (from 13 on, columns come first in very tall images): the first image
of given sizes is resized by Pillow, the second by both, and if they agree the loops resize the others.
"""

import functools
import threading

import numpy as np
from absl import logging
from PIL import Image

from ssljax.data import resample_loops

_TAPS = 8192  # pixels per result: up to here, sums with rounded weights stay within 0 to 255
_LARGE = 1 << 24  # pixels: a copy would double the memory
_MOST = 4096  # geometries
_lock = threading.Lock()
_made = {2: None, 4: None}  # {channels: resample_loops.Loops, or None}
_agree: dict = {}  # {geometry: whether the loops give Pillow's pixels, None after one image}


def resize(image, size, box=None):
    """Resizes a part of an image, bilinear with antialiasing.

    Args:
      image: uint8 [H, W, 1 to 4]; 2 and 4 channels have alpha, which Pillow resizes. Or a Pillow image, L, LA, RGB or
        RGBA: a large one is not copied.
      size: (w, h), from 1.
      box: (left, top, right, bottom) of the part, in pixels, within the image; None: all of it.

    Returns:
      uint8 [h, w, 1 to 4], what Pillow's Image.resize(size, BILINEAR, box) gives.
    """
    if not isinstance(image, np.ndarray):
        if image.width * image.height > _LARGE:
            return pixels(image.resize(size, Image.Resampling.BILINEAR, box))
        image = pixels(image)
    loops, geometry = _loops(image.shape[2]), (image.shape, size, box)
    if loops is None or size[0] * image.shape[2] < resample_loops.BLOCK:
        return _by_pillow(image, size, box)
    agree = _agree.get(geometry, 'new')
    if agree is True:
        return _by_loops(loops, image, size, box)
    result = _by_pillow(image, size, box)
    if agree == 'new':
        if len(_agree) >= _MOST:
            _agree.clear()
        _agree[geometry] = None
    elif agree is None:
        width, (left, top, right, bottom) = image.shape[1], box or (0, 0, *image.shape[1::-1])
        down = _by_pillow(image, (width, size[1]), (0, top, width, bottom))
        if not np.array_equal(result, _by_pillow(down, size, (left, 0, right, size[1]))):
            _agree[geometry] = np.array_equal(result, _by_loops(loops, image, size, box))
        elif not np.array_equal(result, _by_loops(loops, image, size, box)):
            _agree[geometry] = False
    return result


def pixels(image):
    """uint8 [H, W, C] of a Pillow image, or of an array."""
    array = np.asarray(image)
    return array[..., None] if array.ndim == 2 else array


def _by_pillow(image, size, box=None):
    plain = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    return pixels(plain.resize(size, Image.Resampling.BILINEAR, box))


def _by_loops(loops, image, size, box=None):
    image, (height, width, channels), (w, h) = np.ascontiguousarray(image), image.shape, size
    left, top, right, bottom = box or (0, 0, width, height)
    columns, rows = _weights(width, left, right, w), _weights(height, top, bottom, h)
    if max(columns.taps, rows.taps) > _TAPS:
        return _by_pillow(image, size, box)
    count = rows.stop - rows.start
    # Three channels are read and written four bytes at a time: each row must be followed by one more byte.
    pitch = width * channels
    last = np.empty(pitch + 1, np.uint8)
    last[:pitch] = image[rows.stop - 1].ravel()
    between, result = np.empty((count, w * channels + 1), np.uint8), np.empty((h, w, channels), np.uint8)
    to = _address(between)
    loops.across(_address(image) + rows.start * pitch, _address(last), pitch, count, to, w, *columns.arrays)
    loops.down(to - rows.start * (w * channels + 1), w * channels, _address(result), h, *rows.arrays)
    return result


def _address(array):
    return array.__array_interface__['data'][0]


class _Weights:
    """Those of one axis.

    Attributes:
      start, stop: of all pixels that have a weight; `taps`: how many each result has.
      arrays: addresses of the first pixel of each result, int32 [size], and of the weights, int32 [size, taps]; taps.
    """

    def __init__(self, length, low, high, size):
        """As precompute_coeffs and normalize_coeffs_8bpc of Pillow's Resample.c, operation by operation."""
        scale = (high - low) / size
        reach = max(scale, 1.0)
        centre = low + (np.arange(size) + 0.5) * scale
        first = np.maximum((centre - reach + 0.5).astype(np.int64), 0)
        count = np.minimum((centre + reach + 0.5).astype(np.int64), length) - first
        self.taps = int(count.max())
        place = np.arange(self.taps)
        weights = np.maximum(1 - np.abs((place + first[:, None] - centre[:, None] + 0.5) * (1 / reach)), 0)
        weights[place >= count[:, None]] = 0
        weights /= functools.reduce(np.add, weights.T)[:, None]  # from left to right
        weights = (0.5 + weights * (1 << resample_loops.BITS)).astype(np.int32)
        beyond = np.maximum(first + self.taps - length, 0)  # pixels that do not exist, whose weight is 0
        for row in np.flatnonzero(beyond):
            weights[row] = np.roll(weights[row], beyond[row])
        first -= beyond
        self.start, self.stop = int(first.min()), int(first.max()) + self.taps
        self._kept = first.astype(np.int32), weights
        self.arrays = *map(_address, self._kept), self.taps


_weights = functools.lru_cache(512)(_Weights)


def _loops(channels):
    """resample_loops.Loops that give Pillow's pixels, or None."""
    if channels not in _made:
        with _lock:
            if channels not in _made:
                _made[channels] = _make(channels)
    return _made[channels]


def _make(channels):
    try:
        return resample_loops.compiled(channels)
    except Exception as e:  # no LLVM, one of another version, a system that forbids making code
        logging.warning('Images are resized by Pillow, which takes five times as long (%s: %s).', type(e).__name__, e)
