"""Cells that differ only in the seed: trained at once (ssljax.vmapped) where that was measured to be faster."""

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import jax

from ssljax import loop, vmapped
from ssljax.records import provenance
from ssljax.stages import kind_of, settings
from ssljax.storage import files
from ssljax.studies.cells import Cell, like, short_hash

GAIN = 1.1  # times as fast, from which on cells are trained together


def groups(todo: list[Cell], most: int, directory: Path) -> Iterator[list[Cell]]:
    """The cells in their order; those that may be trained together are one group.

    Args:
      most: cells of a group, at most; 0: any number.
      directory: the study's, which knows what was measured before.
    """
    for _, group in itertools.groupby(todo, lambda cell: (cell.way, cell.labels, str(cell.point), cell.pretrain)):
        cells = list(group)
        size = most or len(cells)
        if not _simple(cells[0]) or _known(directory).get(_key(cells[0]), GAIN + 1) <= GAIN:
            size = 1
        yield from (cells[at : at + size] for at in range(0, len(cells), size))


def train(tasks: list[loop.Task], cells: list[Cell], directory: Path) -> list[bool]:
    """Trains the cells at once if that is faster than one after the other; `tasks` are the stages of each. Returns for
    each whether its training is finished now.

    What is faster is measured once for a program and a device, and kept in the study's together.json: {program and
    device: times as fast}.
    """
    able = [i for i, run in enumerate(tasks) if vmapped.can(run)]
    able = [i for i in able if vmapped.alike(tasks[i], tasks[able[0]])]
    finished = [False] * len(tasks)
    if len(able) < 2 or not _faster([tasks[i] for i in able], _key(cells[0]), directory):
        return finished
    for i, done in zip(able, vmapped.fit([tasks[i] for i in able])):
        finished[i] = done
    return finished


def _simple(cell: Cell) -> bool:
    """Whether a cell is one stage on labelled images."""
    of = settings(cell.job.config, kind_of(cell.way))
    return of.section == 'transfer' and of.base != 'second' and not cell.job.config.evaluate.best_on_test


def _faster(tasks: list[loop.Task], key: str, directory: Path) -> bool:
    if (factor := _known(directory).get(key)) is None:
        factor = _measure(tasks)
        files.write_json(directory / 'together.json', _known(directory) | {key: factor})
        verdict = 'together' if factor > GAIN else 'one after the other'
        print(
            f'{len(tasks)} seeds together: {factor:.1f} times as fast as one after the other on '
            f'{jax.default_backend()}; trained {verdict}',
            file=sys.stderr,
            flush=True,
        )
    return factor > GAIN


def _measure(tasks: list[loop.Task]) -> float:
    try:
        return vmapped.speedup(tasks)
    except jax.errors.JaxRuntimeError as error:
        if 'RESOURCE_EXHAUSTED' not in str(error):
            raise
        return 0.0  # they do not fit the device's memory


def _known(directory: Path) -> dict:
    try:
        return files.read_json(directory / 'together.json') or {}
    except files.Damaged as e:
        files.set_aside(directory / 'together.json', f'{e.why}; measured again')
    return {}


def _key(cell: Cell) -> str:
    hardware = provenance.hardware()
    program = short_hash([like(cell.job.config), jax.__version__])
    return f'{program} on {hardware["device"]}, {hardware["host_cores"]} cores'
