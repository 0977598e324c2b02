"""Labels that a trained model contradicts: confident learning.

Northcutt, Jiang & Chuang, Confident Learning: Estimating Uncertainty in Dataset Labels, JAIR 70, 2021, section 3.1: an
image counts as one of class k if p_k is at least the threshold t_k, the mean p_k of the images that are labelled k; of
several such classes the most probable is taken. If that class is not its label, the label is suspect. Suspects are
ranked by the normalised margin, p_label - max of the others (section 3.2). As there, probabilities should be those of
images whose labels the model has not seen; suspects that it was trained on are marked.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from ssljax.audit.given import Given
from ssljax.buckets import fetch
from ssljax.data.memory import parallel
from ssljax.data.names import from_line
from ssljax.storage import files, paths

LOW = 0.2  # probability of its label, above which none is suspect
BATCH = 2_000  # images that are decoded at once
LEAST = 0.5  # share of the majority vote's errors that the model must avoid for its doubts to count


class Suspect(NamedTuple):
    """An image: its row, the class that the model sees, the probabilities of that and of its label, and whether the
    model was trained on the label."""

    row: int
    other: int
    p_other: float
    p_label: float
    seen: bool


class Doubts(NamedTuple):
    """Suspects, the most certain first; the model, its accuracy on the labels, and how many images were looked at."""

    suspects: list
    model: str
    accuracy: float
    images: int
    trusted: bool


def confident(probabilities, labels, reference=None):
    """The class that each image confidently seems to be of.

    Args:
      probabilities: float [N, K].
      labels: int [N] in 0..K-1.
      reference: bool [N], the images from which thresholds are taken; None: all.

    Returns:
      int64 [N]: the confident class, -1 if none reaches its threshold (a class without a reference has none).
    """
    labels = np.asarray(labels)
    reference = np.ones(len(labels), bool) if reference is None else reference
    k = probabilities.shape[1]
    thresholds = np.full(k, np.inf)
    for c in np.unique(labels[reference]):
        thresholds[c] = probabilities[reference & (labels == c), c].mean()
    above = np.where(probabilities >= thresholds - 1e-6, probabilities, -1.0)
    return np.where(above.max(1) >= 0, above.argmax(1), -1)


def find(given: Given, good, run: str, most: int) -> Doubts:
    """Which labels the model of a run doubts.

    Args:
      given: the images.
      good: bool [N], those that can be decoded.
      run: a directory that ssljax.load opens.
      most: pixels that a decoded image may have.

    Raises:
      FileNotFoundError, ValueError: there is no model there, it knows other classes, or the images are multi-label or
        have no labels.
    """
    if given.targets.multilabel:
        raise ValueError(
            f'{given.name} is multi-label, but --run can only look for wrong labels where each image has one class: '
            'leave --run out. The page of a run shows its most confident errors, including missed labels.'
        )
    from ssljax import trained  # not at the top: flax takes seconds to import, and few checks have a run

    model = trained.load(run)
    if not model.classes or set(given.classes) - set(model.classes):
        unknown = sorted(set(given.classes) - set(model.classes))
        raise ValueError(
            f'the model of {run} knows the classes {_some(model.classes)}, but not {_some(unknown)} of {given.name}: '
            'give a run that was trained on these classes, or leave --run out.'
            if model.classes
            else f'the model of {run} is a backbone without a classifier: give a run with a classifier.'
        )  # fmt: skip
    place = {name: i for i, name in enumerate(model.classes)}
    rows = np.flatnonzero((given.labels >= 0) & good)
    labels = np.array([place[given.classes[k]] for k in given.labels[rows].tolist()], int)
    if not len(rows):
        raise ValueError(f'{given.name} has no labelled images for --run to look at.')
    p = np.concatenate([model.predict(_decoded(given, part, model, most)) for part in _batches(rows)])
    seen = np.isin([given.names[r] for r in rows], _trained_on(run))
    class_seen = confident(p, labels, ~seen if (~seen).sum() > len(seen) // 2 else None)
    own = p[np.arange(len(p)), labels]
    suspect = np.flatnonzero((class_seen >= 0) & (class_seen != labels) & (own < LOW))
    suspect = suspect[np.argsort((own - p.max(1))[suspect], kind='stable')]
    names = {i: given.classes.index(c) for i, c in enumerate(model.classes) if c in given.classes}
    other = [(i, int(class_seen[i])) for i in suspect]
    found = [Suspect(int(rows[i]), names.get(k, -1), float(p[i, k]), float(own[i]), bool(seen[i])) for i, k in other]
    right = p.argmax(1) == labels
    accuracy, majority = float(right.mean()), float(np.bincount(labels).max() / len(labels))
    trusted = accuracy - majority > LEAST * (1 - majority)
    return Doubts(found, repr(model), accuracy, len(rows), trusted)


def _some(names) -> str:
    return ', '.join(map(repr, names[:5])) + (', ...' if len(names) > 5 else '')


def _batches(rows):
    return [rows[i : i + BATCH] for i in range(0, len(rows), BATCH)]


def _decoded(given, rows, model, most):
    """[h, w, C] uint8 of each, no smaller than the model needs them."""
    out: list = [None] * len(rows)

    def run(start, stop):
        for i in range(start, stop):
            out[i] = np.asarray(given.image(int(rows[i]), max(model.shape[:2]), most))

    parallel(run, len(rows), 64, title='images for the model')
    return out


def _trained_on(run) -> list:
    """Names of the images whose labels any seed of a run was given."""
    found: list = []
    for path in sorted(Path(paths.expand(fetch.local(run))).glob('seed*/labels.txt')):
        content = (files.read_bytes(path) or b'').decode('utf-8', 'surrogateescape')
        found += [from_line(line)[0] for line in content.splitlines()]
    return found
