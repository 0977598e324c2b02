"""This project's side of `benchmarks.input`: the data paths of a run.

python -m benchmarks.loaders WHAT_AS_JSON     (started by benchmarks.input; speaks the lines of worker.py)
"""

import functools
import json
import shutil
import sys
import time
from pathlib import Path

import jax
import numpy as np
from PIL import Image

from benchmarks import ours, worker
from benchmarks.images import FOLDER, ZIP
from benchmarks.jobs import Job
from ssljax import config as configs
from ssljax.data import decode, folder, sources
from ssljax.data import feed as feeds
from ssljax.devices import platform
from ssljax.devices.sharding import make_mesh

PARTS = 512  # images


class Loaders:
    """The data paths over root/images.zip and root/images: 'resident', from the .zip; 'zip' and 'folder', streamed and
    decoded as they are read; 'cache', as 'zip' into an empty config.data.cache, and 'cached', where it has been made.
    Or 'tfds', streamed.

    Args:
      root: folder of the two.
      size: pixels of a side; 0 as stored.
      batch: images a step.
      tfds, data_dir: name and place of the dataset of 'tfds'.
    """

    def __init__(self, root, size, batch, tfds='', data_dir=''):
        self.root, self.size, self.batch, self.tfds, self.data_dir = Path(root), size, batch, tfds, data_dir
        self.mesh, self.warm, self.programs = make_mesh(), set(), {}
        self.k = 1 if jax.default_backend() == 'cpu' else 10  # steps a call, as train.make_program has it

    def config(self, path: str):
        """config.data."""
        c = configs.base().data
        c.update(source=f'folder:{self.root / (FOLDER if path == "folder" else ZIP)}', image_size=self.size, channels=3)
        c.path = 'resident' if path == 'resident' else 'stream'
        if path in ('cache', 'cached'):
            c.cache = str(self.root / path)
        if path == 'tfds':
            c.update(source=f'tfds:{self.tfds}', data_dir=self.data_dir, channels=0)
        return c

    def split(self, path: str):
        """The training images, loaded as a run does."""
        train = sources.load(self.config(path)).train
        train.digest()  # every run asks for it
        return train

    def feed(self, path: str, split):
        """The Feed of a Split, as a run makes it."""
        path = self.config(path).path
        return feeds.make_feed(split, batch_size=self.batch, seed=0, mesh=self.mesh, path=path)

    def measure(self, path: str, seconds: str) -> dict:
        """A cold start, and later epochs for at least so many seconds.

        {'images': of an epoch, 'first_batch': seconds from the start until it lies on the device, 'first_epoch' and
        'later': images/s, of the first epoch with the start in it.}
        """
        if path not in self.warm:  # compiles, and makes what 'cached' finds
            self.warm.add(path)
            feed = self.feed(path, self.split(path))
            _ready(feed, next(iter(feed.payloads(0, self.k, self.k))))
            del feed
        shutil.rmtree(self.root / 'cache', ignore_errors=True)
        worker.forget(self.root)
        began = time.perf_counter()
        feed = self.feed(path, self.split(path))
        steps = feed.n // self.batch // self.k * self.k
        payloads, done, marks = feed.payloads(0, 10**6 // self.k * self.k, self.k), 0, []
        for payload in payloads:
            _ready(feed, payload)
            done += self.k
            marks += [] if marks else [time.perf_counter()]
            if done == steps:
                marks.append(time.perf_counter())
            if done > steps and done % steps == 0 and time.perf_counter() - marks[1] >= float(seconds):
                break
        ended = time.perf_counter()
        payloads.close()
        images = steps * self.batch
        later = (done - steps) * self.batch / (ended - marks[1])
        rates = {'first_epoch': images / (marks[1] - began), 'later': later}
        return {'images': images, 'first_batch': marks[0] - began, **rates}

    def train(self, path: str, seconds: str) -> dict:
        """A small network from scratch for so many seconds, compiled before: {'waits': the share of the time that it
        waited for data, 'images_s'}."""
        split = self.split(path)
        feed = self.feed(path, split)
        if feed.path not in self.programs:
            job = Job('input', 'scratch', 'cnn', split.shape[0], self.batch)
            config = ours.config_of(job, 'float32')
            config.data = self.config(path)
            self.programs[feed.path] = ours.begin(job, config, split)[1:]
        program, carry, key = self.programs.pop(feed.path)
        k = program.steps_per_call
        began = waited = done = 0
        payloads = feed.payloads(0, 10**6 // k * k, k)
        for number, payload in enumerate(payloads):
            carry = program.run(*carry, feed.arrays, payload, key)
            done += k
            if number < 3 or number % 4 == 3:  # not at each: a run does not wait either
                jax.block_until_ready(carry)
            if number == 2:
                began, waited, done = time.perf_counter(), feed.waited_s(), 0
            if number > 2 and number % 4 == 3 and time.perf_counter() - began >= float(seconds):
                break
        spent, waited = time.perf_counter() - began, feed.waited_s() - waited
        payloads.close()
        self.programs[feed.path] = program, carry, key
        return {'waits': waited / spent, 'images_s': done * self.batch / spent}

    def parts(self) -> dict:
        """Microseconds an image of each part of the work, on one core; 'copy' is out of the cache's map."""
        path = str(self.root / ZIP)
        zipped, loose = folder.listing(path), folder.listing(str(self.root / FOLDER))
        rows = np.random.default_rng(0).permutation(len(zipped.names))[:PARTS]
        data = [zipped.read(row) for row in rows]
        opened = [_decoded(d, self.size) for d in data]
        config = self.config('cached')
        images = sources.load(config).train.images
        batch = np.arange(self.batch) % len(images)
        pixels = images.read(batch)
        return {
            'read zip': _each(zipped.read, rows),
            'read folder': _each(loose.read, rows),
            'decode': _each(functools.partial(_decoded, size=self.size), data),
            'fit': _each(functools.partial(decode.fit, size=self.size, channels=3), opened),
            'copy': _each(images.read, [batch] * 32) / self.batch,
            'transfer': _each(lambda x: jax.block_until_ready(jax.device_put(x)), [pixels] * 32) / self.batch,
        }


def _decoded(data: bytes, size: int):
    """What decode.decode hands to its `fit`, decoded."""
    image = decode.opened(data, size)
    if isinstance(image, Image.Image):
        image.load()
    return image


def _each(work, items) -> float:
    """Microseconds of the process an item, the best of three times."""
    times = []
    for _ in range(3):
        began = time.process_time()
        for item in items:
            work(item)
        times.append(time.process_time() - began)
    return 1e6 * min(times) / len(items)


@functools.partial(jax.jit, static_argnums=0)
def _batches(get, arrays, payload):
    return jax.lax.map(functools.partial(get, arrays), payload)


def _ready(feed, payload) -> None:
    jax.block_until_ready(_batches(feed.get, feed.arrays, payload))


def main(text: str) -> None:
    """Serves one set of images."""
    loaders = Loaders(**json.loads(text))
    worker.serve_calls({}, {'measure': loaders.measure, 'train': loaders.train, 'parts': loaders.parts})


if __name__ == '__main__':
    platform.tune_cpu()
    main(*sys.argv[1:])
