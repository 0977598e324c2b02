"""How memory grows with the seeds of a run, and with those of a study: it should not.

    python -m benchmarks.growth_seeds [--seeds=20] [--out=benchmarks/results/growth_seeds.json]

scikit-learn's digits with few steps, pretrained and transferred, one seed after the other in one process; the report at
the end is not counted. The memory of the process is looked at every 20 ms. Two minutes on two cores.
"""

import argparse
import os
import sys
import tempfile
import threading
from pathlib import Path

from benchmarks import worker
from benchmarks.record import begin
from ssljax.storage import files

DONE = {'run': 'seed*/finetune/done.json', 'study': 'cells/*/row.json'}  # a file for each seed that is trained
EVERY = 0.02  # seconds


def marks(seeds: int) -> list[int]:
    """After how many seeds there is a row: 1, 2, 5, 10, 20, ... and all."""
    return sorted({m * 10**e for e in range(6) for m in (1, 2, 5) if m * 10**e < seeds} | {seeds})


class Watch(threading.Thread):
    """Looks at the memory of this process until it is ended. most: {how many files there were: the most bytes until
    then}."""

    def __init__(self, directory: Path, pattern: str):
        super().__init__(daemon=True)
        self.directory, self.pattern, self.most, self._peak = directory, pattern, {}, 0
        self._over = threading.Event()

    def run(self):
        while not self._over.is_set():
            count = len(list(self.directory.glob(self.pattern)))  # first: what led to these files is in the memory then
            self._peak = max(self._peak, resident())
            self.most.setdefault(count, self._peak)
            self._over.wait(EVERY)

    def end(self) -> None:
        """Comes back when it has ended."""
        self._over.set()
        self.join()


def resident() -> int:
    """Bytes of memory that this process has."""
    return int(Path('/proc/self/statm').read_text().split()[1]) * os.sysconf('SC_PAGE_SIZE')


def config_of(what: str, seeds: int):
    """A recipe with few steps: of a run pretraining and two ways, of a study one."""
    from ssljax.settings import recipes

    c = recipes.recipe('quickstart')
    c.seeds = tuple(range(seeds))
    c.pretrain.update(epochs=0.0, steps=20, evals=1)
    c.transfer.ways = ('frozen', 'finetune') if what == 'run' else ('finetune',)
    c.transfer.frozen.update(steps=20, evals=1)
    c.transfer.finetune.update(epochs=0.0, steps=20, evals=1)
    c.transfer.second.update(steps=20, evals=1)
    c.evaluate.update(figures=False, probe=False, random=False, knn=0)
    c.study.together = 1
    return c


def grown(what: str, seeds: int) -> list[dict]:
    """What one process measures, of a 'run' or a 'study': rows {'what', 'seeds': that are trained, 'memory': the most
    bytes that the process has had until then}."""
    import ssljax

    with tempfile.TemporaryDirectory() as directory:
        watch = Watch(Path(directory), DONE[what])
        watch.start()
        try:
            {'run': ssljax.train, 'study': ssljax.study}[what](config_of(what, seeds), directory)
        finally:
            watch.end()
    known = sorted(watch.most)  # two seeds may end between two looks
    at = {count: next(n for n in known if n >= count) for count in marks(seeds)}
    return [{'what': what, 'seeds': count, 'memory': watch.most[n]} for count, n in at.items()]


def measure(what: str, seeds: int) -> list[dict]:
    """`grown`, in a process of its own; raises RuntimeError where that ends early."""
    process = worker.Worker('benchmarks.growth_seeds', '--what', what, str(seeds))
    process.close()
    return process.ready['rows']


def main(argv) -> None:
    """Measures, prints a line for each row, and writes --out."""
    parser = argparse.ArgumentParser('benchmarks.growth_seeds', description=__doc__.split('\n')[0], allow_abbrev=False)
    parser.add_argument('--seeds', type=int, default=20)
    parser.add_argument('--out', default='benchmarks/results/growth_seeds.json')
    given = parser.parse_args(argv)
    if given.seeds < 1:
        parser.error(f'--seeds={given.seeds}: it must be 1 or more.')
    record = begin('growth_seeds', argv) | {'rows': []}
    for what in DONE:
        for row in measure(what, given.seeds):
            record['rows'].append(row)
            print(f'{what:<8}{row["seeds"]:>5} seeds{row["memory"] / 2**20:>8,.0f} MiB', flush=True)
        files.write_json(given.out, record)


if __name__ == '__main__':
    if sys.argv[1:2] == ['--what']:
        worker.answer({'rows': grown(sys.argv[2], int(sys.argv[3]))})
    else:
        main(sys.argv[1:])
