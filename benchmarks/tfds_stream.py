"""A dataset of TensorFlow Datasets that does not fit in memory, streamed: images per second, seconds to the first batch
and memory, beside a plain tf.data script and beside grain on the same files.

    python -m benchmarks.tfds_stream DIR [--grain=PYTHON] [--size=96] [--batch=128] [--rounds=5] [--seconds=10]
      [--out=benchmarks/results/tfds_stream.json]

DIR is what `python -m benchmarks.tfds_set` made. PYTHON is an interpreter with grain, array_record, pillow and
simplejpeg. Each side has a process of its own, whose imports are timed apart; rounds alternate, and in each a side
starts cold: the system is asked to forget the files. Batches are uint8 images on the host. Memory is the sum over a
side's processes of what is theirs (PSS), sampled, the most of all rounds.
"""

import argparse
import contextlib
import json
import sys
import threading
from pathlib import Path

from benchmarks.record import begin, ratio, spread
from benchmarks.tfds_set import NAMES
from benchmarks.worker import Worker, family
from ssljax.data.memory import cores
from ssljax.storage import files

MEASURED = 'first_batch', 'first_cpu', 'rate', 'cpu'  # of worker.timed_stream
OURS, PLAIN, PEER = 'benchmarks.streams', 'benchmarks.streams', 'benchmarks.peers.grain_loader'


class Memory:
    """The most bytes that a process and those that it started had together."""

    def __init__(self, pid: int):
        self.pid, self.most, self._end = pid, 0, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def end(self) -> int:
        """The bytes."""
        self._end.set()
        self._thread.join()
        return self.most

    def _look(self):
        while not self._end.wait(0.2):
            self.most = max(self.most, sum(map(_pss, family(self.pid))))


def _pss(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f'/proc/{pid}/smaps_rollup').read_text().splitlines():
            if line.startswith('Pss:'):
                return int(line.split()[1]) * 1024
    return 0


def measure(what: dict, grain: str, rounds: int, seconds: float) -> list[dict]:
    """One row for each side: 'side', 'imports', seconds of all cores, 'memory', bytes, and with median, least and
    largest over the rounds what worker.timed_stream has; and but for the plain script 'ratio', of the rates to its, and
    'cpu_ratio', of its time of the cores to theirs."""
    counts = (0, cores()) if grain else ()
    sides = {'tf.data script': (PLAIN, what | {'plain': True}, 'tfrecord', sys.executable)}
    sides |= {f'ours, {kind}': (OURS, what, kind, sys.executable) for kind in NAMES}
    sides |= {f'grain, {n} workers': (PEER, what, str(n), grain) for n in counts}
    found: dict = {side: [] for side in sides}
    with contextlib.ExitStack() as stack:
        workers, memory = {}, {}
        for side, (module, given, _, python) in sides.items():
            workers[side] = Worker(module, json.dumps(given), python=python)
            stack.callback(workers[side].close)
            memory[side] = 0
        for number in range(rounds):
            order = list(sides)[number % len(sides) :] + list(sides)[: number % len(sides)]
            for side in order:
                watch = Memory(workers[side].pid)
                found[side].append(workers[side].ask(f'measure {sides[side][2]} {seconds}'))
                memory[side] = max(memory[side], watch.end())
        rows = []
        for side, each in found.items():
            row: dict = {'side': side, 'imports': workers[side].ready['imports_cpu'], 'memory': memory[side]}
            rows.append(row | {name: spread([one[name] for one in each]) for name in MEASURED})
    for row in rows[1:]:
        row['ratio'] = ratio(row['rate'], rows[0]['rate'])
        row['cpu_ratio'] = ratio(rows[0]['cpu'], row['cpu'])
    return rows


HEADER = f'{"side":<24}{"imports":>8}{"first CPU s":>12}{"first batch s":>14}{"images/s":>10}{"range":>18}'
HEADER += f'{"MiB":>10}{"CPU us":>8}   ratio, of CPU time'


def line(row: dict) -> str:
    """A row of the table."""
    rate, r, c = row['rate'], row.get('ratio'), row.get('cpu_ratio')
    first = f'{row["first_cpu"]["median"]:>12.1f}{row["first_batch"]["median"]:>14.2f}'
    text = f'{row["side"]:<24}{row["imports"]:>8.1f}{first}{rate["median"]:>10,.0f}'
    text += f'{rate["least"]:>9,.0f}-{rate["largest"]:<8,.0f}{row["memory"] / 2**20:>10,.0f}'
    text += f'{row["cpu"]["median"]:>8,.0f}'
    return text + ''.join(f'{x["median"]:>8.2f} ({x["least"]:.2f}-{x["largest"]:.2f})' for x in (r, c) if x)


def main(argv) -> None:
    """Measures, prints the table and keeps it."""
    parser = argparse.ArgumentParser('benchmarks.tfds_stream', description=__doc__.split('\n')[0], allow_abbrev=False)
    parser.add_argument('root', type=Path)
    parser.add_argument('--grain', default='', help='an interpreter with grain')
    parser.add_argument('--size', type=int, default=96)
    parser.add_argument('--batch', type=int, default=128)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--seconds', type=float, default=10.0)
    parser.add_argument('--noise', default='', help='what else was running, kept beside the numbers')
    parser.add_argument('--out', default='benchmarks/results/tfds_stream.json')
    given = parser.parse_args(argv)
    for name in NAMES.values():
        if not (given.root / name).is_dir():
            parser.error(f'there is no {given.root / name}: make it with python -m benchmarks.tfds_set.')
    root = given.root.resolve()
    size = sum(path.stat().st_size for path in (root / NAMES['tfrecord']).rglob('*.tfrecord-*'))
    record = begin('tfds_stream', argv) | {'noise': given.noise, 'bytes': size, 'index': {}}
    what = {'root': str(root), 'size': given.size, 'batch': given.batch}
    with contextlib.closing(Worker(OURS, json.dumps(what))) as worker:
        for kind in NAMES:
            record['index'][kind] = worker.ask(f'index {kind}')['seconds']
    record['rows'] = measure(what, given.grain, given.rounds, given.seconds)
    print(f'{size / 2**30:.2f} GiB; index: ' + ', '.join(f'{k} {v:.1f} s' for k, v in record['index'].items()))
    print(HEADER)
    for row in record['rows']:
        print(line(row))
    files.write_json(Path(given.out), record)


if __name__ == '__main__':
    main(sys.argv[1:])
