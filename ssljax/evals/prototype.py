"""Nearest class mean: a class is the mean of its labelled images' features (Mensink et al. 2013, section 3; with few
labels Snell et al. 2017, arXiv:1703.05175, whose distance is Euclidean; here it is the cosine, as for neighbours)."""

import numpy as np

from ssljax.calibration import unit


def predict(train, votes, queries) -> np.ndarray:
    """Class scores by cosine similarity to the prototypes, the means of unit-length features.

    Args:
      train: [N, D] float32.
      votes: [N, K] float32, the classes of each, 1 or 0; all 0 if the label is unknown.
      queries: [M, D] float32.

    Returns:
      [M, K] float32 in [-1, 1]; -inf for a class without an image.
    """
    of = np.asarray(votes, np.float32).T
    scores = unit(queries) @ unit(of @ unit(train)).T
    scores[:, ~of.any(axis=1)] = -np.inf
    return scores
