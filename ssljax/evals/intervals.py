"""95% intervals of classification metrics: the uncertainty that comes from the number of images."""

import math

import numpy as np

from ssljax import stats
from ssljax.evals import classify

DRAWS, LEAST = 1000, 200  # bootstrap samples; no interval if fewer than LEAST are affordable
WORK = 10**7  # images times draws; for the AUROC, images times draws times curves up to three times that


def intervals(logits, labels, found: dict, seed: int = 0) -> dict:
    """The intervals of `classify.scores`.

    Accuracies and recalls have Wilson's interval (1927). Balanced accuracy combines those of the recalls (MOVER, Zou &
    Donner, Statist. Med. 27, 2008), so that it does not shrink to a point when every image is right. Macro-F1 and AUROC
    are bootstrapped within each class; the percentiles are shifted so that the mean of the draws is the metric.

    Args:
      logits: [N, K] float.
      labels: [N] int in [-1, K).
      found: what classify.scores returns for them.
      seed: of the bootstrap.

    Returns:
      {metric: [low, high]; 'per_class': one pair per class, None for a class without images}. A metric is missing if
      the bootstrap would take too long, or if it is the same in every draw.
    """
    logits, labels = classify.known(logits, labels)
    counts = np.bincount(labels, minlength=logits.shape[1])
    recalls = [_wilson(share, n) for share, n in zip(found['per_class'], counts)]
    out = {name: _wilson(found[name], len(labels)) for name in ('top1', 'top5') if name in found}
    out |= {'per_class': recalls, 'balanced_accuracy': _mean_of(found['per_class'], recalls)}
    if 'positive' in found:
        positive = found['positive']
        out |= {'sensitivity': recalls[positive], 'specificity': recalls[1 - positive]}
    for name, draws in bootstrap(logits, labels, seed).items():
        out[name] = of_draws(found[name], draws)
    return {name: ends for name, ends in out.items() if ends is not None}


def of_draws(metric, draws) -> list | None:
    """The interval [low, high] of a metric in [0, 1] from its bootstrap samples [D]; nan counts for none of them. None
    if the metric is None, too few samples are left, or all are the same."""
    draws = draws[np.isfinite(draws)]
    if metric is None or len(draws) < LEAST or np.ptp(draws) <= 1e-12:
        return None
    low, high = percentiles(metric, draws)
    return [max(0.0, low), min(1.0, high)]


def percentiles(value, draws) -> tuple[float, float]:
    """The ends of the interval of a value from its bootstrap samples [D], shifted so that their mean is the value."""
    low, high = value + np.quantile(draws, [(1 - stats.LEVEL) / 2, (1 + stats.LEVEL) / 2]) - draws.mean()
    return float(low), float(high)


def _wilson(share, count) -> list | None:
    found = stats.of_images(share, int(count))
    return [found['low'], found['high']] if found else None


def _mean_of(shares, ends) -> list:
    """The interval of the mean of independent proportions from the interval of each; None is skipped."""
    known = [(share, *end) for share, end in zip(shares, ends) if end]
    mean = sum(share for share, _, _ in known) / len(known)
    low = math.sqrt(sum((share - low) ** 2 for share, low, _ in known)) / len(known)
    high = math.sqrt(sum((high - share) ** 2 for share, _, high in known)) / len(known)
    return [max(0.0, mean - low), min(1.0, mean + high)]


def bootstrap(logits, labels, seed: int = 0) -> dict:
    """{'macro_f1', 'auroc': [draws] float64} of bootstrap samples that keep the number of images of each class; {} if
    fewer than LEAST are affordable. logits: [N, K] float; labels: [N] int."""
    (n, classes), curves = logits.shape, classify.curves(logits.shape[1])
    draws = min(DRAWS, WORK // n)
    if draws < LEAST:
        return {}
    weights = drawn(labels, draws, seed)
    p, right, guess = classify.probabilities(logits), classify.rank(logits, labels) <= 1, logits.argmax(1)
    counts = np.bincount(labels, minlength=classes)
    named = weights @ _one_hot(guess, classes)
    hits = weights @ (_one_hot(labels, classes) * right[:, None])
    some = (named + counts > 0).sum(1)
    out = {'macro_f1': (2 * hits / np.maximum(named + counts, 1)).sum(1) / some}
    few = min(draws, 3 * WORK // (n * len(curves)))
    each = [_aurocs(weights[:few], p[:, k], labels == k) for k in curves if 0 < counts[k] < n and few >= LEAST]
    out |= {'auroc': np.mean(each, 0)} if each else {}
    return {name: np.asarray(values, np.float64) for name, values in out.items()}


def drawn(labels, draws: int, seed: int):
    """[draws, N] float32: how often each image is drawn; each class keeps its number of images."""
    rng, out = np.random.default_rng(seed), np.zeros((draws, len(labels)), np.float32)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        picked = rng.integers(0, len(rows), (draws, len(rows))) + len(rows) * np.arange(draws)[:, None]
        out[:, rows] = np.bincount(picked.ravel(), minlength=draws * len(rows)).reshape(draws, -1)
    return out


def _one_hot(places, size: int):
    return (places[:, None] == np.arange(size)).astype(np.float32)


def _aurocs(weights, p, is_class):
    """[draws] float64: area under the ROC curve of each draw; weights [draws, N], p and is_class [N]."""
    order = np.argsort(p[~is_class], kind='stable')
    others, own = p[~is_class][order], weights[:, is_class]
    below = np.cumsum(weights[:, ~is_class][:, order], 1, dtype=np.float64)
    below = np.concatenate([np.zeros((len(below), 1)), below], 1)
    ends = [np.searchsorted(others, p[is_class], side) for side in ('left', 'right')]
    ahead = (below[:, ends[0]] + below[:, ends[1]]) / 2
    return (own * ahead).sum(1) / is_class.sum() / (~is_class).sum()
