"""Time to a stated accuracy on validation, for images a second alone can lie.

    python -m benchmarks.accuracy [NAME ...] [--source=npz:PATH] [--seeds=1] [--out=benchmarks/results/accuracy.json]

The goals are in benchmarks/goals.py; without names, those for this device: on a CPU two on Fashion-MNIST of a few
minutes, else three on CIFAR-10. Each run is `python -m ssljax.main` as it is, with an empty compilation cache, and is
ended when it has reached its goal. Time runs from the start of its process. Run it alone on the machine.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import goals
from benchmarks.record import begin
from benchmarks.worker import ROOT
from ssljax.progress import log
from ssljax.storage import files

POLL = 0.02  # seconds between looks at what the run has written


def reach(goal: goals.Goal, seed: int, source: str = '', workdir=None) -> dict:
    """Trains until the goal is reached, or to the last of its steps.

    Args:
      goal: what is to be reached.
      seed: the run's only seed.
      source: of the images; '' is the recipe's own.
      workdir: where the run is kept, empty; by default a folder that is removed at the end.

    Returns:
      {'seed', 'reached': bool, 'seconds': from the start of the process to the evaluation that reaches the goal, or to
      the last one, 'evaluations': seconds of them in which the goal's stage was evaluated, 'step', 'value': at that
      evaluation, 'best', 'best_step': the highest value seen, 'curve': [[seconds, step, value], ...] of all}.

    Raises:
      RuntimeError: the run ended before.
    """
    if workdir is None:
        with tempfile.TemporaryDirectory() as temporary:
            return reach(goal, seed, source, temporary)
    workdir = Path(workdir)
    path = workdir / f'seed{seed}' / goal.stage / 'metrics.jsonl'
    environment = os.environ | {'JAX_COMPILATION_CACHE_DIR': str(workdir / 'compiled')}
    command = [sys.executable, '-m', 'ssljax.main', f'--workdir={workdir}', *goal.flags(seed, source)]
    curve, evaluations, trained, seen = [], 0.0, {}, 0
    began = time.time()
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        while not curve or curve[-1][2] < goal.value and curve[-1][1] < goal.steps:
            ended = process.poll() is not None
            rows, now = log.read(path), time.time() - began
            for row in rows[seen:]:
                if goal.metric in row:
                    curve.append([now, row['step'], row[goal.metric]])
                    evaluations += now - trained[row['step']]
                    if row[goal.metric] >= goal.value:
                        break  # one reading may find several
                else:
                    trained[row['step']] = now  # what is written next, at the same step, is the evaluation
            if ended and seen == len(rows):
                raise RuntimeError(
                    f'{goal.name} ended with code {process.returncode} before its goal; its own message is above.'
                )
            seen = len(rows)
            time.sleep(POLL)
    finally:
        process.kill()
        process.wait()
    last, best = curve[-1], max(curve, key=lambda point: point[2])
    found = {'seed': seed, 'reached': last[2] >= goal.value, 'seconds': last[0], 'evaluations': evaluations}
    return found | {'step': last[1], 'value': last[2], 'best': best[2], 'best_step': best[1], 'curve': curve}


def row(goal: goals.Goal, seeds: list[dict]) -> dict:
    """What the file has of a goal; 'seconds', 'least' and 'largest' over seeds are None where one did not reach it."""
    times = [seed['seconds'] for seed in seeds if seed['reached']]
    whole = len(times) == len(seeds)
    over = {'seconds': statistics.median, 'least': min, 'largest': max}
    return goal._asdict() | {k: f(times) if whole else None for k, f in over.items()} | {'seeds': seeds}


def line(goal: goals.Goal, seed: dict) -> str:
    """A seed's line of the table."""
    text = f'{goal.name:<18}{100 * goal.value:>6.1f}{seed["seed"]:>5}'
    text += f'{seed["seconds"]:>10.1f}{seed["evaluations"]:>12.1f}{seed["step"]:>9}{100 * seed["value"]:>8.2f}'
    if not seed['reached']:
        return f'{text}  not reached in {goal.steps} steps; best {100 * seed["best"]:.2f} at {seed["best_step"]}'
    return text + (f'  published {goal.minutes:g} min on {goal.published_on}' if goal.minutes else '')


HEADER = f'{"goal":<18}{"%":>6}{"seed":>5}{"seconds":>10}{"evaluating":>12}{"step":>9}{"value":>8}'


def main(argv) -> None:
    """Runs the goals, prints a line a seed, and keeps what is done so far in --out."""
    parser = argparse.ArgumentParser('benchmarks.accuracy', description=__doc__.split('\n')[0], allow_abbrev=False)
    parser.add_argument('names', nargs='*', metavar='NAME', help='goals of benchmarks/goals.py')
    parser.add_argument('--source', default='', help="the images, as data.source has them; by default the recipe's")
    parser.add_argument('--seeds', type=int, default=1)
    parser.add_argument('--out', default='benchmarks/results/accuracy.json')
    given = parser.parse_args(argv)
    if given.seeds < 1:
        parser.error(f'--seeds={given.seeds}: it must be 1 or more.')
    record = begin('accuracy', argv) | {'rows': []}
    try:
        wanted = goals.chosen(given.names, record['hardware']['platform'] != 'cpu', given.source)
    except ValueError as e:
        parser.error(str(e))
    print(HEADER)
    for goal in wanted:
        seeds = []
        for seed in range(given.seeds):
            seeds.append(reach(goal, seed, given.source))
            print(line(goal, seeds[-1]), flush=True)
            files.write_json(given.out, record | {'rows': [*record['rows'], row(goal, seeds)]})
        record['rows'].append(row(goal, seeds))


if __name__ == '__main__':
    main(sys.argv[1:])
