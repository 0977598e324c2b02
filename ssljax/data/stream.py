"""Images read ahead on the host, by threads."""

import collections
import concurrent.futures
import itertools

import numpy as np

from ssljax.data.memory import empty_images


def read_ahead(split, batches, ahead, finish):
    """Reads batches in order, each by `split.images.readers` threads together, while the consumer is at work.

    The thread that has read the last piece of a batch finishes it, too: a consumer that did so would take Python's lock
    from those that read, and each change of hands costs as much as reading some images.

    Args:
      split: Split.
      batches: iterable of int [...], places in the split.
      ahead: batches to hold or read beyond the one that is handed on.
      finish: (places int [...], images uint8 [..., H, W, C]) -> what is handed on for a batch; called from the threads.

    Raises:
      as Split.read and `finish`.
    """
    threads = split.images.readers
    pool, queue = concurrent.futures.ThreadPoolExecutor(threads), collections.deque()

    def start(places):
        images, rows = empty_images(places.size, split.shape), places.ravel()
        size = -(-len(rows) // threads) or 1
        firsts = range(0, len(rows) or 1, size)
        left, done = itertools.count(len(firsts) - 1, -1), concurrent.futures.Future()

        def read(first):
            images[first : first + size] = split.read(rows[first : first + size])
            if not next(left):
                done.set_result(finish(places, images.reshape(*places.shape, *split.shape)))

        for first in firsts:
            pool.submit(read, first).add_done_callback(lambda piece: _fail(done, piece))
        return done

    try:
        for places in batches:
            queue.append(start(np.asarray(places)))
            if len(queue) > ahead:
                yield queue.popleft().result()
        while queue:
            yield queue.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _fail(done, piece):
    """Hands the error of a piece on to its batch, which has the first that comes."""
    error = None if piece.cancelled() else piece.exception()
    if error:
        try:
            done.set_exception(error)
        except concurrent.futures.InvalidStateError:
            pass
