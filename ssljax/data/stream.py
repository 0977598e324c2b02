"""Images read ahead on the host, by threads."""

import collections
import concurrent.futures

import numpy as np

from ssljax.data.memory import cores, empty_images


def read_ahead(split, batches, ahead):
    """Reads batches in order, each by all cores together, and further ones while the consumer is at work.

    Args:
      split: Split.
      batches: iterable of int [...], places in the split.
      ahead: batches to hold or read beyond the one that is handed on.

    Yields:
      (places int [...], images uint8 [..., H, W, C]) of each.

    Raises:
      as Split.read.
    """
    pool, queue = concurrent.futures.ThreadPoolExecutor(cores()), collections.deque()

    def start(places):
        images, rows = empty_images(places.size, split.shape), places.ravel()
        size = -(-len(rows) // cores()) or 1

        def read(first):
            images[first : first + size] = split.read(rows[first : first + size])

        pieces = [pool.submit(read, first) for first in range(0, len(rows), size)]
        queue.append((pieces, places, images.reshape(*places.shape, *split.shape)))

    def finish():
        pieces, *batch = queue.popleft()
        for piece in pieces:
            piece.result()
        return tuple(batch)

    try:
        for places in batches:
            start(np.asarray(places))
            if len(queue) > ahead:
                yield finish()
        while queue:
            yield finish()
    finally:
        pool.shutdown(cancel_futures=True)
