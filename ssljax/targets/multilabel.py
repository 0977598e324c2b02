"""Any number of classes an image: a sigmoid for each."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from ssljax import calibration, metrics, stats
from ssljax.evals import multilabel
from ssljax.losses import binary_cross_entropy

NONE = ';'  # how the label of an image with none of the classes is written; also between classes
FEW = 30  # fewest validation images by which a threshold is chosen


@dataclasses.dataclass(frozen=True, eq=False)
class MultiLabel:
    """A label is the number of a row of `sets`, uint8 [S, K], in which an image's classes are 1; see
    `ssljax.targets`."""

    classes: int
    sets: np.ndarray
    multilabel: ClassVar[bool] = True
    main: ClassVar[str] = 'mAP'
    select: ClassVar[tuple] = metrics.SELECT_MULTILABEL

    def hot(self, labels):
        labels = np.asarray(labels)
        return np.where((labels >= 0)[:, None], self.sets[np.maximum(labels, 0)], 0).astype(np.float32)

    def counts(self, labels):
        labels = np.asarray(labels)
        return self.sets[labels[labels >= 0]].sum(0, dtype=np.int64)

    def text(self, label: int, names) -> str:
        return written(names, self.sets[label])

    def shade(self, labels):
        """The rarest class of each, -1 where it has none."""
        hot, often = self.hot(labels) > 0, self.counts(labels)
        return np.where(hot.any(1), np.where(hot, often, often.max(initial=0) + 1).argmin(1), -1)

    def encoded(self, labels):
        rows = jnp.asarray(self.sets, jnp.float32)[jnp.maximum(labels, 0)]
        return jnp.where((labels >= 0)[:, None], rows, 0.0)

    def smooth(self, targets, smoothing: float):
        return (1 - smoothing) * targets + smoothing / 2

    def class_counts(self, labels) -> tuple[int, ...]:
        """[K + 1]: the images of each class, and all."""
        return (*self.counts(labels).tolist(), int((np.asarray(labels) >= 0).sum()))

    def measures(self, logits, labels, losses=None, mask=None) -> dict:
        """{'loss', 'exact_match': the share of images with every class right at a probability of 0.5}: (sum, count) of
        the images with a label and mask 1."""
        mask = (1.0 if mask is None else mask) * (labels >= 0)
        targets = self.encoded(labels)
        losses = binary_cross_entropy(logits, targets) if losses is None else losses
        right = jnp.all((logits > 0) == (targets > 0.5), axis=1)
        return {name: (jnp.sum(x * mask), jnp.sum(mask)) for name, x in (('loss', losses), ('exact_match', right))}

    def activation(self, logits):
        return jax.nn.sigmoid(logits)

    def probabilities(self, logits):
        return sigmoid(logits)

    def scores(self, logits, labels, positive: int | None = None, cut: float = 0.0) -> dict:
        """multilabel.scores; `positive` has no meaning here."""
        return multilabel.scores(*self._known(logits, labels), cut)

    def value(self, metric: str, logits, labels) -> float:
        """One of `select`."""
        return multilabel.value(metric, *self._known(logits, labels))

    def ends(self, logits, labels, found: dict, cut: float = 0.0) -> dict:
        return multilabel.intervals(*self._known(logits, labels), found, cut)

    def compared(self, logits: dict, labels) -> dict:
        """{'bootstrap': {way: multilabel.difference to scratch}} of {way: logits [N, K]}; {} without others."""
        if stats.BASELINE not in logits:
            return {}
        scratch, hot = self._known(logits[stats.BASELINE], labels)
        own = {way: self._known(found, labels)[0] for way, found in logits.items() if way != stats.BASELINE}
        found = {way: told for way, one in own.items() if (told := multilabel.difference(one, scratch, hot))}
        return {'bootstrap': found} if found else {}

    def vote(self, scores, labels) -> float:
        """`main` of scores [M, K]."""
        return multilabel.mean_precision(*self._known(scores, labels))

    def probe(self, labels) -> tuple:
        return jnp.asarray(self.hot(labels)), binary_cross_entropy

    def cut(self, logits, labels) -> float:
        """The logit above which an image is said to have a class, the same for all classes: that of the highest
        macro-F1, or 0, a probability of 0.5, with fewer than FEW images. One for each class would follow chance in the
        few validation images of a rare one."""
        logits, hot = self._known(logits, labels)
        return multilabel.best_cut(logits, hot) if len(hot) >= FEW else 0.0

    def temperature(self, logits, labels) -> float:
        return calibration.temperature_of_sets(*self._known(logits, labels))

    def reliability(self, logits, labels, temperature: float) -> dict:
        logits, hot = self._known(logits, labels)
        return calibration.reliability_of_sets(sigmoid(logits / temperature), hot)

    def wrong(self, logits, labels, most: int) -> dict:
        """{'rows', 'labels', 'said', 'confidence'} as of OneClass, by image and class: `said` is a class that the image
        does not have, with its probability, or, where 'missed', one that it has, with 1 minus its probability."""
        labels = np.asarray(labels)
        known = np.flatnonzero(labels >= 0)
        p, hot = sigmoid(np.asarray(logits, np.float64))[known], self.hot(labels[known]) > 0
        doubt = np.where(hot, 1 - p, p)
        order = np.argsort(-doubt, axis=None, kind='stable')
        order = order[doubt.ravel()[order] > 0.5][:most]
        rows, said = np.unravel_index(order, doubt.shape)
        found = {'rows': known[rows], 'labels': labels[known[rows]], 'said': said}
        return found | {'confidence': doubt[rows, said], 'missed': hot[rows, said]}

    def _known(self, logits, labels) -> tuple[np.ndarray, np.ndarray]:
        """(float64 [N, K], bool [N, K]) of the images with a known label; raises ValueError if there are none."""
        labels = np.asarray(labels)
        logits, labels = np.asarray(logits, np.float64)[labels >= 0], labels[labels >= 0]
        if not len(labels):
            raise ValueError('There is no image with a known label to evaluate.')
        return logits, self.hot(labels) > 0


def sigmoid(x):
    """1 / (1 + exp(-x)), without overflow."""
    return np.exp(-np.logaddexp(0, -np.asarray(x)))


def parsed(text: str) -> tuple[str, ...]:
    """The classes of a label such as 'a; b', sorted, each once; () of ';', none of the classes."""
    return tuple(sorted({part.strip() for part in text.split(NONE)} - {''}))


def written(names, row) -> str:
    """A label as `parsed` reads it; row: [K], truthy where it has a class."""
    return NONE.join(str(name) for name, has in zip(names, row) if has) or NONE


def table(labels, classes) -> tuple[np.ndarray, np.ndarray]:
    """(rows int32 [N], sets uint8 [S, K]) of N tuples of classes, as `parsed` gives them; None, unknown, is -1."""
    number_of = {name: i for i, name in enumerate(classes)}
    different = sorted({label for label in labels if label is not None})
    sets = np.zeros((len(different), len(classes)), np.uint8)
    for row, label in enumerate(different):
        sets[row, [number_of[name] for name in label]] = 1
    row_of = {label: row for row, label in enumerate(different)}
    return np.array([row_of.get(label, -1) for label in labels], np.int32), sets
