"""All images of a data set, each read once, in parallel."""

import os
from typing import NamedTuple

import numpy as np

from ssljax.audit import look
from ssljax.audit.given import Given
from ssljax.data import decoders
from ssljax.data.copies import Small
from ssljax.data.memory import cores, parallel
from ssljax.data.sources.asked import Encoded

PIECE = 128  # images that a process looks at before it answers
MANY = 512  # images: fewer are looked at faster than processes start


class Scan(NamedTuple):
    """Of N images.

    Attributes:
      good: bool [N], whether it can be decoded.
      headers: look.Header of each.
      digests: uint64 [N, 2] of the bytes, or of the pixels of an array.
      bytes: int64 [N], 0 for an array.
      small: copies.Small.
      sharp: float32 [N], NaN where it cannot be measured.
    """

    good: np.ndarray
    headers: list
    digests: np.ndarray
    bytes: np.ndarray
    small: Small
    sharp: np.ndarray

    def column(self, name: str) -> np.ndarray:
        """[N]: one field of the headers."""
        return np.array([getattr(header, name) for header in self.headers])


def scan(given: Given, most: int) -> Scan:
    """Looks at every image; `most`: pixels that a decoded image may have. The terminal shows progress."""
    found, starts = {}, np.cumsum([0, *(len(part.labels) for part in given.parts)])
    apart = len(given) >= MANY and all(isinstance(p, Encoded) and p.files.portable for p in given.parts)

    def run(start, stop):
        for part, first in zip(given.parts, starts):
            a, b = max(start - first, 0), min(stop - first, len(part.labels))
            if a < b:
                found[int(first + a)] = _look(part, a, b, given.span, most, apart)

    parallel(run, len(given), PIECE, decoders.number() if apart else cores(), 'looking at images')
    looks = [found[start] for start in sorted(found)]
    headers = [header for one in looks for header in one.headers]
    sizes = [_sizes(part) for part in given.parts]
    return Scan(
        np.array([not header.why for header in headers]),
        headers,
        np.concatenate([one.digests for one in looks]),
        np.concatenate(sizes),
        Small(np.concatenate([one.luma for one in looks]), np.concatenate([one.chroma for one in looks])),
        np.concatenate([one.sharp for one in looks]),
    )


def _look(part, start, stop, span, most, apart):
    if not isinstance(part, Encoded):
        return look.arrays(part.images[start:stop])
    keys = [part.files.keys[n] for n in part.numbers[start:stop].tolist()]
    if apart:
        return decoders.call(look.files, keys, part.files.reader, span, most)
    return look.files(keys, part.files.reader, span, most)


def _sizes(part):
    if isinstance(part, Encoded):
        return np.array([part.files.sizes[n] for n in part.numbers.tolist()], np.int64)
    return np.zeros(len(part.labels), np.int64)


def endings(names) -> np.ndarray:
    """str [N]: the extensions of names, '.jpg' for '.JPEG'."""
    ends = (os.path.splitext(name)[1].lower() for name in names)
    return np.array([{'.jpeg': '.jpg', '.jfif': '.jpg', '.tif': '.tiff'}.get(end, end) for end in ends])
