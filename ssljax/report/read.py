"""What a run left on disk: result.json, seed*/STAGE/metrics.jsonl, seed*/figures.npz and tuning/decisions.json."""

import re
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ssljax.progress import log
from ssljax.storage import files


class Run(NamedTuple):
    """A result, the metrics {stage: DataFrame by seed folder and step}, the arrays of the first seed, what was tuned or
    {}."""

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
        what = 'is a directory' if path.is_dir() else 'does not exist'
        begun = (workdir / 'config.json').exists()
        advice = 'the run is not finished: rerun its command to continue it' if begun else 'give the workdir of a run'
        raise FileNotFoundError(f'{path} {what}: {advice}.')
    result, decisions = read_object(path), workdir / 'tuning' / 'decisions.json'
    figures, source = read_figures(workdir)
    tuned = _whole(read_object, decisions, {}) if decisions.is_file() else {}
    return Run(workdir, result, read_metrics(workdir), figures, source, tuned)


def _whole(reader, path, without):
    """reader(path), or `without` and a warning if the file is damaged."""
    try:
        return reader(path)
    except Exception as error:  # of the many that NumPy and zipfile raise
        print(f'warning: the report omits {path}, which cannot be read ({error})', file=sys.stderr)
        return without


def read_object(path):
    """The dict in a JSON file; ValueError if it holds none."""
    with files.advising('rerun the experiment to rewrite it; to keep manual edits, delete its line "checksum"'):
        return files.read_json(path) or {}


def seed_folders(workdir):
    """The seed* folders in the order of their numbers."""
    folders = [path for path in Path(workdir).glob('seed*') if path.is_dir()]
    return sorted(folders, key=lambda path: [int(n) for n in re.findall(r'\d+', path.name)] + [path.name])


def read_metrics(workdir):
    """{stage: its metrics, a column each, by seed folder and step}."""
    stages = {}
    for folder in seed_folders(workdir):
        for path in sorted(folder.glob('*/metrics.jsonl')):
            rows = _whole(read_rows, path, pd.DataFrame())
            if len(rows) and '.' not in path.parent.name:  # else it was set aside
                stages.setdefault(path.parent.name, {})[folder.name] = rows
    return {stage: pd.concat(found, names=['seed', 'step']) for stage, found in stages.items()}


def read_rows(path):
    """Metrics by step, NaN where none is finite; what a resumed run logged again replaces what was there before."""
    rows = log.read(path)
    return pd.DataFrame(rows).replace([np.inf, -np.inf], np.nan).groupby('step').last() if rows else pd.DataFrame()


def read_figures(workdir):
    """The arrays of the first seed that saved any, and the file they came from."""
    for folder in seed_folders(workdir):
        path = folder / 'figures.npz'
        if (found := _whole(files.read_npz, path, None)) is not None:
            return found, path
    return {}, None
