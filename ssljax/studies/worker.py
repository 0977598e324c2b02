"""A worker: takes cells that no other has, one at a time, until all are done. The same in one process as in many."""

import contextlib
import json
import shutil
import sys
import time
from pathlib import Path
from typing import NamedTuple

from ssljax import config as configs
from ssljax import experiment, guard, seeds
from ssljax.data import sources
from ssljax.processes import hosts, preempt
from ssljax.progress.log import clock
from ssljax.records import identity, protocol, provenance
from ssljax.settings import beforehand, schema
from ssljax.storage import disk, files, held, paths
from ssljax.studies import batch, bound, sweep, table
from ssljax.studies.cells import Cell, Job, cells, like
from ssljax.studies.claim import Claims

WAIT = 2.0  # seconds between looks at what others are doing


def run(config, directory, points=(), *, write=None) -> Path:
    """Computes the cells of a study that are not done yet, and writes its table.

    A directory holds one study, or several with the same name that share cells: what is finished is kept, so a study
    that was killed goes on, and one with more budgets, seeds, ways or points computes only what is new. Any number of
    processes may call this on one directory at the same time.

    Args:
      config: the study's config.
      directory: where it is kept.
      points: as for `cells`.
      write: (directory) -> None, called with the complete table; it draws the page.

    Returns:
      The table, rows.csv.

    Raises:
      ValueError, OSError: something the user can fix, such as data that are not those of the cells that are done.
      preempt.Preempted: the run was asked to stop; the same command goes on from here.
    """
    directory, planned = Path(directory), cells(config, points)
    identity.agree('config', schema.to_dict(config) | {'cells': [cell.id for cell in planned]})
    paths.make_folder(directory, '--workdir')
    with held.shared(directory):
        return _run(config, directory, planned, write)


def _run(config, directory: Path, planned: list[Cell], write) -> Path:
    for cell in planned:
        for job in filter(None, (cell.job, cell.needs)):
            _sound(_row(directory, job))
    begun = _begun(directory, planned)
    shared = Shared()
    for cell in planned if hosts.here() else ():
        shared.source(cell.job.config)  # by all of them, before one looks at it alone
    hosts.told(bound.check, directory, planned, shared.source)
    bound.check_budgets(config, planned, shared.source)
    _describe(config, directory, planned, begun)
    failed, progress = {}, Progress(directory, planned)
    place = Place(directory, Claims(directory / 'claims'), shared, progress, config.study.keep)

    def attempt(cell: Cell, work, *rest) -> bool:
        preempt.check()
        if cell.id in failed or _done(directory, cell.job):
            return False
        try:
            return work(cell, place, *rest)
        except (guard.Stopped, FloatingPointError, ValueError) as error:
            if not disk.raised_by_us(error):
                raise
            failed[cell.id] = f'{progress.of(cell)}: {str(error).splitlines()[0]}'
            print(f'{progress.of(cell)}: stopped: {error}', file=sys.stderr)
            return False

    while todo := [planned[i] for i in hosts.told(_left, directory, planned, set(failed))]:
        worked = False
        for group in batch.groups(todo, config.study.together, directory):
            if len(group) > 1:
                with contextlib.suppress(ValueError):  # of one of them, which says so when it is its turn
                    worked |= _together(group, place, attempt)
            for cell in group:
                worked |= attempt(cell, _work)
        if not worked and any(c.id not in failed for c in todo):
            progress.waiting(len(todo))
            time.sleep(WAIT)
    path = hosts.told(table.write, directory, planned)
    if write:
        hosts.only_first(write)(directory)
    if failed:
        listed = '; '.join([*failed.values()][:3]) + '; ...' * (len(failed) > 3)
        raise ValueError(
            f'{len(failed)} of {len(planned)} cells stopped and have no row; the table {path} has the others. {listed} '
            '-- change what the messages name, or leave those cells out: the same command would stop there again.'
        )
    return path


def _left(directory: Path, planned: list[Cell], failed: set) -> list[int]:
    return [i for i, c in enumerate(planned) if c.id not in failed and not _row(directory, c.job).exists()]


@hosts.by_first
def _done(directory: Path, job: Job) -> bool:
    return _row(directory, job).exists()


@hosts.only_first
def _sound(path: Path) -> None:
    """Sets aside a damaged row: its cell is evaluated again."""
    try:
        files.read_json(path, {'seconds': files.NUMBER})
    except files.Damaged as e:
        files.set_aside(path, f'{e.why}; recomputing its cell')


class Shared:
    """What the cells of one process share: the images, and the methods and compiled programs of like configs."""

    def __init__(self):
        self.sources, self.programs = {}, {}

    def source(self, config) -> sources.Source:
        """What a config loads, once."""
        data = configs.to_dict(config)['data']
        of = json.dumps({k: v for k, v in data.items() if k not in ('labels', 'pool', 'val', 'choose', 'features')})
        if of not in self.sources:
            self.sources[of] = sources.load(config.data)
        return self.sources[of]

    def prepare(self, config, workdir: Path) -> experiment.Context:
        """The Context of a config, with what similar ones have compiled."""
        run, kind = experiment.prepare(config, workdir, self.source(config), quiet=True), like(config)
        if kind not in self.programs:
            beforehand.check(run)
        methods, programs = self.programs.setdefault(kind, (run.methods, run.programs))
        return run._replace(methods=methods, programs=programs)


def _row(directory: Path, job: Job) -> Path:
    return directory / job.folder / 'row.json'


class Progress:
    """A line for every cell that this worker finishes, with the time that the rest may take."""

    def __init__(self, directory: Path, planned: list[Cell]):
        self.directory, self.planned, self.began = directory, planned, time.monotonic()
        self.said, self.before = 0.0, self._count()

    def _count(self) -> int:
        return sum(_row(self.directory, cell.job).exists() for cell in self.planned)

    def of(self, cell: Cell) -> str:
        """A cell in words."""
        parts = (cell.way, cell.pretrain, cell.labels, sweep.title(cell.point), f'seed {cell.seed}')
        return ' · '.join(part for part in parts if part)

    def done(self, cell: Cell) -> None:
        """Says that a cell is done."""
        hosts.only_first(self._done)(cell)

    def _done(self, cell: Cell) -> None:
        done, row = self._count(), files.read_json(_row(self.directory, cell.job)) or {}
        rate = (time.monotonic() - self.began) / max(done - self.before, 1)
        left = clock(rate * (len(self.planned) - done))
        value = 100 * row[table.main(row)]
        print(
            f'[{done}/{len(self.planned)}] {self.of(cell)}: {value:.2f}% in {row["seconds"]:.0f} s · {left} left',
            file=sys.stderr,
            flush=True,
        )

    def waiting(self, count: int) -> None:
        """Says, at most once in 30 seconds, that others have what is left."""
        if time.monotonic() - self.said > 30:
            self.said = time.monotonic()
            what = f'{count} cells are being computed by other workers'
            what = what if count > 1 else 'one cell is being computed by another worker'
            print(f'{what}; waiting', file=sys.stderr, flush=True)


class Place(NamedTuple):
    """Where and with what a worker works; `keep`: whether the weights of finished cells stay."""

    directory: Path
    claims: Claims
    shared: Shared
    progress: Progress
    keep: bool


def _work(cell: Cell, place: Place) -> bool:
    """Computes a cell, or first the pretraining that it needs; False if others are at it."""
    if not _pretrained(cell, place):
        return False
    with place.claims.hold(cell.id) as mine:
        if not mine or _done(place.directory, cell.job):
            return False
        return _end(cell, place)


def _pretrained(cell: Cell, place: Place) -> bool:
    """Computes the pretraining that a cell needs, if there is none yet; False if others are at it."""
    if cell.needs is None or _done(place.directory, cell.needs):
        return True
    with place.claims.hold(Path(cell.needs.folder).name) as mine:
        if not mine or _done(place.directory, cell.needs):
            return mine
        _compute(cell, cell.needs, place)
    return True


def _end(cell: Cell, place: Place, seconds: float = 0.0) -> bool:
    _compute(cell, cell.job, place, seconds)
    place.progress.done(cell)
    return True


def _together(group: list[Cell], place: Place, attempt) -> bool:
    """Trains those cells of a group that no other worker has at once, if that is faster, and then finishes each like
    any other; False if they are left to `_work`."""
    ready = [cell for cell in group if attempt(cell, _pretrained)]
    with contextlib.ExitStack() as claims:
        mine = [cell for cell in ready if claims.enter_context(place.claims.hold(cell.id))]
        mine = [cell for cell in mine if not _done(place.directory, cell.job)]
        began = time.monotonic()
        with contextlib.ExitStack() as locked:
            runs = []
            for cell in mine if len(mine) > 1 else ():
                locked.enter_context(files.lock(place.directory / cell.job.folder))
                run = _open(cell, cell.job, place)
                runs.append(seeds.single_stage(run, cell.way, cell.seed))
            trained = batch.train(runs, mine, place.directory)
        share = (time.monotonic() - began) / max(sum(trained), 1)
        for cell, done in zip(mine, trained):
            if any(trained):
                attempt(cell, _end, share if done else 0.0)
        return any(trained)


def _open(cell: Cell, job: Job, place: Place) -> experiment.Context:
    directory = place.directory
    config = job.config.copy_and_resolve_references()
    if cell.needs and job is cell.job:
        config.transfer.checkpoint = str(directory / cell.needs.folder)
    identity.claim(job.config, directory / job.folder)
    return place.shared.prepare(config, directory / job.folder)


def _compute(cell: Cell, job: Job, place: Place, seconds: float = 0.0) -> None:
    """Does a job and writes its row; `seconds` went into it before."""
    directory, began = place.directory, time.monotonic() - seconds
    workdir = directory / job.folder
    with files.lock(workdir):
        run = _open(cell, job, place)
        record = seeds.evaluate_seed(run, job.config.seeds[0])
        guard.refuse(record.get('stopped', {}), cell.way if job is cell.job else 'pretrain')
        row = {'seconds': time.monotonic() - began}
        if job is cell.job:
            pretrained = hosts.told(files.read_json, _row(directory, cell.needs)) if cell.needs else None
            row |= table.row(cell, run, record, pretrained)
        else:
            row |= {'pretrain_seconds': record['pretrain']['seconds']}
        if job is cell.job and not place.keep:
            _remove_models(workdir)
        files.write_json(_row(directory, job), row)


@hosts.only_first
def _remove_models(workdir: Path) -> None:
    for model in workdir.glob('seed*/*/model'):
        shutil.rmtree(model)


def _begun(directory: Path, planned: list[Cell]) -> int:
    """The schema that a study was begun with; the configs of its cells get that version's rules."""
    old = hosts.told(files.read_json, directory / 'study.json') or {'begun': schema.SCHEMA}
    begun = old.get('begun', old.get('schema', 1))
    for cell in planned if begun < identity.COPIES else ():
        for job in filter(None, (cell.job, cell.needs)):
            job.config.data.copies = 'anywhere'
    return begun


def _describe(config, directory: Path, planned: list[Cell], begun: int) -> None:
    """study.json: what the page says besides the table."""
    about = {
        'schema': schema.SCHEMA,
        'begun': begun,
        'name': config.name,
        'command': provenance.command(),
        'config': configs.to_dict(config),
        'reference': config.study.reference,
        'published': [dict(zip(('what', 'value', 'setting', 'source', 'labels'), p)) for p in config.published],
        'planned': len(planned),
        'protocol': protocol.of_study(config, [cell.point for cell in planned]),
    }
    files.write_json(directory / 'study.json', about)
