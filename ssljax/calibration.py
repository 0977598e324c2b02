"""Calibrated probabilities, and the detection of images unlike the training images."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from ssljax.storage import files

NAME = 'calibration.npz'  # beside a stage's weights
ADVICE = (
    'restore it from a copy, or delete it: predictions are then not calibrated, and no image is flagged as unlike the '
    'training images'
)
NEIGHBORS = 5  # the distance to this nearest reference image measures how unlike an image is
INLIERS = 99  # percent of the validation images that do not count as unlike
FARTHEST = 2.0  # the largest cosine distance that two images can have
BINS = 15  # of confidence, as in Guo et al.
_BOUNDS = np.log(0.05), np.log(20)  # of the temperature's logarithm


class Calibration(NamedTuple):
    """What predictions need besides the weights.

    temperature: by which logits are divided. reference: float16 [M, D], features of training images, of length 1.
    limit: the distance to the reference beyond which an image counts as unlike the training images. threshold: for
    multi-label images, the calibrated probability above which an image is said to have a class; else None.
    """

    temperature: float
    reference: np.ndarray
    limit: float
    threshold: float | None = None

    def distance(self, features) -> np.ndarray:
        """How far images are from the training images: float32 [N], see `distances`.

        Args:
          features: float32 [N, D], of the layer that the head is on.
        """
        return distances(features, self.reference)

    def save(self, directory) -> None:
        """Writes it beside a stage's weights."""
        self.write(Path(directory) / NAME)

    def write(self, path) -> None:
        """Writes it to a file that `read` reads."""
        files.write_npz(path, {k: np.asarray(v) for k, v in self._asdict().items() if v is not None})


def load(directory) -> Calibration | None:
    """The Calibration saved with a stage's weights; None if there is none, as in runs of earlier versions. Raises as
    `read`."""
    return read(Path(directory) / NAME)


def read(path) -> Calibration | None:
    """The Calibration in a file; None if there is none.

    Raises:
      files.Damaged: it is not as it was written.
    """
    with files.advising(ADVICE):
        return _read(path)


def _read(path) -> Calibration | None:
    found = files.read_npz(path)
    if found is None:
        return None
    if found.keys() | {'threshold'} != set(Calibration._fields):
        raise files.Damaged(path, f'it holds {", ".join(sorted(found)) or "nothing"}')
    temperature, reference, limit = (found[name] for name in Calibration._fields[:3])
    threshold = found.get('threshold')
    single = [a for a in (temperature, limit, threshold) if a is not None]
    numbers = [a.shape == () and a.dtype.kind == 'f' and np.isfinite(a) for a in single]
    rows = reference.ndim == 2 and len(reference) and np.isfinite(reference).all()
    if not (all(numbers) and temperature > 0 and rows):
        raise files.Damaged(path, 'its numbers cannot come from a calibration')
    return Calibration(float(temperature), reference, float(limit), None if threshold is None else float(threshold))


def fit(temperature: float, features, reference, threshold: float | None = None) -> Calibration:
    """The Calibration of a classifier.

    Args:
      temperature, threshold: its fields.
      features: [N, D] float of the validation images.
      reference: [M, D] float, features of training images, N and M at least 1.
    """
    reference = unit(reference).astype(np.float16)
    return Calibration(temperature, reference, limit(distances(features, reference)), threshold)


def limit(found) -> float:
    """The distance, at most 2, that 1 in 100 further images like these exceed.

    The largest of n images is exceeded by 1 in n + 1 further ones, so with fewer than 100 no percentile is far enough
    out: the limit is then at least the one-sided prediction bound of a log-normal distribution, by Student's t.

    Args:
      found: [N] distances of validation images; for a single one the limit is 2, which no image exceeds.
    """
    from scipy.stats import t as student_t  # not at the top: it takes a second to import, and predictions need none

    n, seen = len(found), float(np.percentile(found, INLIERS))
    if n >= 100:
        return seen
    if n < 2:
        return FARTHEST
    logs = np.log(np.maximum(np.asarray(found, np.float64), 1e-6))
    bound = logs.mean() + student_t.ppf(INLIERS / 100, n - 1) * logs.std(ddof=1) * np.sqrt(1 + 1 / n)
    return max(seen, float(np.exp(min(bound, np.log(FARTHEST)))))


def temperature(logits, labels) -> float:
    """The temperature at which the likelihood of the labels is highest (Guo et al., ICML 2017, section 4.2), at least
    0.05 and at most 20.

    The targets are Platt's (1999, section 2.2), which for n images leave 1 / (n + 2) to the other classes: otherwise a
    handful of images that are all predicted correctly would make the model certain.

    Args:
      logits: [N, K] float.
      labels: [N] int, -1 where unknown.
    """
    from scipy.optimize import minimize_scalar  # as above
    from scipy.special import log_softmax

    logits, labels = np.asarray(logits, np.float64), np.asarray(labels)
    logits, labels = logits[labels >= 0], labels[labels >= 0]
    (n, classes) = logits.shape
    if not n or classes < 2:
        return 1.0
    rest = 1 / (n + 2)
    targets = np.full((n, classes), rest / (classes - 1))
    targets[np.arange(n), labels] = 1 - rest
    loss = lambda log_t: -(targets * log_softmax(logits / np.exp(log_t), axis=1)).sum(1).mean()
    return float(np.exp(minimize_scalar(loss, bounds=_BOUNDS, method='bounded').x))


def temperature_of_sets(logits, hot) -> float:
    """Like `temperature`, for images with any number of classes: one for all classes, by the binary cross-entropy.

    Args:
      logits: [N, K] float.
      hot: [N, K] bool, the classes that each image has.
    """
    from scipy.optimize import minimize_scalar  # as above

    rest = 1 / (len(hot) + 2)
    targets = rest + (1 - 2 * rest) * hot

    def loss(log_t):
        x = logits / np.exp(log_t)
        return (np.logaddexp(0, x) - targets * x).sum(1).mean()

    return float(np.exp(minimize_scalar(loss, bounds=_BOUNDS, method='bounded').x))


def distances(features, reference) -> np.ndarray:
    """The cosine distance, float32 [N] in [0, 2], to the NEIGHBORS-th nearest of `reference`, or the farthest if there
    are fewer: an outlier detector that is trained without outliers (Sun et al., ICML 2022, arXiv:2204.06507).

    Args:
      features: [N, D] float.
      reference: [M, D] float, of unit length.

    Raises:
      ValueError: D differs.
    """
    if np.shape(features)[1] != reference.shape[1]:
        raise ValueError(
            f'the features have {np.shape(features)[1]} values each, but those in {NAME} have {reference.shape[1]}: it '
            'does not belong to this model.'
        )
    near = unit(features) @ reference.T.astype(np.float32)
    place = min(NEIGHBORS, len(reference))
    return np.float32(1) - np.partition(near, near.shape[1] - place, axis=1)[:, near.shape[1] - place]


def unit(features) -> np.ndarray:
    """float32 [N, D], scaled to unit length."""
    features = np.asarray(features, np.float32)
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def reliability(logits, labels, temperature: float) -> dict:
    """How often predictions of each confidence are right.

    Args:
      logits: [N, K] float.
      labels: [N] int, -1 where unknown.
      temperature: by which the logits are divided.

    Returns:
      'ece': the expected calibration error, in [0, 1] (Guo et al., equation 3); 'bins': [[images, their mean
      confidence, the share that is right], ...], the non-empty ones of BINS of equal width.
    """
    from scipy.special import log_softmax  # as above

    logits, labels = np.asarray(logits, np.float64), np.asarray(labels)
    logits, labels = logits[labels >= 0], labels[labels >= 0]
    return _binned(np.exp(log_softmax(logits / temperature, axis=1).max(1)), logits.argmax(1) == labels)


def reliability_of_sets(probabilities, hot) -> dict:
    """Like `reliability`, for pairs of an image and a class: how often an image has a class that gets a probability.
    probabilities: [N, K] float; hot: [N, K] bool."""
    return _binned(probabilities.ravel(), hot.ravel())


def _binned(confidence, right) -> dict:
    which = np.minimum((confidence * BINS).astype(int), BINS - 1)
    bins = []
    for i in np.unique(which):
        own = which == i
        bins.append([int(own.sum()), float(confidence[own].mean()), float(right[own].mean())])
    ece = sum(n * abs(mean - share) for n, mean, share in bins) / max(len(right), 1)
    return {'ece': float(ece), 'bins': bins}
