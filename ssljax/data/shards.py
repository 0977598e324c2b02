"""The shards of a prepared TensorFlow dataset: TFRecord or ArrayRecord files, and how one record of them is read.

A TFRecord file has no index of its own. With the place of each record, which the labels' index keeps (shard_index.py),
one can be read without those before it. TensorFlow is imported only for buckets.
"""

import functools
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ssljax.data import example, remote
from ssljax.data.archive import Changed

TFRECORD, ARRAY_RECORD = 'tfrecord', 'array_record'
_HEAD, _FOOT = 12, 4  # bytes around a record of a TFRecord: its length with a checksum, and that of the data
_BLOCK = 4 << 20  # bytes that are read at a time
_OPEN = 512  # files that a process keeps open


class Shard(NamedTuple):
    """A file, of which `take` records are used after the first `skip`."""

    path: str
    skip: int
    take: int


class Index(NamedTuple):
    """What is known of each of the N records of a split, in the order of its files.

    place: int64, its first byte in a TFRecord, its number in an ArrayRecord. size: int32, bytes of the encoded image.
    record: int32, bytes of the record in the file, 0 for ArrayRecord. crc: uint32, CRC-32 of the encoded image. label:
    int32, -1 where unknown. kind: uint8, see kinds.py. pixels: int64, how many the image has, 0 if not known.
    """

    place: np.ndarray
    size: np.ndarray
    record: np.ndarray
    crc: np.ndarray
    label: np.ndarray
    kind: np.ndarray
    pixels: np.ndarray


class Table(Sequence):
    """The keys of the records of a split, as in folder.Files: (path, place, bytes, CRC-32 of the image, label).

    Attributes:
      format: TFRECORD or ARRAY_RECORD.
      paths: of the shards.
      shard: int32 [N], that of each record.
      about: Index.
    """

    def __init__(self, format: str, paths: list[str], shard: np.ndarray, about: Index):
        self.format, self.paths, self.shard, self.about = format, paths, shard, about

    def __len__(self):
        return len(self.shard)

    def __getitem__(self, number):
        about = self.about
        place, record, crc, label = (int(a[number]) for a in (about.place, about.record, about.crc, about.label))
        return self.paths[self.shard[number]], place, record, crc, label

    @property
    def reader(self):
        """From a key to the encoded image."""
        return image_of_tfrecord if self.format == TFRECORD else image_of_array_record

    @property
    def portable(self) -> bool:
        """Whether other processes can read the files: for buckets they would have to import TensorFlow."""
        return not any(map(remote.is_url, self.paths[:1]))


class Names(Sequence):
    """'imagenet2012/5.1.0 train[17]': what TensorFlow Datasets reads as split='train[17:18]'."""

    def __init__(self, split: str, length: int):
        self.split, self.length = split, length

    def __len__(self):
        return self.length

    def __getitem__(self, number):
        if not 0 <= number < self.length:
            raise IndexError(number)
        return f'{self.split}[{number}]'


def image_of_tfrecord(key) -> bytes:
    """The encoded image of a record.

    Raises:
      ValueError: the file ends before it, or holds something else there.
      archive.Changed: it holds another image, or another label, than its index says.
      OSError: it cannot be read.
    """
    path, place, size, *_ = key
    data = _read_at(path, place, size)
    if len(data) < size or struct.unpack_from('<Q', data)[0] != size - _HEAD - _FOOT:
        raise ValueError(f'{path} has no record at byte {place}: was the file cut short or replaced?')
    return _as_indexed(key, data[_HEAD : size - _FOOT])


def image_of_array_record(key) -> bytes:
    """As image_of_tfrecord, for an ArrayRecord."""
    path, number, *_ = key
    return _as_indexed(key, _opened(path).read([number])[0])


def _as_indexed(key, record) -> bytes:
    """The image of a record, compared with the index: a damaged one may still decode, to something else."""
    path, place, _, crc, label = key
    image, said = example.image_and_label(record)
    if (zlib.crc32(image), said) != (crc, label):
        raise Changed(
            f'{path} has a different image or label (record at {place}) than when its labels were read: restore the '
            'file or, if the data were prepared again, delete the index of its labels (ssljax_*.npz beside it or in '
            '~/.cache/ssljax/tfds) and give another --workdir.'
        )
    return image


def records(format: str, shard: Shard) -> Iterator[tuple[int, int, bytes]]:
    """(place, bytes in the file, record) of each record of a shard, in order; reads it once, front to back.

    Raises:
      ValueError: it has fewer records, or is damaged.
    """
    return (_tfrecords if format == TFRECORD else _array_records)(shard)


def _tfrecords(shard):
    place = 0
    with _stream(shard.path) as file:
        for number in range(shard.skip + shard.take):
            head = file.read(_HEAD)
            if len(head) < _HEAD:
                raise ValueError(f'{shard.path} has {number} records, not {shard.skip + shard.take}')
            length = struct.unpack_from('<Q', head)[0]
            record = file.read(length)
            if len(record) < length or len(file.read(_FOOT)) < _FOOT:
                raise ValueError(f'{shard.path} ends within record {number}')
            size = _HEAD + length + _FOOT
            if number >= shard.skip:
                yield place, size, record
            place += size


def _array_records(shard, count=64):
    reader, stop = _opened(shard.path), shard.skip + shard.take
    if reader.num_records() < stop:
        raise ValueError(f'{shard.path} has {reader.num_records()} records, not {stop}')
    for start in range(shard.skip, stop, count):
        numbers = range(start, min(start + count, stop))
        for number, record in zip(numbers, reader.read(list(numbers))):
            yield number, 0, record


def _stream(path):
    return remote.stream(path, _BLOCK) if remote.is_url(path) else open(path, 'rb', buffering=_BLOCK)


def _read_at(path, place, size) -> bytes:
    if remote.is_url(path):
        return remote.read_at(path, place, size)
    file = _file(path)
    return os.pread(file.fileno(), size, place)


@functools.lru_cache(maxsize=_OPEN)
def _file(path):
    return open(path, 'rb', buffering=0)  # closed when nothing refers to it


@functools.lru_cache(maxsize=_OPEN)
def _opened(path):
    """The reader of an ArrayRecord; several threads may use it."""
    from array_record.python.array_record_module import ArrayRecordReader

    options = dict(options='readahead_buffer_size:0', file_reader_buffer_size=32768)  # as in its own data source
    return ArrayRecordReader(path, **options)
