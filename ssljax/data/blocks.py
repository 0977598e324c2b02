"""The order of images that can only be read fast one after the other: shuffled blocks, and a shuffle within windows.

A block is a run of consecutive images of a shard, about a MiB of files. The blocks of an epoch are in a random order,
from (seed, epoch). A window is a number of steps, about 256 MiB of files: it takes the next blocks, and all that they
hold is permuted over its places, so that a batch has images of some hundred places of the data set. What differs from a
permutation of all images: those of one block are within a window of each other in every epoch. TensorFlow Datasets
shuffled its records when they were written, so that a block is a random sample of the data set, the same in each epoch.

A window has `LANES` parts, each a share of the places of every batch, and a block goes to one lane, or at a boundary to
two neighbours. Where processes take equal shares of a batch, and LANES is a multiple of their number, each reads its
own blocks; beyond that a block is read by several.
"""

import functools

import numpy as np

from ssljax.data.partition import permutation

BLOCK, WINDOW = 1 << 20, 256 << 20  # bytes of files
LANES = 64
_BLOCKS, _WITHIN = 6, 7  # the last part of the key of each seeded order


class Blocks:
    """As feed.Shuffled: which places of a split a step takes.

    Steps take the places of one infinite concatenation of the epochs' orders, in each of which every place is once; so
    a batch is a pure function of (seed, step), for a split, a batch size and BLOCK, WINDOW and LANES.

    Attributes:
      window: steps of a window.
    """

    def __init__(self, shard, number, size: float, batch_size: int, seed: int):
        """shard, number: int [n], where each place of the split is; size: bytes of an encoded image, on average."""
        order = np.lexsort((number, shard))
        run = _runs(shard[order], max(int(BLOCK / max(size, 1)), 1))
        self._places, self._starts = order.astype(np.int32), np.flatnonzero(np.diff(run, prepend=-1))
        self._lengths = np.diff(self._starts, append=len(order))
        self.window = max(round(WINDOW / max(size, 1) / batch_size), 1)
        self._n, self._batch, self._seed = len(order), batch_size, seed
        self._kept = functools.lru_cache(maxsize=2)(self._window)
        self._epoch = functools.lru_cache(maxsize=2)(self._blocks)

    def steps(self, start: int, stop: int):
        """Places in the split, int32 [stop - start, batch_size]."""
        parts = []
        for number in range(start // self.window, -(-stop // self.window)):
            first = number * self.window
            parts.append(self._kept(number)[max(start - first, 0) : stop - first])
        return np.concatenate(parts) if parts else np.empty((0, self._batch), np.int32)

    def _window(self, number):
        """int32 [window, batch_size]."""
        size = self.window * self._batch
        start, stop = number * size, (number + 1) * size
        pieces = []
        for epoch in range(start // self._n, -(-stop // self._n)):
            begin = epoch * self._n
            pieces.append(self._piece(epoch, number, max(start, begin) - begin, min(stop, begin + self._n) - begin))
        return np.concatenate(pieces).reshape(self.window, self._batch)

    def _piece(self, epoch, number, start, stop):
        """The places start to stop - 1 of an epoch, all of one window, int32 [stop - start]."""
        found = self._segment(epoch, start, stop)
        lane = (epoch * self._n + np.arange(start, stop)) % self._batch * LANES // self._batch
        random = np.random.Philox(np.random.SeedSequence((self._seed, epoch, number, _WITHIN))).random_raw(stop - start)
        out = np.empty(stop - start, np.int32)
        out[np.lexsort((random, lane))] = found
        return out

    def _segment(self, epoch, start, stop):
        """The images that follow each other in the shuffled blocks."""
        order, ends = self._epoch(epoch)
        first, last = np.searchsorted(ends, [start, stop - 1], 'right')
        blocks = order[first : last + 1]
        lengths = self._lengths[blocks]
        offsets = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        skipped = start - (ends[first] - self._lengths[order[first]])
        whole = self._places[np.repeat(self._starts[blocks], lengths) + offsets]
        return whole[skipped : skipped + stop - start]

    def _blocks(self, epoch):
        """(the blocks in the order of an epoch, where each ends)."""
        order = permutation(len(self._starts), self._seed, epoch, _BLOCKS)
        return order, np.cumsum(self._lengths[order])


def _runs(shard, most: int):
    """A number for each block of at most `most` images, none of two shards; shard: int [n], sorted."""
    first = np.flatnonzero(np.diff(shard, prepend=-1))
    at = np.arange(len(shard)) - np.repeat(first, np.diff(first, append=len(shard)))
    return np.cumsum((at % most == 0).astype(np.int64)) - 1
