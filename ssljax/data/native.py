"""Images of TFRecord files, read, decoded and resized by TensorFlow's own operations (tf.data), in a given order.

What to read is known beforehand: the index of the records (shard_index.py) has the place of each, so that a pipeline
can begin at any step without reading what comes before it, and a process reads only its own share. TensorFlow is
imported here when the first batch is asked for.
"""

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from absl import logging

from ssljax.data import kinds
from ssljax.data.decode import Fit
from ssljax.data.memory import cores
from ssljax.data.readable import is_bad
from ssljax.data.shards import TFRECORD, Table

READ, GAP = 4 << 20, 64 << 10  # bytes: of a read at most, and of a gap between records that it may span
BUFFER = 256 << 10  # bytes that a read asks the file system for at a time
READS = 16  # at a time
CHUNK = 1 << 19  # images per pipeline: then a new one is made, so that a long run's order need not be held
ODD = 0.05  # share of images above which their pixels are left to decode.py


class Records(NamedTuple):
    """Where the images of a Split are.

    table: shards.Table; if a set joins several, theirs one after the other. number: int64 [n], the record of each place
    of the split. odd: bool [n], those that TensorFlow does not decode as decode.py does. fit: decode.Fit.
    shape: (H, W, C).
    """

    table: Table
    number: np.ndarray
    odd: np.ndarray
    fit: Fit
    shape: tuple

    @property
    def size(self) -> float:
        """Bytes of a record, on average."""
        return float(self.table.about.record[self.number].mean())


def of(split) -> Records | None:
    """The Records of a Split that is to be read from TFRecord files; None for any other."""
    parts = list(split.images.parts())
    if not len(split) or split.images.in_memory() or any(part.undecoded() is None for part, _ in parts):
        return None
    found = [part.undecoded() for part, _ in parts]
    tables, fits = [files.keys for files, _, _ in found], {fit for _, _, fit in found}
    if len(fits) > 1 or not all(isinstance(t, Table) and t.format == TFRECORD for t in tables):
        return None
    starts = np.cumsum([0] + [len(table) for table in tables])
    number = np.concatenate([order + start for (_, order, _), start in zip(found, starts)])[split.rows]
    table, (fit,) = joined(tables), fits
    odd = _odd(table.about, fit, split.shape)[number]
    return Records(table, number, odd, fit, split.shape) if odd.mean() <= ODD else None


def joined(tables: list[Table]) -> Table:
    """One Table from several, their records one after the other."""
    if len(tables) == 1:
        return tables[0]
    starts = np.cumsum([0] + [len(table.paths) for table in tables])
    shard = np.concatenate([table.shard + start for table, start in zip(tables, starts)]).astype(np.int32)
    about = type(tables[0].about)(*map(np.concatenate, zip(*(table.about for table in tables))))
    return Table(tables[0].format, [path for table in tables for path in table.paths], shard, about)


def _odd(index, fit, shape):
    """bool [N]: the records whose images TensorFlow does not decode to the same pixels."""
    channels = kinds.channels(index.kind)
    able = (index.kind != kinds.OTHER) & (channels <= shape[2]) & (shape[2] in (1, 3))
    if not fit.channels:
        able &= channels == shape[2]
    if fit.most:
        able &= index.pixels <= fit.most
    return ~able


def read_ahead(split, records: Records, items: Iterable, cuts: Callable, ahead: int, finish: Callable) -> Iterator:
    """As stream.read_ahead, for a Split with Records.

    Args:
      items: int [...], the places of each batch in the split.
      cuts: (images before a sequence of batches, images in it) -> the numbers of images, sorted, after which a window,
        which is read together, ends.
    """
    items = iter(items)
    with ThreadPoolExecutor(1) as pool:
        source = _batches(split, records, items, cuts)
        waiting: collections.deque = collections.deque()

        def step():
            found = next(source, None)
            return None if found is None else finish(*found)

        try:
            while True:
                while len(waiting) <= ahead:
                    waiting.append(pool.submit(step))
                if (batch := waiting.popleft().result()) is None:
                    return
                yield batch
        finally:
            pool.shutdown(cancel_futures=True)
            source.close()


def _batches(split, records, items, cuts):
    """(places, images uint8 [..., H, W, C]) of each batch."""
    before, bad = 0, records.odd.copy()
    while chunk := _chunk(items):
        sizes = [places.size for places in chunk]
        ends = np.cumsum(sizes)
        marks = sorted({*(c for c in cuts(before, int(ends[-1])) if 0 < c < ends[-1]), int(ends[-1])})
        at = 0
        while at < len(chunk):
            for places, images in _decoded(records, chunk[at:], marks, int(ends[at]) - sizes[at], bad):
                for i in np.flatnonzero(bad[places.ravel()]):
                    images.reshape(-1, *split.shape)[i] = split.read(places.ravel()[i : i + 1])[0]
                yield places, images
                at += 1
            if at < len(chunk):  # a record that cannot be read or decoded
                stop = next(m for m in marks if m >= ends[at])
                while at < len(chunk) and ends[at] - sizes[at] < stop:
                    places = chunk[at]
                    yield places, split.read(places.ravel()).reshape(*places.shape, *split.shape)
                    at += 1
                bad |= is_bad(split)
        before += int(ends[-1])


def _chunk(items) -> list:
    found, total = [], 0
    for places in items:
        found.append(np.asarray(places))
        total += found[-1].size
        if total >= CHUNK:
            break
    return found


def _decoded(records, chunk, marks, done, bad):
    """(places, images) of the batches of a chunk, up to the first that cannot be decoded; done: images before it."""
    import tensorflow as tf

    flat = np.concatenate([places.ravel() for places in chunk])
    ends = [m - done for m in marks if m > done]
    windows = [plan(records.table, records.number[p], bad[p]) for p in np.split(flat, ends[:-1])]
    images = iter(pipeline(records, windows, [p.size for p in chunk]))
    for places in chunk:
        if not places.size:  # of a last batch, which other processes have
            yield places, np.zeros((*places.shape, *records.shape), np.uint8)
            continue
        try:
            found = next(images).numpy()
        except (tf.errors.OpError, StopIteration) as e:
            logging.warning('TensorFlow cannot read a batch (%s): decoding it image by image.', str(e).split('\n')[0])
            return
        yield places, found.reshape(*places.shape, *records.shape)


class Plan(NamedTuple):
    """How the records of a window are read.

    path, place, counts: int64 [r], the file, the first byte and the number of records of each read. take: int64 [m],
    for each image in order its place in all that is read, -1 if it is left out.
    """

    path: np.ndarray
    place: np.ndarray
    counts: np.ndarray
    take: np.ndarray


def plan(table: Table, number, skip) -> Plan:
    """The Plan of records `number`, int [m], of which those with `skip`, bool [m], are left out."""
    wanted, back = np.unique(number[~skip], return_inverse=True)
    take = np.full(len(number), -1, np.int64)
    if not len(wanted):
        none = np.zeros(0, np.int64)
        return Plan(none, none, none, take)
    shard, place = table.shard[wanted], table.about.place[wanted]
    end = place + table.about.record[wanted]
    new = np.ones(len(wanted), bool)
    new[1:] = (np.diff(shard) != 0) | (place[1:] - end[:-1] > GAP) | (np.diff(place // READ) != 0)
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(wanted)) - 1
    count = wanted[last] - wanted[first] + 1
    run = np.cumsum(new) - 1
    take[~skip] = (np.cumsum(count) - count)[run[back]] + wanted[back] - wanted[first][run[back]]
    return Plan(shard[first].astype(np.int64), place[first], count, take)


def pipeline(records: Records, windows: list[Plan], sizes: list[int]):
    """A tf.data.Dataset of uint8 [size, H, W, C], for each of `sizes`, of the images of all windows in order; the sizes
    are equal except for the last, which may be smaller."""
    import tensorflow as tf

    from ssljax.data import tf_decode

    there = set(np.unique(records.table.about.kind).tolist())
    png, jpeg = (bool(there & set(some)) for some in (kinds.PNGS, kinds.JPEGS))
    decode = tf_decode.decoder(records.shape, records.fit, png, jpeg)
    paths = tf.constant(records.table.paths)
    reads = [tf.constant(np.concatenate(column)) for column in zip(*(w[:3] for w in windows))]
    take = tf.constant(np.concatenate([w.take for w in windows]))
    spans = np.cumsum([[0, 0]] + [[len(w.path), len(w.take)] for w in windows], 0)
    feature = {'image': tf.io.FixedLenFeature((), tf.string)}

    as_written = tf.autograph.experimental.do_not_convert  # without rewriting functions, which takes time

    @as_written
    def read(path, place, count):
        found = tf.raw_ops.TFRecordDatasetV2(
            filenames=paths[path], compression_type='', buffer_size=tf.constant(BUFFER, tf.int64), byte_offsets=place
        )
        return tf.data.experimental.from_variant(found, tf.TensorSpec((), tf.string)).take(count)

    @as_written
    def window(start, stop):
        part = [column[start[0] : stop[0]] for column in reads]
        dataset = tf.data.Dataset.from_tensor_slices(tuple(part))
        dataset = dataset.interleave(read, READS, 1 << 40, num_parallel_calls=READS, deterministic=True)
        count = tf.reduce_sum(part[2])
        found = tf.cond(count > 0, lambda: dataset.batch(count).get_single_element(), lambda: tf.zeros([0], tf.string))
        return found, take[start[1] : stop[1]]

    @as_written
    def one_by_one(found, some):
        pick = as_written(lambda i: tf.cond(i < 0, lambda: tf.constant(b''), lambda: found[i]))
        return tf.data.Dataset.from_tensor_slices(some).map(pick)

    @as_written
    def image(record):
        there = tf.strings.length(record) > 0
        return tf.cond(
            there,
            lambda: decode(tf.io.parse_single_example(record, feature)['image']),
            lambda: tf.zeros(records.shape, tf.uint8),
        )

    dataset = tf.data.Dataset.from_tensor_slices((spans[:-1], spans[1:])).map(window).prefetch(1)
    dataset = dataset.flat_map(one_by_one).map(image, num_parallel_calls=cores(), deterministic=True)
    dataset = dataset.batch(max(sizes[0], 1)).prefetch(2)
    options = tf.data.Options()
    options.deterministic = True
    return dataset.with_options(options)
