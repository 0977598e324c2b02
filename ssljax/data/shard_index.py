"""The index of a split of TensorFlow Datasets: what is known of each record is read once, by all cores, and kept in a
file beside the data, or in ~/.cache/ssljax if nothing can be written there."""

import hashlib
import io
import json
import os
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from absl import logging

from ssljax.data import decoders, example, kinds, remote
from ssljax.data.memory import parallel
from ssljax.data.shards import Index, Shard, Table, records
from ssljax.processes import hosts
from ssljax.storage import files

VERSION = 1  # of the file; increase it with any change to its content
_TYPES: tuple = np.int64, np.int32, np.int32, np.uint32, np.int32, np.uint8, np.int64  # of the fields of an Index
_SMALL = 8 << 20  # bytes that can be read before worker processes have started


def table(format: str, shards: list[Shard], beside: str, name: str) -> Table:
    """The Table of a split, whose index is read from its file, or else from the shards.

    Args:
      format: shards.TFRECORD or ARRAY_RECORD.
      shards: its files, in order.
      beside: folder of the data, a path or URL.
      name: of the split, such as 'train'.

    Raises:
      ValueError: a shard is damaged or has fewer records than it should.
      OSError: it cannot be read.
    """
    where = format, shards, beside, name
    hosts.told(_prepared, *where)
    found = hosts.each(lambda: _index(*where))  # a process on another machine may have a disk of its own
    shard = np.repeat(np.arange(len(shards), dtype=np.int32), [s.take for s in shards])
    return Table(format, [s.path for s in shards], shard, found)


def _prepared(*where) -> None:
    _index(*where)


def _index(format, shards, beside, name) -> Index:
    """What is kept, or else what the shards say, which is then kept."""
    sizes = _sizes([shard.path for shard in shards])
    told = json.dumps([VERSION, format, [(os.path.basename(s.path), n, *s[1:]) for s, n in zip(shards, sizes)]])
    print_ = hashlib.sha256(told.encode()).hexdigest()
    places = [f'{beside}/ssljax_{name}.npz', str(Path.home() / '.cache/ssljax/tfds' / f'{print_[:32]}.npz')]
    if (found := _kept(places, print_)) is None:
        found = _read(format, shards, sizes, name)
        _keep(found, places, print_)
    return found


def _sizes(paths) -> list[int]:
    if paths and remote.is_url(paths[0]):
        with ThreadPoolExecutor(remote.AT_A_TIME) as pool:
            return list(pool.map(remote.size, paths))
    try:
        return [os.stat(path).st_size for path in paths]
    except FileNotFoundError as e:
        raise FileNotFoundError(f'{e.filename} is missing: restore the file, or prepare the data again.') from e


def _read(format, shards, sizes, name) -> Index:
    """The Index, from the shards."""
    began, parts = time.time(), [None] * len(shards)
    logging.info('Reading the labels of %s: %d files, %.3g GiB, once.', name, len(shards), sum(sizes) / 2**30)
    here = sum(sizes) < _SMALL or bool(shards) and remote.is_url(shards[0].path)

    def run(start, stop):
        for at in range(start, stop):
            parts[at] = of_shard(format, shards[at]) if here else decoders.call(of_shard, format, shards[at])
            hosts.alive()

    parallel(
        run, len(shards), 1, remote.AT_A_TIME if here and sum(sizes) >= _SMALL else decoders.number(), 'reading labels'
    )
    for part in parts:
        if isinstance(part, str):
            raise ValueError(f'{part}: restore the file, or prepare the data again.')
    logging.info('Read the labels of %s in %.1f s.', name, time.time() - began)
    return Index(*(np.concatenate(column).astype(type_) for column, type_ in zip(zip(*parts), _TYPES)))


def of_shard(format: str, shard: Shard):
    """The Index of a shard, or what is wrong with it, as text: in a process that decodes, nothing is raised."""
    columns: list = [[] for _ in _TYPES]
    try:
        for place, size, record in records(format, shard):
            try:
                image, label = example.image_and_label(record)
            except ValueError as e:
                raise ValueError(f'{shard.path}: {e}') from e
            row = place, len(image), size, zlib.crc32(image), label, *kinds.of(image)
            for column, value in zip(columns, row):
                column.append(value)
    except (ValueError, OSError) as e:
        return str(e)
    return Index(*(np.array(column, type_) for column, type_ in zip(columns, _TYPES)))


def _kept(places, print_) -> Index | None:
    """The Index that is kept at one of `places` with this fingerprint."""
    for place in places:
        try:
            content = _content(place)
            if content is None:
                continue
            with np.load(io.BytesIO(content), allow_pickle=False) as f:
                if str(f['fingerprint']) == print_:
                    return Index(*(f[name] for name in Index._fields))
            logging.info('%s belongs to other data.', place)
        except Exception as e:  # whatever a damaged archive or a bucket raises: the shards are read again
            logging.warning('%s cannot be read (%s): the labels are read from the data.', place, e)
    return None


def _content(place) -> bytes | None:
    return remote.read(place) if remote.is_url(place) else files.read_bytes(place)


def _keep(index: Index, places, print_) -> None:
    """Writes an Index to the first of `places` that takes it."""
    arrays = index._asdict() | {'fingerprint': np.array(print_)}
    for place in places:
        try:
            if remote.is_url(place):
                buffer = io.BytesIO()
                np.savez_compressed(buffer, **arrays)
                remote.write(place, buffer.getvalue())
            else:
                files.write_npz(place, arrays)
            return
        except Exception as e:  # a folder that cannot be written to, a full disk, a bucket's refusal
            logging.info('%s cannot be written (%s).', place, e)
    logging.warning('The labels could not be saved at %s: every run will read them again.', ' or '.join(places))
