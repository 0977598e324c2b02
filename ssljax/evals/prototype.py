"""Nearest class mean: a class is the mean of its labelled images' features (Mensink et al. 2013, section 3; with few
labels Snell et al. 2017, arXiv:1703.05175, whose distance is Euclidean; here it is the cosine, as for neighbours)."""

import numpy as np

from ssljax.calibration import unit


def predict(train, train_labels, queries, *, classes: int) -> np.ndarray:
    """Class scores by cosine similarity to the prototypes, the means of features of length 1.

    Args:
      train: [N, D] float32.
      train_labels: [N] int32 in [-1, classes); those with -1, unknown, do not count.
      queries: [M, D] float32.
      classes: K.

    Returns:
      [M, K] float32 in [-1, 1]; -inf of a class without an image.
    """
    labels = np.asarray(train_labels)
    of = np.arange(classes)[:, None] == labels
    scores = unit(queries) @ unit(of.astype(np.float32) @ unit(train)).T
    scores[:, ~of.any(axis=1)] = -np.inf
    return scores
