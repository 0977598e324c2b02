"""One class an image."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ssljax import calibration, metrics, stats
from ssljax.evals import classify, intervals
from ssljax.methods import network


@dataclasses.dataclass(frozen=True)
class OneClass:
    """A label is the number of a class; see `ssljax.targets`."""

    classes: int
    multilabel: ClassVar[bool] = False
    main: ClassVar[str] = 'top1'
    select: ClassVar[tuple] = metrics.SELECT
    sets: ClassVar[None] = None

    def counts(self, labels):
        return np.bincount(labels[labels >= 0], minlength=self.classes)

    def hot(self, labels):
        return (np.asarray(labels)[:, None] == np.arange(self.classes)).astype(np.float32)

    def text(self, label: int, names) -> str:
        return str(names[label])

    def shade(self, labels):
        return np.asarray(labels)

    def encoded(self, labels):
        return jax.nn.one_hot(labels, self.classes)

    def smooth(self, targets, smoothing: float):
        return optax.smooth_labels(targets, smoothing)

    def class_counts(self, labels) -> tuple[int, ...]:
        return tuple(self.counts(labels).tolist())

    def measures(self, logits, labels, losses=None, mask=None) -> dict:
        """network.classification_metrics."""
        return network.classification_metrics(logits, labels, losses, mask)

    def activation(self, logits):
        return jax.nn.softmax(logits)

    def probabilities(self, logits):
        x = np.exp(logits - logits.max(axis=1, keepdims=True))  # scipy takes a fifth of a second to import
        return x / x.sum(axis=1, keepdims=True)

    def scores(self, logits, labels, positive: int | None = None, cut: float = 0.0) -> dict:
        """classify.scores; `cut` has no meaning here."""
        return classify.scores(logits, labels, positive)

    def value(self, metric: str, logits, labels) -> float:
        """One of `select`."""
        return classify.scores(logits, labels)[metric]

    def ends(self, logits, labels, found: dict, cut: float = 0.0) -> dict:
        return intervals.intervals(logits, labels, found)

    def compared(self, logits: dict, labels) -> dict:
        """{'mcnemar': {way: stats.mcnemar against scratch}} of {way: logits [N, K]}; {} without others."""
        right = {way: classify.rank(*classify.known(found, labels)) <= 1 for way, found in logits.items()}
        others = [way for way in right if way != stats.BASELINE] if stats.BASELINE in right else []
        found = {way: stats.mcnemar(right[way], right[stats.BASELINE]) for way in others}
        return {'mcnemar': found} if found else {}

    def vote(self, scores, labels) -> float:
        """`main` of scores [M, K]."""
        labels = np.asarray(labels)
        return float((scores.argmax(1) == labels)[labels >= 0].mean())

    def probe(self, labels) -> tuple:
        return jnp.asarray(labels), optax.softmax_cross_entropy_with_integer_labels

    def cut(self, logits, labels) -> float:
        """0: no logit has to exceed anything."""
        return 0.0

    def temperature(self, logits, labels) -> float:
        return calibration.temperature(logits, labels)

    def reliability(self, logits, labels, temperature: float) -> dict:
        return calibration.reliability(logits, labels, temperature)

    def wrong(self, logits, labels, most: int) -> dict:
        """{'rows', 'labels', 'said', 'confidence'} of the images with a wrong class, most confident first."""
        p, labels = self.probabilities(np.asarray(logits, np.float64)), np.asarray(labels)
        said, confidence = p.argmax(1), p.max(1)
        wrong = np.flatnonzero((labels >= 0) & (said != labels))
        rows = wrong[np.argsort(-confidence[wrong], kind='stable')][:most]
        return {'rows': rows, 'labels': labels[rows], 'said': said[rows], 'confidence': confidence[rows]}
