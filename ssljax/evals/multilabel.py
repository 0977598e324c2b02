"""Metrics of images with any number of classes, from a logit and a truth for each class: average precision, F1, AUROC,
exact match; their bootstrap intervals, and the paired bootstrap of two classifiers."""

import numpy as np

from ssljax import stats
from ssljax.evals import classify
from ssljax.evals.intervals import DRAWS, LEAST, of_draws, percentiles

WORK = 10**8  # images times classes times draws
CUTS = 200  # thresholds that are tried


def scores(logits, hot, cut: float = 0.0) -> dict:
    """Classification metrics as plain Python numbers.

    Args:
      logits: [N, K] float.
      hot: [N, K] bool, the classes that each image has.
      cut: an image is said to have the classes whose logit exceeds it.

    Returns:
      {'images': N, 'mAP' (mean of 'per_class' over the classes that have images), 'per_class' [K] (average precision;
      None for a class without images), 'macro_f1' (mean of 'f1' over the classes that have images or are said), 'f1'
      [K], 'micro_f1' (of all pairs of image and class), 'auroc' (mean over the classes that some images have and others
      do not; None without any), 'exact_match' (share of images of which every class is right), 'hamming' (share of
      pairs that are right), 'loss' (nats, summed over classes), 'prevalence' [K] (share of the images; the average
      precision of chance), 'cut'}. All in [0, 1] except loss, counts and cut.
    """
    said = logits > cut
    each = average_precision(logits, hot)
    has = hot.any(0)
    f1, counted = _f1(said, hot)
    losses = np.logaddexp(0, logits) - hot * logits
    return {
        'images': len(hot),
        'mAP': float(each[has].mean()) if has.any() else None,
        'per_class': [float(x) if h else None for x, h in zip(each, has)],
        'macro_f1': float(f1[counted].mean()) if counted.any() else None,
        'f1': [float(x) if c else None for x, c in zip(f1, counted)],
        'micro_f1': float(2 * (said & hot).sum() / max(said.sum() + hot.sum(), 1)),
        'auroc': auroc(logits, hot),
        'exact_match': float((said == hot).all(1).mean()),
        'hamming': float((said == hot).mean()),
        'loss': float(losses.sum(1).mean()),
        'prevalence': hot.mean(0).tolist(),
        'cut': float(cut),
    }


def value(metric: str, logits, hot) -> float:
    """One metric of `scores`, at a cut of 0."""
    return mean_precision(logits, hot) if metric == 'mAP' else scores(logits, hot)[metric]


def mean_precision(scores_, hot) -> float:
    """The mean over the classes that have images of the average precision; nan without any. scores_: [N, K]."""
    has = hot.any(0)
    return float(average_precision(scores_[:, has], hot[:, has]).mean()) if has.any() else float('nan')


def average_precision(scores_, hot, weights=None):
    """Average precision of each class: sum over thresholds of (recall - recall before) * precision, images with the
    same score at once, as in scikit-learn. NaN counts as the lowest score.

    Args:
      scores_: [N, K] float.
      hot: [N, K] bool.
      weights: [D, N] float, how often each image counts in each of D samples; None: once.

    Returns:
      [K], or [D, K] with weights; nan for a class without images.
    """
    once = np.ones((1, len(hot))) if weights is None else weights
    scores_ = np.where(np.isnan(scores_), -np.inf, scores_)
    found = np.stack([_precision(scores_[:, k], hot[:, k], once) for k in range(hot.shape[1])], 1)
    return found[0] if weights is None else found


def _precision(own, has, weights):
    """[D]: of one class; own: [N] scores, has: [N] bool."""
    order = np.argsort(-own, kind='stable')
    last = np.append(np.flatnonzero(np.diff(own[order])), len(own) - 1)  # of equal scores
    taken = weights[:, order]
    hits, all_ = (np.cumsum(x, 1, dtype=np.float64)[:, last] for x in (taken * has[order], taken))
    total = hits[:, -1]
    rise = np.diff(hits, axis=1, prepend=0)
    with np.errstate(invalid='ignore', divide='ignore'):
        return np.where(total > 0, (rise * hits / np.maximum(all_, 1e-12)).sum(1) / total, np.nan)


def auroc(scores_, hot) -> float | None:
    """Mean area under the ROC curves of the classes that some images have and others do not; None without any."""
    found = []
    for k in range(hot.shape[1]):
        positive, negative = scores_[hot[:, k], k], np.sort(scores_[~hot[:, k], k])
        if len(positive) and len(negative):
            found.append(classify.area(positive, negative))
    return float(np.mean(found)) if found else None


def best_cut(logits, hot) -> float:
    """The cut with the highest macro-F1, the middle one of equals, of CUTS halfway between neighbouring logits."""
    values = np.unique(logits[np.isfinite(logits)])
    middles = (values[1:] + values[:-1]) / 2
    if not len(middles) or not hot.any():
        return 0.0
    tried = middles[np.unique(np.linspace(0, len(middles) - 1, CUTS).astype(int))]
    found = []
    for cut in tried:
        f1, counted = _f1(logits > cut, hot)
        found.append(f1[counted].mean())
    best = np.flatnonzero(np.array(found) >= max(found) - 1e-12)
    return float(tried[best[len(best) // 2]])


def _f1(said, hot) -> tuple:
    """([K] F1, [K] bool: whether any image has the class or is said to)."""
    total = said.sum(0) + hot.sum(0)
    return 2 * (said & hot).sum(0) / np.maximum(total, 1), total > 0


def drawn(count: int, draws: int, seed: int):
    """[draws, count] float32: how often each image is drawn."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(count, np.full(count, 1 / count), draws).astype(np.float32)


def affordable(hot) -> int:
    """How many bootstrap samples there is time for; 0 if they are too few."""
    draws = min(DRAWS, WORK // max(hot.size, 1))
    return draws if draws >= LEAST else 0


def intervals(logits, hot, found: dict, cut: float = 0.0, seed: int = 0) -> dict:
    """95% intervals: the uncertainty that comes from the number of images.

    For the exact match Wilson's (1927); for the others from a bootstrap over images, its percentiles shifted so that
    the mean of the draws is the metric.

    Args:
      logits, hot, cut: as for `scores`; found: what it returns for them.
      seed: of the bootstrap.

    Returns:
      {metric: [low, high]; 'per_class': one pair per class, None for a class without images}. A metric is missing if
      the bootstrap would take too long, or if it is the same in every draw.
    """
    out: dict = {}
    if exact := stats.of_images(found['exact_match'], len(hot)):
        out['exact_match'] = [exact['low'], exact['high']]
    if not (draws := affordable(hot)):
        return out
    weights = drawn(len(hot), draws, seed)
    each, said = average_precision(logits, hot, weights), logits > cut
    hits, total = weights @ (said & hot).astype(np.float32), weights @ (said.astype(np.float32) + hot)
    with np.errstate(invalid='ignore'):
        f1 = np.where(total > 0, 2 * hits / np.maximum(total, 1), np.nan)
    samples = {'mAP': _mean(each), 'macro_f1': _mean(f1), 'micro_f1': 2 * hits.sum(1) / np.maximum(total.sum(1), 1)}
    samples |= {'hamming': weights @ (said == hot).mean(1) / len(hot)}
    out |= {name: ends for name, x in samples.items() if (ends := of_draws(found[name], x))}
    return out | {'per_class': [of_draws(ap, each[:, k]) for k, ap in enumerate(found['per_class'])]}


def _mean(samples):
    """[D]: the mean over classes, of the finite values."""
    known = np.isfinite(samples)
    return np.where(known, samples, 0).sum(1) / np.maximum(known.sum(1), 1)


def difference(ours, others, hot, seed: int = 0) -> dict | None:
    """How sure the difference in mAP of two classifiers is on these images: the paired bootstrap, in which both are
    measured on the same drawn images. It compares these two trained networks, not other seeds or label sets.

    Args:
      ours, others: [N, K] logits.
      hot: as for `scores`.

    Returns:
      {'difference', 'low', 'high': the 95% interval, 'p': two-sided, twice the share of samples (one added) in which
      the difference has the other sign or is 0}; None if enough samples would take too long.
    """
    if not (draws := affordable(hot)):
        return None
    weights = drawn(len(hot), draws, seed)
    samples = _mean(average_precision(ours, hot, weights)) - _mean(average_precision(others, hot, weights))
    found = mean_precision(ours, hot) - mean_precision(others, hot)
    low, high = percentiles(found, samples)
    beyond = min((samples <= 0).sum(), (samples >= 0).sum())
    p = min(1.0, 2 * (int(beyond) + 1) / (draws + 1))
    return {'difference': float(found), 'low': low, 'high': high, 'p': float(p)}
