"""Batches of decoded images in which no image stands for another: what cannot be read has an error in its place."""

import concurrent.futures
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ssljax.data import decode, decoders
from ssljax.data.memory import cores
from ssljax.prediction.inputs import Group, Input

PIECE = 64  # images that a process decodes at a time


class Batch(NamedTuple):
    """inputs: n of them. images: uint8 [m, H, W, C], of those with an empty string in `errors`, in order."""

    inputs: list[Input]
    images: np.ndarray
    errors: list[str]


def batches(groups: list[Group], fit: decode.Fit, shape, batch_size: int) -> Iterator[Batch]:
    """The inputs of all groups in order, each batch being decoded while the one before is used.

    Args:
      groups: from `inputs.find`.
      fit, shape: how each image is decoded, and the (H, W, C) that it must then have.
      batch_size: inputs of a Batch, at most.
    """
    parts = [
        (group, group.inputs[i : i + batch_size]) for group in groups for i in range(0, len(group.inputs), batch_size)
    ]
    with concurrent.futures.ThreadPoolExecutor(1) as ahead, concurrent.futures.ThreadPoolExecutor(cores()) as pool:
        waiting = [ahead.submit(_decoded, pool, *part, fit, shape) for part in parts[:2]]
        try:
            for place in range(len(parts)):
                if place + 2 < len(parts):
                    waiting.append(ahead.submit(_decoded, pool, *parts[place + 2], fit, shape))
                yield waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()


def _decoded(pool, group: Group, inputs: list[Input], fit, shape) -> Batch:
    images, errors = np.empty((len(inputs), *shape), np.uint8), [one.error for one in inputs]
    good = [i for i, error in enumerate(errors) if not error]

    def run(rows):
        pixels = np.empty((len(rows), *shape), np.uint8)
        keys = [inputs[i].key for i in rows]
        whole = np.zeros(len(rows), bool)
        if group.portable and len(rows) > 1:
            whole = decoders.decode_into(pixels, keys, group.reader, fit)
        for at in np.flatnonzero(~whole):
            errors[rows[at]] = _one(group.reader, keys[at], fit, pixels[at])
        images[rows] = pixels

    list(pool.map(run, [good[i : i + PIECE] for i in range(0, len(good), PIECE)]))
    kept = [not error for error in errors]
    return Batch(inputs, images if all(kept) else images[kept], errors)


def _one(reader, key, fit, out) -> str:
    """Decodes one image into `out`; returns why it cannot be, or ''."""
    try:
        image = decode.decode(reader(key), *fit)
    except MemoryError:
        raise
    except Exception as error:  # Pillow raises almost anything on a damaged file
        return decode.reason(error)
    if image.shape != out.shape:
        size, wanted = ('x'.join(map(str, shape)) for shape in (image.shape, out.shape))
        return f'it is {size}, but this model takes {wanted}'
    out[...] = image
    return ''
