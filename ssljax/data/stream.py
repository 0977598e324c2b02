"""Images read ahead on the host, by threads."""

import collections
import concurrent.futures
import itertools

import numpy as np

from ssljax.data.memory import empty_images


def read_ahead(split, batches, ahead, finish):
    """Reads batches in order, each by `split.images.readers` threads together, while the consumer works.

    The thread that has read the last piece of a batch also finishes it: a consumer that did so would take Python's lock
    from those that read, and each handover costs as much as reading some images.

    Args:
      split: Split.
      batches: iterable of int [...], places in the split.
      ahead: batches to hold or read beyond the one that is handed on.
      finish: (places int [...], images uint8 [..., H, W, C]) -> what is handed on for a batch, not
        None; called from the threads.

    Raises:
      as Split.read and `finish`.
    """
    threads = split.images.readers
    pool, queue = concurrent.futures.ThreadPoolExecutor(threads), collections.deque()

    def start(places):
        images, rows = empty_images(places.size, split.shape), places.ravel()
        size = -(-len(rows) // threads) or 1
        firsts = range(0, len(rows) or 1, size)
        left = itertools.count(len(firsts) - 1, -1)

        def read(first):
            images[first : first + size] = split.read(rows[first : first + size])
            if not next(left):
                return finish(places, images.reshape(*places.shape, *split.shape))

        return [pool.submit(read, first) for first in firsts]

    def wait(pieces):
        found = [piece.result() for piece in pieces]
        return next(batch for batch in found if batch is not None)

    try:
        for places in batches:
            queue.append(start(np.asarray(places)))
            if len(queue) > ahead:
                yield wait(queue.popleft())
        while queue:
            yield wait(queue.popleft())
    finally:
        pool.shutdown(cancel_futures=True)
