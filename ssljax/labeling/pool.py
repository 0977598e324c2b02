"""The unlabelled images of a run, and what a model sees in them."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ssljax import label_set
from ssljax.buckets import fetch
from ssljax.data import readable, sources, table
from ssljax.data.sources import annotations
from ssljax.data.split import Split, concat
from ssljax.model import BATCH, Outputs
from ssljax.processes import preempt
from ssljax.settings import schema
from ssljax.storage import files, paths


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
      ValueError: its data have changed, or nothing is left to label.
    """
    run = Path(paths.expand(fetch.local(run)))
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
        raise ValueError(f'{run} has no unlabelled images left{" beyond those already labelled" if done else ""}.')
    labeled = readable.verified(source.train.take(rows.labeled))
    hidden, names = good.relabel(np.full(len(good), -1)), [names[i] for i in good.labels]
    return Pool(source.classes, labeled, hidden, names, source.targets.multilabel)


def named(split: Split) -> list[str]:
    """The images' names, or their row numbers if they have none."""
    return split.names() or [str(row) for row in split.rows]


def outputs(model, split: Split) -> Outputs:
    """What a Model sees in a Split: Outputs of all its images, in order; only features for a backbone."""
    found = []
    for start in range(0, len(split), BATCH):
        preempt.check()
        found.append(model.outputs(split.read(np.arange(start, min(start + BATCH, len(split))))))
    told = None if found[0].probabilities is None else np.concatenate([one.probabilities for one in found])
    return Outputs(told, np.concatenate([one.features for one in found]))


def done(path) -> frozenset:
    """The names in the CSV of the labelling page whose last row has a label; none if there is no file."""
    return frozenset(name for name, label in read(path).items() if label)


def read(path) -> dict[str, str]:
    """{path: label} of a CSV with those columns; the last row of a path counts, and '' withdraws its label. {} if it is
    empty, or not there.

    Raises:
      ValueError: it is not such a file, has no such columns, or holds a model's predictions.
    """
    path = paths.expand(path)
    if not os.path.exists(path) or os.path.isfile(path) and not os.path.getsize(path):
        return {}
    found = table.read(path, '--labels')
    annotations.check_given(found.path, found.others)
    return {row.values['path']: row.values['label'] for row in found.rows if row.values['path']}
