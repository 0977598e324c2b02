"""What a run left on disk: result.json, seed*/STAGE/metrics.jsonl, seed*/figures.npz and tuning/decisions.json."""

import json
import re
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ssljax import log


class Run(NamedTuple):
    """A result, the logged rows as {stage: {seed: [row, ...]}}, the arrays of the first seed, what was tuned or {}."""

    workdir: Path
    result: dict
    metrics: dict
    figures: dict
    figures_from: Path | None
    tuning: dict


def read(workdir):
    """Reads a run's files into a Run; every file but result.json may be missing, and a damaged one is left out with a
    warning.

    Raises:
      FileNotFoundError: workdir has no result.json.
      ValueError: result.json is not a JSON object.
    """
    workdir = Path(workdir)
    path = workdir / 'result.json'
    if not path.is_file():
        raise FileNotFoundError(f'{path} does not exist: give the workdir of a run that has finished a stage.')
    result, decisions = read_object(path), workdir / 'tuning' / 'decisions.json'
    figures, source = read_figures(workdir)
    tuned = _whole(read_object, decisions, {}) if decisions.is_file() else {}
    return Run(workdir, result, read_metrics(workdir), figures, source, tuned)


def _whole(reader, path, without):
    """reader(path), or `without` and a warning where the file is damaged."""
    try:
        return reader(path)
    except Exception as error:  # of the many that NumPy and zipfile raise
        print(f'warning: the report leaves out {path}, which cannot be read ({error})', file=sys.stderr)
        return without


def read_object(path):
    """The dict in a JSON file; ValueError where it holds none."""
    try:
        found = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(f'{path} is not valid JSON ({error}): run the experiment again to rewrite it.') from error
    if not isinstance(found, dict):
        raise ValueError(f'{path} holds a {type(found).__name__}, not an object: run the experiment again.')
    return found


def seed_folders(workdir):
    """The seed* folders in the order of their numbers."""
    folders = [path for path in Path(workdir).glob('seed*') if path.is_dir()]
    return sorted(folders, key=lambda path: [int(n) for n in re.findall(r'\d+', path.name)] + [path.name])


def read_metrics(workdir):
    """{stage: {seed folder: [row, ...]}}, rows in the order of their steps."""
    metrics = {}
    for folder in seed_folders(workdir):
        for path in sorted(folder.glob('*/metrics.jsonl')):
            metrics.setdefault(path.parent.name, {})[folder.name] = _whole(read_rows, path, [])
    return metrics


def read_rows(path):
    """One row a step; what a resumed run logged again replaces what stood there before."""
    rows = {}
    for row in log.read(path):
        if isinstance(row, dict) and 'step' in row:
            rows.setdefault(row['step'], {}).update(row)
    return [rows[step] for step in sorted(rows)]


def read_figures(workdir):
    """The arrays of the first seed that saved any, and the file they came from."""
    for folder in seed_folders(workdir):
        path = folder / 'figures.npz'
        if path.is_file():
            found = _whole(_arrays, path, {})
            if found:
                return found, path
    return {}, None


def _arrays(path):
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
