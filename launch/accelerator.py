#!/usr/bin/env python3
"""Compute what wants an accelerator, in pieces of a few minutes, on machines that come and go.

usage: launch/accelerator.py --data=DIR --work=DIR [--carry=DIR]
                             [--minutes=9] [--only=NAME] [--list]

  --data=DIR     with cifar10.zip, an archive of class folders with a split
  --work=DIR     where the runs are kept on this machine
  --carry=DIR    what outlives it: read where --work is empty, and written at
                 the end, at most 60 MB, in files of at most 15 MB
  --minutes=9    how long to work, with saving and packing
  --only=NAME    one item of the list alone
  --list         what there is to do, and what was measured

example: launch/accelerator.py --data=data --work=/tmp/work --carry=carry

The items are in the order of what they are worth. Each goes on from its last
checkpoint until it is done; then comes the next. TensorFlow is not needed. The
exit code is 0 once all are done, 75 while something is left, 1 where one failed.
"""

import argparse
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
RESUME = 75
MOST, PART = 60_000_000, 15_000_000  # bytes that are carried, and of each file
SAVING = 40.0  # seconds in which a run saves, and what is carried is packed
LEAST = 45.0  # seconds that are worth another start
SMALL = '.json', '.jsonl', '.html', '.txt', '.npz'  # files of results, which are carried first
NAME = 'carried.tar.gz'
DONE = 'accelerator_done.json'  # in the folder of an item that has ended


class Item(NamedTuple):
    """Something to compute.

    arguments: of python -m, with {data} and {work}. result: a JSON under --work. goal: what was published. measured:
    (the result) -> what to show beside the goal.
    """

    name: str
    arguments: tuple[str, ...]
    result: str
    goal: str
    measured: Callable


def _run(name: str, recipe: str, goal: str, measured: Callable, *flags: str) -> Item:
    data = '--config.data.source=folder:{data}/cifar10.zip'
    arguments = ('ssljax.main', f'--config={recipe}', f'--workdir={{work}}/{name}', data, *flags)
    return Item(name, arguments, f'{name}/result.json', goal, measured)


def _way(name: str) -> Callable:
    return lambda found: f'{name} {100 * found["summary"][name]["top1"]["mean"]:.2f}%'


def _neighbours(found: dict) -> str:
    top1 = [seed['knn']['pretrained']['test']['top1'] for seed in found['seeds']]
    return f'neighbours {100 * sum(top1) / len(top1):.2f}%'


FAST = '--config.backbone.dtype=bfloat16'
ITEMS = (
    _run('rotnet', 'rotnet', '89.06% on block 2 (Gidaris et al. 2018)', _way('frozen'), FAST),
    _run('simclr', 'embedding_cifar10:simclr', "84.7% by neighbours (lightly's benchmark)", _neighbours, FAST),
    _run('byol', 'embedding_cifar10:byol', "86.9% by neighbours (lightly's benchmark)", _neighbours, FAST),
    _run('fixmatch_short', 'fixmatch_cifar10:short', '94% on a twentieth of the steps', _way('fixmatch'), FAST),
    _run('badgan', 'badgan:cifar10', '85.59% with 4,000 labels (Dai et al. 2017)', _way('badgan')),
    Item(
        'steps',
        ('benchmarks.steps', '--dtype=float32,bfloat16', '--rounds=3', '--seconds=5', '--out={work}/steps/steps.json'),
        'steps/steps.json',
        'the speeds that docs/performance.md aims at',
        lambda found: f'{len(found.get("rows", []))} rows',
    ),
    _run('fixmatch_full', 'fixmatch_cifar10:full', '94.93% (Sohn et al. 2020)', _way('fixmatch'), FAST),
)


def main(argv: list[str]) -> int:
    """Works for the minutes that are given; returns the exit code."""
    began = time.monotonic()
    given = arguments(argv)
    if given is None:
        return 0
    until = began + 60 * given.minutes - SAVING
    items = [item for item in ITEMS if given.only in ('', item.name)]
    given.work.mkdir(parents=True, exist_ok=True)
    if given.carry and not any(given.work.iterdir()):
        unpack(given.carry, given.work)
    failed: list[str] = []
    for item in [] if given.list else items:
        if not finished(item, given.work):
            if until - time.monotonic() < LEAST and item is not items[0]:
                break
            code = work_on(item, given.data, given.work, until)
            failed += [item.name] * (code not in (0, RESUME))
            if code == RESUME:
                break
    left = [item for item in items if not finished(item, given.work)]
    if given.carry and not given.list:
        pack(given.work, given.carry, [item.name for item in left])
    for item in items:
        print(line(item, given.work, item.name in failed))
    return 1 if failed else RESUME if left else 0


def arguments(argv: list[str]) -> argparse.Namespace | None:
    """What is given; None where it was help that was asked for."""
    parser = argparse.ArgumentParser(usage=__doc__.split('\n\n')[1].removeprefix('usage: '), add_help=False)
    parser.add_argument('-h', '--help', action='store_true')
    for name in ('data', 'work', 'carry'):
        parser.add_argument(f'--{name}', type=lambda text: Path(text).expanduser().absolute())
    parser.add_argument('--minutes', type=float, default=9.0)
    parser.add_argument('--only', choices=['', *(item.name for item in ITEMS)], default='')
    parser.add_argument('--list', action='store_true')
    given = parser.parse_args(argv)
    if given.help:
        print(__doc__.strip())
        return None
    if given.work is None or given.data is None and not given.list:
        parser.error('give --data=DIR and --work=DIR')
    if given.minutes <= 0:
        parser.error(f'--minutes={given.minutes:g}: give more than 0')
    if not given.list and not (given.data / 'cifar10.zip').is_file():
        parser.error(f'--data={given.data} has no cifar10.zip')
    return given


def work_on(item: Item, data: Path, work: Path, until: float) -> int:
    """Runs an item, and asks it to save and stop at `until` of time.monotonic(); returns its exit code."""
    (work / item.name).mkdir(parents=True, exist_ok=True)
    command = [sys.executable, '-m', *(text.format(data=data, work=work) for text in item.arguments)]
    print(f'{item.name}: {" ".join(command[1:])}', flush=True)
    python_path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH')]))
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | {'PYTHONPATH': python_path})
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda signum, _: process.poll() is None and process.send_signal(signum))
    try:
        code = process.wait(max(until - time.monotonic(), 1.0))
    except subprocess.TimeoutExpired:
        process.terminate()
        code = process.wait()
    if code == 0:
        (work / item.name / DONE).write_text('{}')
    stopped = code in (RESUME, 128 + signal.SIGTERM, -signal.SIGTERM)
    return RESUME if stopped else code


def finished(item: Item, work: Path) -> bool:
    """Whether an item is done."""
    return (work / item.name / DONE).exists()


def pack(work: Path, carry: Path, unfinished: list[str]) -> None:
    """Writes what is carried on: the results of all items and, as far as there is room, the newest checkpoints of those
    that are not done."""
    files = sorted(path for path in work.rglob('*') if path.is_file() and path.name != '.lock')
    small = [path for path in files if path.suffix in SMALL and not _in_checkpoint(path.relative_to(work))]
    above = {folder for path in files for folder in path.parents}
    places = {p for p in above if p.name.isdigit() and p.parent.name in ('checkpoints', 'model')}
    newest: dict[Path, Path] = {}
    for place in sorted(places, key=lambda p: int(p.name)):
        if place.relative_to(work).parts[0] in unfinished:
            newest[place.parent] = place
    kept, room = list(small), 0.99 * MOST - _size(small)
    for place in newest.values():
        inside = [path for path in files if path.is_relative_to(place)]
        if (size := _size(inside)) > room:
            print(f'{place.relative_to(work)} ({size / 1e6:.0f} MB) does not fit and is left behind.')
            continue
        kept, room = kept + inside, room - size
    buffer = _archive(work, kept)
    carry.mkdir(parents=True, exist_ok=True)
    for old in carry.glob(f'{NAME}.*'):
        old.unlink()
    for i in range(0, max(len(buffer), 1), PART):
        (carry / f'{NAME}.{i // PART}').write_bytes(buffer[i : i + PART])
    print(f'{carry}: {len(buffer) / 1e6:.1f} MB')


def _size(paths: list[Path]) -> int:
    return sum(path.stat().st_size for path in paths)


def _in_checkpoint(path: Path) -> bool:
    return any(part in ('checkpoints', 'model') for part in path.parts)


def _archive(work: Path, paths: list[Path]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w:gz', compresslevel=1) as archive:
        for path in paths:
            archive.add(path, path.relative_to(work).as_posix())
    return buffer.getvalue()


def unpack(carry: Path, work: Path) -> None:
    """What `pack` wrote."""
    parts = sorted(carry.glob(f'{NAME}.*'), key=lambda path: int(path.suffix[1:]))
    if parts:
        content = io.BytesIO(b''.join(path.read_bytes() for path in parts))
        with tarfile.open(fileobj=content) as archive:
            archive.extractall(work, filter='data')


def line(item: Item, work: Path, failed: bool) -> str:
    """An item, how far it is, and what was measured."""
    if finished(item, work):
        said = item.measured(json.loads((work / item.result).read_text()))
    else:
        said = 'failed' if failed else 'begun' if any((work / item.name).glob('*')) else 'not begun'
    return f'{item.name:<16} {said:<24} published: {item.goal}'


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
