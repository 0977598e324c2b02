"""Leaving out images that cannot be decoded: where labels or accuracy depend on it, no image stands for another."""

import numpy as np

from ssljax.data.memory import empty_images, fits, parallel
from ssljax.data.split import ArrayImages, Split

SHOWN = 5  # names in a message


def verified(split):
    """The images of a Split that can be decoded, in order; the Split itself if all can.

    Images in memory, or decoded on disk, are known to be whole or not. Others are decoded once here, and kept in memory
    if they fit a quarter of what is free, so that nothing decodes them again; except those of prepared datasets, which
    are taken to be whole if they end as they should, so that a run begins at once.
    """
    images = split.images
    if not len(split) or not hasattr(images, 'exact') or images.refuses():
        return split
    array, small = None, fits(split.nbytes)  # asked always, by all processes
    if not images.settled():
        if images.sound(split.rows):
            return split
        array = empty_images(len(split), split.shape) if small else None

        def run(start, stop):
            pixels = images.attempt(split.rows[start:stop])
            if array is not None:
                array[start:stop] = pixels

        if array is not None or not images.checked(split.rows):
            parallel(run, len(split), 64, images.readers)
    good = ~is_bad(split)
    out = split if good.all() else split.take(np.flatnonzero(good))
    if array is not None:
        out._compact = Split(ArrayImages(array if good.all() else array[good]), out.labels)
    return out


def is_bad(split):
    """bool [N]: the images of a Split that are known not to be decodable; in a stream, those met so far."""
    bad = split.images.bad() if hasattr(split.images, 'bad') else {}
    return np.isin(split.rows, list(bad)) if bad else np.zeros(len(split), bool)


def settled(split):
    """The Split without the images that cannot be decoded, if it is known which these are; unchanged if it is streamed,
    as each such image is then replaced by another."""
    if not hasattr(split.images, 'settled') or not split.images.settled():
        return split
    bad = is_bad(split)
    return split.take(np.flatnonzero(~bad)) if bad.any() else split


def noted(split):
    """{'count', 'names' (the first few)} of the images of a Split that are known not to be decodable; {} for none."""
    rows = np.flatnonzero(is_bad(split))
    if not len(rows):
        return {}
    return {'count': len(rows), 'names': [str(n) for n in split.take(rows[:SHOWN]).names() or ()]}
