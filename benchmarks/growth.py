"""How cost grows: images a second over the batch and over the resident set, peak host memory over a stream's length.

    python -m benchmarks.growth [--seconds=1] [--out=benchmarks/results/growth.json]

A supervised step of a small `cnn` on random images of 28 pixels, as a run compiles it; each point in a process of its
own. A figure lies beside the file. A stream's images are drawn as they are read, so that only the feed takes memory;
it is read once from end to end, and should take no more for a longer one. Run it alone on the machine.
"""

import argparse
import json
import math
import os
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks import jobs, worker
from benchmarks.record import begin
from ssljax.data.memory import cores
from ssljax.storage import files

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')

SIZE, BATCH = 28, 128


class Point(NamedTuple):
    """A measurement. curve: 'batch', 'images' or 'stream'. batch: images a step. images: in the set."""

    curve: str
    batch: int
    images: int

    @property
    def path(self) -> str:
        """As data.path has it."""
        return 'stream' if self.curve == 'stream' else 'resident'


POINTS = (
    *(Point('batch', batch, 4096) for batch in (16, 64, 256, 1024)),
    *(Point('images', BATCH, images) for images in (1024, 4096, 16384, 65536)),
    *(Point('stream', BATCH, images) for images in (2048, 8192, 32768)),
)


class Drawn:
    """Random images that are drawn when they are read: uint8 [count, SIZE, SIZE, 3]."""

    def __init__(self, count: int):
        self.shape, self.on_device, self.readers, self._count = (SIZE, SIZE, 3), {}, cores(), count

    def __len__(self):
        return self._count

    def read(self, rows):
        """uint8 [n, SIZE, SIZE, 3], the same for the same rows."""
        return np.random.default_rng(rows).integers(0, 256, (len(rows), *self.shape), np.uint8)

    def in_memory(self):
        return False

    def undecoded(self):
        return None

    def parts(self):
        return [(self, 0)]


def point(curve: str, batch: int, images: int, seconds: float) -> dict:
    """What one process measures: {'images_s', 'steps', 'peak_memory': bytes of the host}.

    At least `seconds` of training after two steps that warm up; of a stream, at least all of it once.
    """
    from benchmarks import ours  # not at the top: the process that draws the figure starts no device
    from ssljax.data.split import ArrayImages, Split

    here = Point(curve, batch, images)
    drawn = Drawn(images)
    source = drawn if here.path == 'stream' else ArrayImages(drawn.read(np.arange(images)))
    job = jobs.Job('growth', 'scratch', 'cnn', SIZE, batch)
    program = ours.Ours(job, 'float32', Split(source, np.arange(images) % jobs.CLASSES), here.path)
    program.run(2)
    least = math.ceil(images / batch) if here.path == 'stream' else 1
    began, steps = time.perf_counter(), program.run(least)
    while (taken := time.perf_counter() - began) < seconds:
        steps += program.run(max(1, steps // 4))
    return {'images_s': steps * batch / taken, 'steps': steps, 'peak_memory': worker.peak_rss()}


def measure(here: Point, seconds: float) -> dict:
    """The row of a point, from a process of its own; raises RuntimeError where that ends early."""
    process = worker.Worker('benchmarks.growth', '--point', json.dumps([*here, seconds]))
    process.close()
    return here._asdict() | process.ready


def plot(rows: list[dict], path) -> None:
    """Writes the three curves as an SVG."""
    from ssljax.report.draw import COLORS, new_figure, style  # it imports matplotlib
    from ssljax.studies.figure import write_svg

    panels = (
        ('batch', 'batch', 'images_s', 1, 'Images in a step', 'Images per second'),
        ('images', 'images', 'images_s', 1, 'Images in the resident set', 'Images per second'),
        ('stream', 'images', 'peak_memory', 2**20, 'Images in the stream', 'Peak host memory (MiB)'),
    )
    with style():
        figure, axes = new_figure(9.6, 2.8, ncols=len(panels))
        for panel, color, (curve, x, y, unit, xlabel, ylabel) in zip(axes, COLORS, panels):
            found = [row for row in rows if row['curve'] == curve]
            if not found:
                continue
            panel.plot([row[x] for row in found], [row[y] / unit for row in found], 'o-', color=color)
            panel.set_xscale('log', base=2)
            panel.set_ylim(0, 1.1 * max(row[y] for row in found) / unit)
            panel.set_xlabel(xlabel)
            panel.set_ylabel(ylabel)
    write_svg(figure, path)


def main(argv) -> None:
    """Measures, prints a line a point, and writes --out and the figure beside it."""
    parser = argparse.ArgumentParser('benchmarks.growth', description=__doc__.split('\n')[0], allow_abbrev=False)
    parser.add_argument('--seconds', type=float, default=1.0, help='of training, for each point')
    parser.add_argument('--out', default='benchmarks/results/growth.json')
    given = parser.parse_args(argv)
    if not given.seconds > 0:
        parser.error(f'--seconds={given.seconds}: it must be above 0.')
    record = begin('growth', argv) | {'rows': []}
    print(f'{"curve":<10}{"batch":>8}{"images":>10}{"images/s":>12}{"peak MiB":>10}')
    for here in POINTS:
        row = measure(here, given.seconds)
        record['rows'].append(row)
        text = f'{here.curve:<10}{here.batch:>8}{here.images:>10}{row["images_s"]:>12,.0f}'
        print(f'{text}{row["peak_memory"] / 2**20:>10,.0f}', flush=True)
        files.write_json(given.out, record)
    plot(record['rows'], Path(given.out).with_suffix('.svg'))


if __name__ == '__main__':
    if sys.argv[1:2] == ['--point']:
        from ssljax.devices import platform

        platform.tune_cpu()
        worker.answer(point(*json.loads(sys.argv[2])))
    else:
        main(sys.argv[1:])
