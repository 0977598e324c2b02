"""Training steps: how fast, how near the hardware's ceilings, and beside the same step in plain PyTorch.

    python -m benchmarks.steps [NAME ...] [--peer=torch] [--compile] [--dtype=float32,bfloat16] [--rounds=5]
      [--seconds=10] [--batch=N] [--out=benchmarks/results/steps.json]

Ours is the compiled program of a run, augmentation and optimiser in it, on random images that lie on the device. Each
side trains in a process of its own; rounds alternate. Run it alone on the machine. `make bench` installs PyTorch first.
"""

import argparse
import contextlib
import json
import os
import sys
from pathlib import Path

os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')  # a peer shares the device
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')

from benchmarks.jobs import Job, chosen  # noqa: E402
from benchmarks.record import begin, check_rounds, ratio, spread  # noqa: E402
from benchmarks.worker import Worker  # noqa: E402
from ssljax.storage import files  # noqa: E402

WARM = 2  # rounds before the first that counts: the allocator settles only after some steps in a row, two at least
DTYPES = ('float32', 'bfloat16')
PEERS = {'torch': 'benchmarks.peers'}


def measure(job: Job, dtype: str, *, peer: str = '', flags=(), rounds: int = 5, seconds: float = 10.0) -> dict:
    """One row: {'name', 'dtype', 'images', 'views', 'ours': {...}}, and with a `peer` its own and 'ratio', our speed
    over the peer's by the medians, with the least and largest of a round.

    Each side has 'ms' (median, least and largest milliseconds of a step over the rounds, and all of them), 'images_s',
    'views_s', 'flop' (XLA leaves out products with a convolution's padding, PyTorch's counter does not), 'flop_s',
    'peak_memory' in bytes, 'parameters' of each part. Ours has 'compile' in seconds and, from the ceilings measured in
    its process, 'of_product' (FLOP/s over those of a large matrix product) and 'of_copy' (bytes accessed, as XLA counts
    them, a second over those of a large copy).

    Raises:
      RuntimeError: a side's process ended.
    """
    with contextlib.ExitStack() as stack:
        workers = start(stack, job, dtype, peer, flags)
        times = timed(workers, rounds, seconds)
        ends = {side: worker.ask('stop') for side, worker in workers.items()}
    row = {'name': job.name, 'dtype': dtype, 'batch': job.batch, 'labeled': job.labeled}
    row |= {'images': job.images, 'views': job.seen}
    for side, worker in workers.items():
        row[side] = worker.ready | ends[side] | summary(job, times[side], ends[side]['flop'])
    ours = row['ours']
    ours['of_product'] = ours['flop_s'] / ours['ceilings']['product'] if ours['flop'] else None
    if ours['bytes']:
        ours['of_copy'] = ours['bytes'] / ours['ms']['median'] * 1000 / ours['ceilings']['copy']
    if peer:
        row['ratio'] = ratio(row[peer]['ms'], ours['ms'])
    return row


def speed(job: Job, dtype: str, *, peer: str, rounds: int, seconds: float) -> float:
    """Our speed over the peer's by the fastest round of each, for a disturbance only slows, and nothing else that
    `measure` has: sooner, for both sides start at the same time. Raises as `measure`."""
    with contextlib.ExitStack() as stack:
        times = timed(start(stack, job, dtype, peer, together=True), rounds, seconds)
    return min(times[peer]) / min(times['ours'])


def start(stack, job: Job, dtype: str, peer: str = '', flags=(), *, together: bool = False) -> dict[str, Worker]:
    """{side: its process, ready}, which `stack` closes. together: they start at the same time, not one after the other,
    and what ours has compiled in an earlier call is not compiled again."""
    text = json.dumps(job._asdict())
    sides = {'ours': ('benchmarks.ours', text, dtype, *(['--kept'] if together else []))}
    if peer:
        sides[peer] = PEERS[peer], text, dtype, *flags
    workers = {}
    for side, arguments in sides.items():
        workers[side] = Worker(*arguments, wait=not together)
        stack.callback(workers[side].close)
    if together:
        for worker in workers.values():
            worker.wait()
    return workers


def timed(workers: dict[str, Worker], rounds: int, seconds: float) -> dict[str, list[float]]:
    """{side: milliseconds of a step in each round}; the sides take turns."""
    times = {side: [] for side in workers}
    for worker in workers.values():
        worker.ask(f'warm {WARM * seconds}')
    for _ in range(rounds):
        for side, worker in workers.items():
            found = worker.ask(f'go {seconds}')
            times[side].append(1000 * found['seconds'] / found['steps'])
    return times


def summary(job: Job, times: list[float], flop: float | None) -> dict:
    """What follows from the milliseconds of a step in each round."""
    each = spread(times)
    median = each['median']
    rates = {'images_s': 1000 * job.images / median, 'views_s': 1000 * job.seen / median}
    return {'ms': each, **rates, 'flop_s': 1000 * flop / median if flop else None}


HEADER = f'{"step":<20}{"dtype":<10}{"ms":>9}{"range":>19}{"views/s":>10}{"GFLOP":>9}{"GFLOP/s":>10}{"of peak":>9}'
HEADER += f'{"MiB":>8}{"compile s":>11}{"peer ms":>10}{"MiB":>8}{"ratio":>22}'


def line(row: dict, peer: str) -> str:
    """A row of the table."""
    ours = row['ours']
    ms, flop = ours['ms'], ours['flop'] or float('nan')
    text = f'{row["name"]:<20}{row["dtype"]:<10}{ms["median"]:>9.2f}'
    text += f'{ms["least"]:>10.2f}-{ms["largest"]:<8.2f}{ours["views_s"]:>10,.0f}{flop / 1e9:>9.2f}'
    text += f'{flop / ms["median"] / 1e6:>10,.1f}{100 * (ours["of_product"] or float("nan")):>8.1f}%'
    text += f'{ours["peak_memory"] / 2**20:>8,.0f}{ours["compile"]:>11.1f}'
    if peer:
        faster = row['ratio']
        text += f'{row[peer]["ms"]["median"]:>10.2f}{row[peer]["peak_memory"] / 2**20:>8,.0f}'
        text += f'{faster["median"]:>8.2f} ({faster["least"]:.2f}-{faster["largest"]:.2f})'
    return text


def arguments(argv):
    """The command line's; ends the process with a message where it cannot be read."""
    parser = argparse.ArgumentParser('benchmarks.steps', description=__doc__.split('\n')[0], allow_abbrev=False)
    parser.add_argument('names', nargs='*', metavar='NAME', help='steps of benchmarks/jobs.py; all without any')
    parser.add_argument('--peer', default='', choices=('', *PEERS))
    parser.add_argument('--compile', action='store_true', help='torch.compile the peer')
    parser.add_argument('--dtype', default='float32', help='float32, bfloat16 or both with a comma')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--seconds', type=float, default=10.0, help='of a round, for each side')
    parser.add_argument('--batch', type=int, default=0, help='images a step; 0: what each step has')
    parser.add_argument('--out', default='benchmarks/results/steps.json')
    given = parser.parse_args(argv)
    given.dtype = given.dtype.split(',')
    for dtype in given.dtype:
        if dtype not in DTYPES:
            parser.error(f'--dtype has {dtype!r}; it can be {", ".join(DTYPES)}, or both with a comma.')
    check_rounds(parser, given)
    if given.compile and not given.peer:
        parser.error('--compile is of the peer: give --peer=torch, too.')
    return parser, given


def main(argv) -> None:
    """Measures, prints the table row by row, and keeps what is done so far in --out."""
    parser, given = arguments(argv)
    record = begin('steps', argv) | {'rows': []}
    try:
        jobs = chosen(given.names, record['hardware']['platform'] != 'cpu', given.batch)
    except ValueError as e:
        parser.error(str(e))
    out = Path(given.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    print(HEADER)
    for job in jobs:
        for dtype in given.dtype:
            flags = ('--compile',) if given.compile else ()
            row = measure(job, dtype, peer=given.peer, flags=flags, rounds=given.rounds, seconds=given.seconds)
            record['rows'].append(row)
            files.write_json(out, record)
            print(line(row, given.peer), flush=True)


if __name__ == '__main__':
    main(sys.argv[1:])
