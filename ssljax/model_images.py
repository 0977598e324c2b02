"""Images as a trained model gets them: decoded, resized and brought to 8 bits like those it was trained on."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ssljax.data import decode, depth
from ssljax.data.memory import parallel
from ssljax.storage import paths


def read(images, shape: tuple, fit: decode.Fit, batch_size: int) -> Iterator[np.ndarray]:
    """Batches uint8 [n, *shape], n at most `batch_size`.

    Args:
      images: paths of image files, one or several; or uint8 arrays [N, H, W, C], or [N, H, W] of one channel, or a list
        of [h, w, c] of any sizes; or arrays of more bits, where `fit` has their range.
      shape: (H, W, C) of the model.
      fit: how a file is decoded.

    Raises:
      ValueError: an image cannot be used; the message names it.
      OSError: a file cannot be read.
    """
    items = [images] if isinstance(images, (str, os.PathLike)) else images
    if not len(items):
        raise ValueError('There are no images: give at least one.')
    if isinstance(items, np.ndarray) and items.dtype.kind not in 'OUS':
        items = _array(items, shape, fit)
    for start in range(0, len(items), batch_size):
        part = items[start : start + batch_size]
        if isinstance(part, np.ndarray) and part.dtype == np.uint8 and part.shape[1:] == shape:
            yield part
            continue
        out = np.empty((len(part), *shape), np.uint8)

        def run(first, last, part=part, out=out, start=start):
            for i in range(first, last):
                out[i] = _one(part[i], start + i, shape, fit)

        parallel(run, len(part), 16)
        yield out


def _array(images: np.ndarray, shape, fit) -> np.ndarray:
    """One array as a batch, uint8 [N, h, w, c]."""
    if images.ndim == 3 and shape[2] == 1:
        images = images[..., None]
    if images.ndim != 4:
        raise ValueError(
            f'the images are an array of shape {images.shape}: it must be [N, H, W, C], or [N, H, W] of one '
            'channel. Give a single image as images[None].'
        )
    return _bytes(images, 'the array', fit)


def _one(item, number: int, wanted: tuple, fit) -> np.ndarray:
    """One image, a path or an array, as uint8 of the wanted shape."""
    if isinstance(item, (str, os.PathLike)):
        name = repr(os.fspath(item))
        path = Path(paths.expand(item))
        if path.exists() and not path.is_file():  # reading a pipe would block
            raise ValueError(f'the image {name} cannot be read: it is {paths.kind(path)}, not a file')
        data = path.read_bytes()
        try:
            image = decode.decode(data, *fit)
        except Exception as error:  # Pillow raises almost anything on a damaged file
            if isinstance(error, MemoryError):
                raise
            raise ValueError(f'the image {name} cannot be read: {decode.reason(error)}') from error
    else:
        name, image = f'image {number}', np.asarray(item)
        image = image[..., None] if image.ndim == 2 else image
        if image.ndim != 3 or image.shape[2] not in (1, 3, 4) or not image.size:
            raise ValueError(f'{name} is an array of shape {image.shape}: it must be [H, W] or [H, W, 1, 3 or 4].')
        image = np.ascontiguousarray(_bytes(image, name, fit))
        image = decode.fit(image, fit.size, wanted[2], fit.resize)
    if image.shape != wanted:
        shown = ['x'.join(map(str, s[:2])) for s in (image.shape, wanted)]
        raise ValueError(f'{name} is {shown[0]} pixels; this model takes {shown[1]}: resize it.')
    return image


def _bytes(image: np.ndarray, name: str, fit) -> np.ndarray:
    """uint8 of an array; values of more than 8 bits by the range of the training images."""
    if image.dtype == np.uint8:
        return image
    if isinstance(fit.span, tuple) and image.dtype.kind in 'uif':
        return depth.to_bytes(image, *fit.span)
    raise ValueError(f'{name} has values of type {image.dtype}; this model takes uint8, 0 to 255.')
