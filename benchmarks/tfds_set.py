"""A prepared dataset of TensorFlow Datasets of some GB, for `benchmarks.tfds_stream`: photographs as large as those of
ImageNet, as TFRecord and, the same records, as ArrayRecord.

    python -m benchmarks.tfds_set IMAGES DIR [--images=32768] [--shards=32]

IMAGES is a .zip or folder of photographs. Each record is a random crop of one, enlarged to 500x375 or 375x500 pixels,
with noise that an enlarged image lacks, as a JPEG of quality 93. DIR gets photos/1.0.0 and photos_array/1.0.0.
"""

import argparse
import concurrent.futures
import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from ssljax.data import folder
from ssljax.data.memory import cores

NAMES = {'tfrecord': 'photos', 'array_record': 'photos_array'}
SIZES = (500, 375), (375, 500)


def make(path: str, out: Path, count: int, shards: int) -> int:
    """Writes the dataset in both formats; returns the bytes of one."""
    import tensorflow_datasets as tfds

    files = folder.listing(path)
    names = sorted({name.split('/')[-2] for name in files.names})
    counts = [len(range(shard, count, shards)) for shard in range(shards)]
    places = {kind: out / name / '1.0.0' for kind, name in NAMES.items()}
    for place in places.values():
        place.mkdir(parents=True)
    with concurrent.futures.ProcessPoolExecutor(cores()) as pool:
        jobs = [pool.submit(_shard, path, names, {k: _file(p, k, s, shards) for k, p in places.items()}, s, counts[s])
                for s in range(shards)]  # fmt: skip
        size = sum(job.result() for job in jobs)
    image, label = tfds.features.Image(shape=(None, None, 3)), tfds.features.ClassLabel(names=names)
    for kind, place in places.items():
        template = tfds.core.ShardedFileTemplate(
            data_dir=place, dataset_name=NAMES[kind], split='train', filetype_suffix=kind
        )
        info = tfds.core.SplitInfo(name='train', shard_lengths=counts, num_bytes=size, filename_template=template)
        tfds.folder_dataset.write_metadata(
            data_dir=place,
            features=tfds.features.FeaturesDict({'image': image, 'label': label}),
            split_infos=[info],
            check_data=False,  # it cannot read ArrayRecord
        )
    return size


def _file(place: Path, kind: str, shard: int, shards: int) -> str:
    return str(place / f'{NAMES[kind]}-train.{kind}-{shard:05}-of-{shards:05}')


def _shard(path, names, targets, shard, count) -> int:
    """Writes a shard in each format; returns the bytes of its images."""
    import tensorflow as tf
    from array_record.python.array_record_module import ArrayRecordWriter

    files, random, size = folder.listing(path), np.random.default_rng(shard), 0
    noise = random.normal(0, 9, (600, 600, 3)).astype(np.float32)
    array = ArrayRecordWriter(targets['array_record'], 'group_size:1')
    with tf.io.TFRecordWriter(targets['tfrecord']) as writer:
        for _ in range(count):
            number = int(random.integers(len(files.names)))
            data = _photo(files.read(number), random, noise)
            label = names.index(files.names[number].split('/')[-2])
            features = {
                'image': tf.train.Feature(bytes_list=tf.train.BytesList(value=[data])),
                'label': tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
            }
            record = tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
            writer.write(record)
            array.write(record)
            size += len(data)
    array.close()
    return size


def _photo(data, random, noise) -> bytes:
    image = Image.open(io.BytesIO(data)).convert('RGB')
    width, height = SIZES[int(random.integers(2))]
    share = random.uniform(0.6, 1)
    w, h = image.width * share, image.height * share * (height / width if height < width else 1)
    w = w * (width / height if width < height else 1)
    left, top = random.uniform(0, image.width - w), random.uniform(0, image.height - h)
    image = image.resize((width, height), Image.Resampling.BICUBIC, box=(left, top, left + w, top + h))
    y, x = random.integers(0, 600 - height), random.integers(0, 600 - width)
    array = np.asarray(image, np.float32) + noise[y : y + height, x : x + width]
    out = io.BytesIO()
    Image.fromarray(np.uint8(np.clip(array, 0, 255))).save(out, 'JPEG', quality=93)
    return out.getvalue()


def main(argv) -> None:
    """Makes the dataset and says how large it is."""
    parser = argparse.ArgumentParser('benchmarks.tfds_set', description=__doc__.split('\n')[0], allow_abbrev=False)
    parser.add_argument('path')
    parser.add_argument('out', type=Path)
    parser.add_argument('--images', type=int, default=32768)
    parser.add_argument('--shards', type=int, default=32)
    given = parser.parse_args(argv)
    size = make(given.path, given.out, given.images, given.shards)
    print(f'{given.images:,} images, {size / 2**30:.2f} GiB in each format, {size / given.images / 1024:.0f} KiB each')


if __name__ == '__main__':
    main(sys.argv[1:])
