"""Whether labels follow something trivial: a file's format, the size, the brightness, the colour of the border."""

import warnings
from typing import NamedTuple

import numpy as np

from ssljax.audit import measures
from ssljax.audit.given import Given
from ssljax.audit.scan import Scan, endings

FOLDS, MOST = 5, 5_000  # of the cross-validation; labelled images that are looked at, an even sample of more
LEAST = 10  # labelled images of a class, below which it is left out
LEAVES = 4  # of the tree, for each class


class Told(NamedTuple):
    """What a decision tree on one property alone gives.

    Attributes:
      feature: what it looks at.
      accuracy: share of the images whose label it predicts, cross-validated.
      majority: share of the most frequent class.
      images: how many that is measured on.
      classes: {name of a class: F1} of those that it tells from all others with an F1 of at least `CLEAR`.
    """

    feature: str
    accuracy: float
    majority: float
    images: int
    classes: dict

    @property
    def gain(self) -> float:
        """Share of the errors of the majority vote that it avoids."""
        return max(0.0, (self.accuracy - self.majority) / max(1 - self.majority, 1e-9))

    @property
    def clear(self) -> bool:
        """Whether the images are enough to tell it from the majority vote: by SURE standard errors of that one's
        share."""
        error = np.sqrt(self.majority * (1 - self.majority) / max(self.images, 1))
        return self.accuracy - self.majority >= SURE * error


CLEAR = 0.9
SURE = 3.0  # ten properties are tried, and each may seem to tell something by chance


def tell(given: Given, scan: Scan, tones: dict) -> list[Told]:
    """What each property tells about the labels of the training images, the most telling first; [] if there are too few
    images or classes.

    A decision tree (Breiman et al. 1984) of LEAVES leaves per class sees one property, and is scored by stratified
    cross-validation.
    """
    train = given.rows('train')
    rows = train[(given.labels[train] >= 0) & scan.good[train]]
    labels, counts = given.labels[rows], np.bincount(given.labels[rows], minlength=1)
    rows = rows[counts[labels] >= LEAST]
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), MOST)).astype(int))] if len(rows) else rows
    kept, counts = np.unique(given.labels[rows], return_counts=True)
    rows = rows[np.isin(given.labels[rows], kept[counts >= FOLDS])]
    if len(set(given.labels[rows].tolist())) < 2:
        return []
    out = [_told(name, x[rows], given.labels[rows], given.texts) for name, x in features(given, scan, tones).items()
           if len(np.unique(x[rows], axis=0)) > 1]  # fmt: skip
    return sorted(out, key=lambda told: -told.gain)


def features(given: Given, scan: Scan, tones: dict) -> dict:
    """{what: [N, d]} that may tell a label and should not."""
    code = lambda values: np.unique(values, return_inverse=True)[1][:, None]
    width, height = scan.column('width'), scan.column('height')
    return {
        'file extension': code(endings(given.names)),
        'file format': code(scan.column('format')),
        'channels and bits': np.stack([scan.column('channels'), scan.column('bits')], 1),
        'size in pixels': np.stack([width, height], 1),
        'shape (width to height)': (width / np.maximum(height, 1))[:, None],
        'brightness': tones['mean'][:, None],
        'contrast': tones['contrast'][:, None],
        'sharpness': np.nan_to_num(scan.sharp, nan=-1.0)[:, None],
        'colour of the border': measures.border(*scan.small),
        'whether there is colour': measures.colourless(scan.small.chroma)[:, None].astype(int),
    }


def _told(feature, x, labels, classes):
    from sklearn.metrics import f1_score  # it takes a second to import
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.tree import DecisionTreeClassifier

    kinds, counts = np.unique(labels, return_counts=True)
    tree = DecisionTreeClassifier(
        max_leaf_nodes=LEAVES * len(kinds), min_samples_leaf=max(2, len(labels) // 500), random_state=0
    )
    folds = StratifiedKFold(min(FOLDS, int(counts.min())), shuffle=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of classes that are never predicted
        predicted = cross_val_predict(tree, x, labels, cv=folds)
        each = f1_score(labels, predicted, labels=kinds, average=None, zero_division=0)
    clear = {str(classes[k]): round(float(f), 4) for k, f in zip(kinds, each) if f >= CLEAR}
    return Told(feature, float((predicted == labels).mean()), float(counts.max() / counts.sum()), len(labels), clear)
