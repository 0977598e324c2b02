"""The unlabelled images of a run, and what a model sees in them."""

import csv
import itertools
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ssljax import files, label_set, paths, preempt, schema
from ssljax.data import pick, readable, sources
from ssljax.data.sources import annotations
from ssljax.data.split import Split, concat
from ssljax.model import BATCH, Outputs


class Pool(NamedTuple):
    """classes: their names. labeled, unlabeled: Splits without images that cannot be decoded; the second has no labels.
    names: of the unlabelled images. multilabel: whether an image may have several classes."""

    classes: tuple
    labeled: Split
    unlabeled: Split
    names: list[str]
    multilabel: bool = False


def of(run, seed: int, model, done=frozenset()) -> Pool:
    """The images of one seed of a run.

    Args:
      run: its folder.
      seed: which of its label sets.
      model: a Model of it, whose data must be the same now.
      done: names that are left out.

    Raises:
      FileNotFoundError: it is no run.
      ValueError: its data are others now, or nothing is left to label.
    """
    run = Path(paths.expand(run))
    plain = files.read_json(run / 'config.json')
    if plain is None:
        raise FileNotFoundError(f'{run} has no config.json: give the folder of a run (its --workdir).')
    source = sources.load(annotations.as_kept(schema.restored(plain).data, run))
    if source.train.digest() != model.info['data'].get('train', source.train.digest()):
        raise ValueError(f'the images of {source.name} are not those {run} was trained on: restore them.')
    rows = label_set.stored(run / f'seed{seed}' / 'partition.npz', len(source.train))
    if rows is None:
        raise FileNotFoundError(f'{run} has no label set of seed {seed}: run its command first.')
    others = source.train.take(rows.unlabeled).hide()
    whole = others if source.unlabeled is None else concat([others, source.unlabeled.hide()])
    names = named(whole)
    kept = [i for i, name in enumerate(names) if name not in done]
    shown, names = whole.take(np.array(kept, int)), [names[i] for i in kept]
    good = readable.verified(Split(shown.images, np.arange(len(shown)), shown.rows))  # labels: places in `names`
    if not len(good):
        raise ValueError(f'{run} has no unlabelled image left{" that is not labelled by now" if done else ""}.')
    labeled = readable.verified(source.train.take(rows.labeled))
    hidden, names = good.relabel(np.full(len(good), -1)), [names[i] for i in good.labels]
    return Pool(source.classes, labeled, hidden, names, source.targets.multilabel)


def named(split: Split) -> list[str]:
    """The images' names, or their row numbers where they have none."""
    return split.names() or [str(row) for row in split.rows]


def outputs(model, split: Split) -> Outputs:
    """What a Model sees in a Split: Outputs of all its images, in order; the features alone of a backbone."""
    found = []
    for start in range(0, len(split), BATCH):
        preempt.check()
        found.append(model.outputs(split.read(np.arange(start, min(start + BATCH, len(split))))))
    told = None if found[0].probabilities is None else np.concatenate([one.probabilities for one in found])
    threshold = model.threshold if told is not None and model.multilabel else None
    return Outputs(told, np.concatenate([one.features for one in found]), threshold)


def done(path) -> frozenset:
    """The names in the CSV of the labelling page whose last row has a label; none where there is no file."""
    return frozenset(name for name, label in read(path).items() if label)


def read(path) -> dict[str, str]:
    """{path: label} of a CSV with those columns; the last row of a path counts, and '' withdraws its label.

    Raises:
      ValueError: it is no such file, or has no such columns.
    """
    path = paths.expand(path)
    if not os.path.exists(path):
        return {}
    if not os.path.isfile(path):
        raise ValueError(f'{path} is {paths.kind(path)}: give a CSV file for the labels.')
    lines = [f'{line}\n' for line in pick.lines_of(path)]  # a name may go on in the next
    lines = list(itertools.dropwhile(lambda line: not line.strip(), lines))
    try:
        rows = list(csv.DictReader(lines))
        if lines and not {'path', 'label'} <= set(next(csv.reader(lines[:1]))):
            raise ValueError(f'{path} is not a list of labels: its first line must name the columns path and label.')
        annotations.check_given(path, rows[0] if rows else ())
    except csv.Error as error:
        raise ValueError(f'{path} cannot be read as CSV ({error}): is a quote not closed?') from error
    return {row['path']: (row['label'] or '').strip() for row in rows if row['path']}
