"""This project's side of `benchmarks.tfds_stream`, and a plain tf.data script beside it.

python -m benchmarks.streams WHAT_AS_JSON     (started by benchmarks.tfds_stream; speaks the lines of worker.py)
"""

import json
import sys
import time
from pathlib import Path

from benchmarks import worker
from benchmarks.tfds_set import NAMES


class Streams:
    """Batches of uint8 images on the host.

    Args:
      root: folder of what benchmarks.tfds_set made.
      size: pixels of a side.
      batch: images a step.
      plain: tf.data as a script would have it, in place of ours.
    """

    def __init__(self, root: str, size: int, batch: int, plain: bool = False):
        self.root, self.size, self.batch, self.plain = Path(root), size, batch, plain
        self.seed = 0

    def measure(self, kind: str, seconds: str) -> dict:
        """A stream of TFRecord or ArrayRecord files from a cold start: worker.timed_stream of it; each call has
        another seed."""
        worker.forget(self.root / NAMES[kind])
        began = time.perf_counter(), worker.cpu_seconds()
        self.seed += 1
        source = self.plainly() if self.plain else self.ours(kind)
        found = worker.timed_stream(source, self.batch, began, float(seconds))
        source.close()
        return found

    def ours(self, kind: str):
        """As a run has it."""
        from ssljax import config as configs
        from ssljax.data import feed as feeds
        from ssljax.data import sources
        from ssljax.devices.sharding import make_mesh

        c = configs.base().data
        c.update(source=f'tfds:{NAMES[kind]}', data_dir=str(self.root), image_size=self.size, channels=3, path='stream')
        split = sources.load(c).train
        split.digest()  # every run asks for it
        feed = feeds.make_feed(split, batch_size=self.batch, seed=self.seed, mesh=make_mesh(), path='stream')
        items = feed.items(0, 10**9)
        try:
            yield from (item['image'] for item in items)
        finally:
            items.close()

    def plainly(self):
        """The pipeline that tutorials of TensorFlow Datasets have: shards and a buffer of 2,048 records shuffled, whole
        images decoded, the centre square resized with antialiasing."""
        import tensorflow as tf
        import tensorflow_datasets as tfds

        def image(record):
            x = tfds.features.Image(shape=(None, None, 3)).decode_example(record['image'])
            side = tf.reduce_min(tf.shape(x)[:2])
            x = tf.image.resize_with_crop_or_pad(x, side, side)
            x = tf.image.resize(x, [self.size, self.size], antialias=True)
            return tf.cast(tf.round(x), tf.uint8)

        data = tfds.load(
            NAMES['tfrecord'],
            split='train',
            data_dir=self.root,
            shuffle_files=True,
            decoders={'image': tfds.decode.SkipDecoding()},
            read_config=tfds.ReadConfig(shuffle_seed=self.seed),
        )
        data = data.shuffle(2048, seed=self.seed).repeat().map(image, tf.data.AUTOTUNE).batch(self.batch)
        yield from data.prefetch(tf.data.AUTOTUNE).as_numpy_iterator()

    def index(self, kind: str) -> dict:
        """Seconds in which the labels' index is made."""
        from ssljax import config as configs
        from ssljax.data import sources

        for path in (self.root / NAMES[kind]).rglob('ssljax_*'):
            path.unlink()
        worker.forget(self.root / NAMES[kind])
        c = configs.base().data
        c.update(source=f'tfds:{NAMES[kind]}', data_dir=str(self.root), image_size=self.size, channels=3, path='stream')
        began = time.perf_counter()
        sources.load(c)
        return {'seconds': time.perf_counter() - began}


def main(text: str) -> None:
    """Serves one dataset; what it imports is imported at the start, and timed."""
    began, what = time.perf_counter(), json.loads(text)
    import tensorflow as tf
    import tensorflow_datasets as tfds

    del tfds
    tf.config.set_visible_devices([], 'GPU')
    if not what.get('plain'):
        from ssljax.data import feed, native, sources, tf_decode  # noqa: F401
        from ssljax.devices import platform

        platform.tune_cpu()
    streams = Streams(**what)
    ready = {'imports': time.perf_counter() - began, 'imports_cpu': worker.cpu_seconds()}
    worker.serve_calls(ready, {'measure': streams.measure, 'index': streams.index})


if __name__ == '__main__':
    main(*sys.argv[1:])
