"""The data of a study: recorded when it begins, and compared by every worker before it trains anything."""

import sys
from pathlib import Path

import numpy as np

from ssljax.data import partition, summary
from ssljax.records import begun, recorded
from ssljax.settings import schema, suits
from ssljax.storage import files
from ssljax.studies.cells import short_hash
from ssljax.text.literal import clean

# Fields of config.data that do not change what is loaded.
FREE = ('labels', 'pool', 'val', 'choose', 'features', 'data_dir', 'manual_dir', 'path', 'cache')
# Fields added later, with what earlier studies have: these values leave the names of folders as they were.
LATER = {'images': '', 'pattern': '', 'annotations': '', 'multilabel': 'auto', 'resize': 'crop', 'copies': 'anywhere'}


def check(directory: Path, planned, load) -> None:
    """Compares what the planned cells load with what the study has used before. Each source has a folder of its own,
    DIRECTORY/data/KEY, with data.json and data.npz; a study of an earlier version, which has none, is compared by the
    data.json of its jobs.

    Args:
      directory: the study's.
      planned: its Cells.
      load: (config) -> Source.

    Raises:
      ValueError: other data, jobs of other data among the planned ones, or data of a single class.
    """
    found: dict = {}
    for cell in planned:
        for job in filter(None, (cell.job, cell.needs)):
            found.setdefault(key(job.config.data.to_dict()), {})[job.folder] = job.config
    for name, jobs in found.items():
        config = next(iter(jobs.values()))
        source = load(config)
        for one in jobs.values():
            suits.check_classes(one, source)
        for text in summary.warnings(source):
            print(f'warning: {clean(source.name)}: {text}', file=sys.stderr)
        _check_source(directory, name, source, jobs, {c.job.folder: c.needs.folder for c in planned if c.needs})


def check_budgets(config, planned, load) -> None:
    """Raises ValueError if two of study.labels are the same number of images in two spellings, such as 50 and 5/class
    of ten classes: both would be trained, and the figures could not tell them apart."""
    budgets, cell = config.study.labels, planned[0]
    if len(budgets) < 2:
        return
    source = load(cell.job.config)
    known: dict[int, str] = {}
    labels = source.train.labels
    rows = np.flatnonzero(labels >= 0)
    for budget in budgets:
        if budget.strip() == 'all' or budget.startswith('list:'):
            continue
        try:
            count = len(
                partition.choose(labels, rows, budget, name='study.labels', key=(0,), of=len(rows), sets=source.sets)
            )
        except ValueError:
            continue  # its cells say so
        if count in known:
            raise ValueError(
                f'study.labels: {known[count]!r} and {budget!r} are both {count:,} labelled images of '
                f'{config.data.source}: leave one out.'
            )
        known[count] = budget


def key(data: dict) -> str:
    """16 hex digits, the same for all configs (config.data as a plain dict) that load the same images."""
    return short_hash({k: v for k, v in data.items() if k not in FREE and LATER.get(k, ...) != v})


def _check_source(directory, name, source, jobs, needs):
    place, what = directory / 'data' / name, source.name
    new, old = _summary(source, jobs.values()), _stored(directory / 'data' / name)
    theirs = {folder: data for folder in jobs if (data := _used(directory / folder)) is not None}
    stale = {folder for folder, data in theirs.items() if not recorded.alike(data, new)}
    stale |= {folder for folder in theirs if needs.get(folder) in stale}
    if old is None or not recorded.alike(old, new):
        everything = _all(directory, name)
        if old is None and everything and not any(recorded.alike(data, new) for data in everything):
            old = everything[0]
        elif not everything:
            old = None  # nothing depends on the data that it was begun with
    now = new if old is None else recorded.check(old, new, source, directory, what, place)
    if stale:
        raise ValueError(
            f'{len(stale)} of the {len(theirs)} trainings of this study that are kept in {directory} used different '
            f'data from what {what} has now, so their results cannot be compared: {", ".join(sorted(stale))}. Delete '
            'these folders and rerun the same command; or restore the data that they used, or give another --workdir.'
        )
    if _stored(place) != now:
        recorded.keep(source, place)
        files.write_json(place / 'data.json', now)


def _summary(source, configs):
    """recorded.summary, with the contents of all files that the configs name."""
    named = {}
    for config in configs:
        for field, path in recorded.named(config).items():
            if field != 'transfer.checkpoint' or not path.startswith('pretrained/'):
                named[f'{path} ({field})'] = path
    return recorded.of_source(source) | {
        'given': {k: s for k, p in named.items() if (s := recorded.content(p))} | recorded.of_sets(source)
    }


def _stored(place):
    try:
        return files.read_json(place / 'data.json', begun.KEYS['data'])
    except files.Damaged as e:
        files.set_aside(place / 'data.json', f'{e.why}; the data are compared with those of the finished cells')
    return None


def _used(folder) -> dict | None:
    """What a job's folder says about its data; None if it has trained nothing, or does not say."""
    if not ((folder / 'row.json').exists() or begun.trained(folder)):
        return None
    try:
        return begun.stored(folder, 'data')
    except files.Damaged:
        return None  # the job itself reports it, if it is not done


def _all(directory, name) -> list[dict]:
    """What all jobs of the directory that have trained anything say about their data, if its key is `name`."""
    found = []
    for folder in sorted([*directory.glob('pretrained/*'), *directory.glob('cells/*')]):
        data = _used(folder)
        try:
            config = data and begun.stored(folder, 'config')
        except files.Damaged:
            continue
        if data and config and key(schema.restored(config).data.to_dict()) == name:
            found.append(data)
    return found
