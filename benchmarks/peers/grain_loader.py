"""Grain's side of `benchmarks.tfds_stream`: a DataLoader over ArrayRecord files.

python -m benchmarks.peers.grain_loader WHAT_AS_JSON     (started by benchmarks.tfds_stream; speaks worker.py's lines)
"""

import json
import sys
import time
from pathlib import Path

import grain.python as grain

from benchmarks import worker
from ssljax.data import decode, example


class Decode(grain.MapTransform):
    """A record to uint8 [size, size, 3], as this project decodes image files."""

    def __init__(self, size: int):
        self.size = size

    def map(self, record):
        return decode.decode(example.image_and_label(record)[0], self.size, 3)


class Loaders:
    """grain.DataLoader, globally shuffled, with its default of read threads."""

    def __init__(self, root: str, size: int, batch: int):
        self.root, self.size, self.batch, self.seed = Path(root) / 'photos_array', size, batch, 0

    def measure(self, workers: str, seconds: str) -> dict:
        """As benchmarks.streams.Streams.measure."""
        worker.forget(self.root)
        began = time.perf_counter(), worker.cpu_seconds()
        self.seed += 1
        data = grain.ArrayRecordDataSource([str(p) for p in sorted(self.root.rglob('*.array_record-*'))])
        sampler = grain.IndexSampler(len(data), grain.NoSharding(), shuffle=True, seed=self.seed)
        steps = [Decode(self.size), grain.Batch(self.batch, drop_remainder=True)]
        loader = grain.DataLoader(data_source=data, sampler=sampler, operations=steps, worker_count=int(workers))
        return worker.timed_stream(iter(loader), self.batch, began, float(seconds))


def main(text: str) -> None:
    """Serves one dataset."""
    import importlib.metadata

    from absl import flags

    flags.FLAGS(sys.argv[:1])
    loaders = Loaders(**json.loads(text))
    ready = {'grain': importlib.metadata.version('grain'), 'imports_cpu': worker.cpu_seconds()}
    worker.serve_calls(ready, {'measure': loaders.measure})


if __name__ == '__main__':
    main(*sys.argv[1:])
