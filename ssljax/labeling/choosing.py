"""Active learning: which unlabelled images are worth a label.

With few labels a model does not know yet what it does not know, and typical images teach it most; with more, those that
it is uncertain about do (Hacohen, Dekel & Weinshall, ICML 2022, arXiv:2202.02794, sections 1 and 4).
"""

import numpy as np

from ssljax.calibration import unit
from ssljax.data import pick

FEW = 10  # labels per class up to which typical images are chosen
SURPLUS = 10  # uncertain images for each that is chosen, from which diverse ones are taken


def typical(seen, known, count: int, seed: int, threshold: float | None = None) -> tuple[np.ndarray, list[str]]:
    """TypiClust (section 3.2): k-means on all features, one cluster for each label that there is or is asked for; from
    each of the largest clusters without a label, the most typical image.

    Args:
      seen: pool.Outputs of the unlabelled images, features [N, D].
      known: features [L, D] of the labelled ones.
      count: how many, at most N.
      seed: of k-means.
      threshold: that of a multi-label model, or None; it is not used here.

    Returns:
      (rows int64 [count], those of the largest clusters first; why, a sentence for each).
    """
    from sklearn.cluster import KMeans  # it takes a second to import

    n = len(seen.features)
    if count >= n:
        return np.arange(n), ['all there are'] * n
    features = unit(np.concatenate([seen.features, known]))
    owner = KMeans(min(len(known) + count, len(features)), n_init=1, max_iter=50, random_state=seed).fit_predict(
        features
    )
    covered, sizes = set(owner[n:].tolist()), np.bincount(owner)
    open_ones = [c for c in np.argsort(-sizes, kind='stable').tolist() if c not in covered and (owner[:n] == c).any()]
    rows, why = [], []
    for cluster in open_ones[:count]:
        inside = np.flatnonzero(owner[:n] == cluster)
        rows.append(inside[pick.typicality(features[inside]).argmax()])
        why.append(f'typical of {len(inside):,} images, none of them labelled')
    left = np.setdiff1d(np.arange(n), rows)[: count - len(rows)]  # k-means leaves clusters empty if images are equal
    return np.array([*rows, *left], np.int64), why + ['like others'] * len(left)


def uncertain(seen, known, count: int, seed: int, threshold: float | None = None) -> tuple[np.ndarray, list[str]]:
    """Of the images with the smallest margin between the two likeliest classes or, for a multi-label model, between the
    threshold and the probability of a class, one from each of `count` clusters, so that they differ (after Citovsky et
    al., NeurIPS 2021, arXiv:2107.14263). Arguments and results as for `typical`; the smallest margin comes first."""
    from sklearn.cluster import KMeans

    if threshold is not None:
        margin, what = np.abs(seen.probabilities - threshold).min(1), 'a class is {:.2f} from the threshold'
    else:
        ordered = np.sort(seen.probabilities, axis=1)
        margin = ordered[:, -1] - (ordered[:, -2] if ordered.shape[1] > 1 else 0)
        what = 'the two likeliest classes are {:.2f} apart'
    near = np.argsort(margin, kind='stable')[: SURPLUS * count]
    if len(near) > count:
        owner = KMeans(count, n_init=1, max_iter=50, random_state=seed).fit_predict(unit(seen.features[near]))
        first = [np.flatnonzero(owner == cluster)[0] for cluster in np.unique(owner)]  # `near` is in order
        rest = np.setdiff1d(np.arange(len(near)), first)[: count - len(first)]
        near = near[np.sort(np.concatenate([first, rest]).astype(int))]
    return near.astype(np.int64), [what.format(margin[row]) for row in near]


RULES = {'typical': typical, 'uncertain': uncertain}
