"""Batches on the device: from an array that lies there (resident), or read ahead by threads (stream).

The batches are one infinite concatenation of the permutations of each epoch, each from (seed, epoch); step t
takes the places [t * B, (t + 1) * B) of it. So a batch depends on (seed, step) alone: not on the number of devices or
processes, or where a run was interrupted; and a set smaller than a batch needs no special case. Nor does it depend on
the path, except for TFRecord files: a stream of those has an order of its own, in which they can be read fast
(blocks.py).
"""

import collections
import functools
import time

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from ssljax.data import native
from ssljax.data.blocks import WINDOW, Blocks
from ssljax.data.memory import fits
from ssljax.data.partition import permutation
from ssljax.data.stream import read_ahead
from ssljax.devices.sharding import check_batch, over_batch, replicated

_AHEAD = 2  # batches on the device beyond the one in use


class Feed:
    """Batches of one split, forever.

    Attributes:
      arrays: pytree of device arrays, replicated, that `get` wants. Resident: 'image', uint8 [M, H, W, C],
        the whole set the split belongs to, shared by all feeds over it, so that one compiled program serves splits of
        any size. Stream: {}.
      get: pure function (arrays, payload without its first axis) -> {'image': uint8 [B, H, W, C], 'label':
        int32 [B], 'index': int32 [B], the places in the split}.
      path: 'resident' or 'stream'.
      n: images in the split.
      batch_size: B, over all devices.
    """

    def __init__(self, split, *, batch_size, seed, mesh, path):
        self.arrays = _resident_arrays(split, mesh) if path == 'resident' else {}
        self.get = get_resident if path == 'resident' else get_stream
        self.path = path
        self.n = len(split)
        self.batch_size = batch_size
        self.mesh = mesh
        self._split, self._waited = split, 0.0
        self._records = native.of(split) if path == 'stream' else None
        self._order = Shuffled(self.n, batch_size, seed)
        if self._records:
            table, number, *_ = self._records
            self._order = Blocks(table.shard[number], number, self._records.size, batch_size, seed)

    def payloads(self, start_step, stop_step, k=1):
        """Iterator over what `get` wants for steps start_step to stop_step - 1, k steps per item.

        Each item has axes [k, B, ...], split over all devices on B; the last may be shorter than
        k. Resident: int32 [k, B, 3], for each image its row in the whole set, its label and its place in the split.
        Stream: {'image', 'label', 'index'}.
        """
        sharding = over_batch(self.mesh, 1)
        items = self._items(start_step, stop_step, k, lambda item: _place(item, sharding, 1, self.batch_size))
        try:
            while True:
                begin = time.perf_counter()
                item = next(items, None)
                self._waited += time.perf_counter() - begin
                if item is None:
                    return
                yield item
        finally:
            items.close()

    def items(self, start_step, stop_step, k=1):
        """As `payloads`, but on the host: numpy arrays of the images that this process supplies."""
        return self._items(start_step, stop_step, k, lambda item: item)

    def _items(self, start, stop, k, place):
        if k < 1:
            raise ValueError(f'An item of a feed must hold at least one step, got k={k}.')
        places = local_places(self.mesh, self.batch_size)
        rows = (self._order.steps(i, min(i + k, stop))[:, places] for i in range(start, stop, k))
        if self.path == 'resident':
            return _resident_items(self._split, rows, place)
        split = self._split
        finish = lambda rows, images: place({'image': images, 'label': split.labels[rows], 'index': rows})
        if self._records is None:
            return read_ahead(split, rows, _AHEAD, finish)
        cuts = functools.partial(_window_ends, start, self._order.window, len(places))
        return native.read_ahead(split, self._records, rows, cuts, _AHEAD, finish)

    def waited_s(self):
        """Seconds in which the consumer waited for data, over all calls of `payloads`."""
        return self._waited


class Shuffled:
    """Which places of a split a step takes, where each epoch is a permutation of all n."""

    def __init__(self, n: int, batch_size: int, seed: int):
        self._of = n, batch_size, seed

    def steps(self, start: int, stop: int):
        """Places in the split, int32 [stop - start, batch_size]."""
        return batch_indices(*self._of, start, stop)


class JointFeed:
    """Batches of a labelled feed with those of an unlabelled one: 'unlabeled' uint8 [U, H, W, C], 'unlabeled_label' and
    'unlabeled_index' int32 [U], and 'unlabeled_count' int32, its size.

    What counts, for epochs and images per second, is the unlabelled feed.
    """

    def __init__(self, labeled: Feed, unlabeled: Feed):
        count = _replicate(np.array(unlabeled.n, np.int32), unlabeled.mesh)
        self.arrays = {'labeled': labeled.arrays, 'unlabeled': unlabeled.arrays, 'count': count}
        self.get = functools.partial(get_joint, labeled.get, unlabeled.get)
        self.path, self.n, self.batch_size = unlabeled.path, unlabeled.n, unlabeled.batch_size
        self._feeds = {'labeled': labeled, 'unlabeled': unlabeled}

    def payloads(self, start_step, stop_step, k=1):
        """As those of a Feed; an item is {'labeled': one of that feed, 'unlabeled': one of the other}."""
        feeds = {name: feed.payloads(start_step, stop_step, k) for name, feed in self._feeds.items()}
        try:
            for items in zip(*feeds.values(), strict=True):
                yield dict(zip(feeds, items))
        finally:
            for payloads in feeds.values():
                payloads.close()


def make_feed(split, *, batch_size, seed, mesh, path='resident'):
    """Makes the Feed of a split.

    Args:
      split: Split.
      batch_size: images per step, over all devices; a multiple of the mesh's size.
      seed: non-negative int.
      mesh: mesh with an axis 'data'.
      path: 'resident' or 'stream' (`resolve.input_path` chooses). If the set the split belongs to does not fit in 0.8
        of what is free on the host and on each device but the split does, the split gets a copy of its own.

    Raises:
      ValueError: the split is empty, the batch does not divide evenly, or the set does not fit and `path` is
        'resident'.
    """
    if path not in ('resident', 'stream'):
        raise ValueError(f"the path of a feed is {path!r}; it must be 'resident' or 'stream'.")
    if not len(split):
        raise ValueError('A feed needs at least one image, but the split is empty.')
    if batch_size < 1:
        raise ValueError(f'The batch size must be at least 1, got {batch_size}.')
    if seed < 0:
        raise ValueError(f'The seed must not be negative, got {seed}.')
    check_batch(batch_size, mesh)
    whole = len(split.images) * int(np.prod(split.shape))
    there = mesh in split.images.on_device
    if path == 'resident' and not there and not fits_devices(whole, mesh, split.images.in_memory(), 0.8):
        if not fits_devices(split.nbytes, mesh, False, 0.8):
            raise ValueError(
                f"config.data.path='resident', but the {len(split)} images take "
                f"{split.nbytes / 2**30:.3g} GiB, more than 0.8 of the free memory: use 'stream', "
                'or a smaller config.data.image_size.'
            )
        split = split.compact()
    logging.info('Feed: %d images of shape %s, path %s.', len(split), split.shape, path)
    return Feed(split, batch_size=batch_size, seed=seed, mesh=mesh, path=path)


def get_resident(arrays, payload):
    """Gathers a batch; payload: int32 [B, 3]."""
    rows, labels, places = payload.T
    return {'image': arrays['image'].at[rows].get(mode='promise_in_bounds'), 'label': labels, 'index': places}


def get_joint(get_labeled, get_unlabeled, arrays, payload):
    """The labelled batch, with the images, labels and places of the unlabelled one."""
    found = get_unlabeled(arrays['unlabeled'], payload['unlabeled'])
    return get_labeled(arrays['labeled'], payload['labeled']) | {
        'unlabeled': found['image'],
        'unlabeled_label': found['label'],
        'unlabeled_index': found['index'],
        'unlabeled_count': arrays['count'],
    }


def get_counted(get, counts, arrays, payload):
    """The batch of `get` with 'class_counts', int32 [K], a constant."""
    return get(arrays, payload) | {'class_counts': jnp.asarray(counts, jnp.int32)}


def get_stream(arrays, payload):
    """The payload is the batch."""
    del arrays
    return payload


def eval_batches(split, *, batch_size, mesh):
    """Iterates once over a split, in order.

    Yields:
      {'image': uint8 [B, H, W, C], 'label': int32 [B], 'mask': float32 [B]} on the device, split over all
      of them. The last batch is filled up with rows of mask 0, label -1 and image 0. A set that already lies
      on the device is gathered there; any other is read and decoded ahead.

    Raises:
      ValueError: the batch does not divide evenly over the devices.
    """
    check_batch(batch_size, mesh)
    small = fits_devices(split.nbytes, mesh, False, 0.25)  # asked in any case, by all processes
    if len(split) and small and not split.images.in_memory():
        split = split.compact()  # read many times in a run, so decoded once
    sharding = over_batch(mesh)
    places = local_places(mesh, batch_size)
    on_device = split.images.on_device.get(mesh)

    def finish(rows, image):
        batch = {
            'image': _filled(image, len(places), 0),
            'label': _filled(split.labels[rows], len(places), -1),
            'mask': _filled(np.ones(len(rows), np.float32), len(places), 0),
        }
        return _place(batch, sharding, 0, batch_size)

    batches = (start + places[start + places < len(split)] for start in range(0, len(split), batch_size))
    if on_device is None and (records := native.of(split)):
        most = max(int(WINDOW / 4 / records.size), 1)
        yield from native.read_ahead(split, records, batches, lambda _, count: range(most, count, most), 1, finish)
        return
    if on_device is None:
        yield from read_ahead(split, batches, 1, finish)
        return
    for rows in batches:
        batch = finish(rows, split.rows[rows].astype(np.int32))
        yield batch | {'image': _gather(on_device, batch['image'], batch['mask'])}


def _filled(array, n, value):
    if len(array) == n:
        return array
    return np.concatenate([array, np.full((n - len(array), *array.shape[1:]), value, array.dtype)])


@jax.jit
def _gather(images, rows, mask):
    batch = images.at[rows].get(mode='promise_in_bounds')
    return batch * (mask > 0).astype(batch.dtype)[:, None, None, None]


def batch_indices(n, batch_size, seed, start, stop):
    """Places within the split for steps start to stop - 1: int32 [stop - start, batch_size]."""
    places = np.arange(start * batch_size, stop * batch_size)
    epochs = places // n
    out = np.empty(len(places), np.int32)
    for epoch in range(epochs[0], epochs[-1] + 1):
        inside = epochs == epoch
        out[inside] = _epoch_order(n, seed, int(epoch))[places[inside] % n]
    return out.reshape(stop - start, batch_size)


@functools.lru_cache(maxsize=4)
def _epoch_order(n, seed, epoch):
    return permutation(n, seed, epoch)


def _resident_arrays(split, mesh):
    images = split.images
    if mesh not in images.on_device:
        images.on_device[mesh] = _replicate(images.array(), mesh)
    return {'image': images.on_device[mesh]}


def _replicate(array, mesh):
    if jax.process_count() == 1:
        return jax.device_put(array, replicated(mesh))
    return jax.make_array_from_process_local_data(replicated(mesh), array, array.shape)


def _resident_items(split, batches, place):
    queue = collections.deque()
    for rows in batches:
        queue.append(place(np.stack([split.rows[rows], split.labels[rows], rows], -1).astype(np.int32)))
        if len(queue) > _AHEAD:
            yield queue.popleft()
    yield from queue


def _window_ends(start, window, each, before, count):
    """The cuts for native.read_ahead, for steps from `start` on with `each` images: the ends of windows, so that a
    block is read once; and at first those of 1, 3, 7 ... steps, so that the first batch does not wait for a window."""
    first = start + before // each
    last = first + -(-count // each)
    ends = list(range((first // window + 1) * window, last, window))
    if not before:
        ends += [start + 2**i - 1 for i in range(1, min(window, last - first).bit_length())]
    return [(end - first) * each for end in ends]


def local_places(mesh, batch_size):
    """Places of a global batch that this process supplies, int64 [b], sorted."""
    indices = over_batch(mesh).addressable_devices_indices_map((batch_size,))
    return np.unique(np.concatenate([np.arange(batch_size)[index] for index in indices.values()]))


def _place(tree, sharding, axis, batch_size):
    """Puts this process's part of a batch, numpy, on its devices; `axis` is the batch's."""
    if jax.process_count() == 1:
        return jax.device_put(tree, sharding)

    def put(x):
        shape = (*x.shape[:axis], batch_size, *x.shape[axis + 1 :])
        return jax.make_array_from_process_local_data(sharding, x, shape)

    return jax.tree.map(put, tree)


def fits_devices(nbytes, mesh, in_memory, share):
    """Whether a set of that size fits on the host (if it is not there yet) and on each device of the mesh."""
    stats = [device.memory_stats() or {} for device in mesh.local_devices]
    free = [s['bytes_limit'] - s['bytes_in_use'] for s in stats if 'bytes_limit' in s]
    on_device = nbytes <= min(free, default=np.inf) * share
    # Asked in any case: it is where several processes agree.
    return fits((0 if in_memory else nbytes) if on_device else np.inf, share)
