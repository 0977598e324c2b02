"""How many labels a way needs for the accuracy that another one has with a given number of them."""

import math
from typing import NamedTuple

import numpy as np
from sklearn.isotonic import isotonic_regression

from ssljax.report.words import number
from ssljax.stats import BASELINE, LEVEL
from ssljax.studies.curve import Series, reference

RESAMPLES = 2000
FEWEST = 3  # seeds, below which a bootstrap over seeds says nothing
TINY = 1e-12  # rounding of means


class Ratio(NamedTuple):
    """A ratio of numbers of labels above 0; sign '<' or '>' if only a bound is known, which is never rounded to a
    stronger one."""

    value: float
    sign: str = ''

    def __str__(self):
        digits = 2 if self.value < 1 else 3
        if not self.sign:
            return number(self.value, digits)
        scale = 10.0 ** (digits - 1 - math.floor(math.log10(self.value)))
        outwards = math.ceil if self.sign == '<' else math.floor
        return f'{self.sign} {number(outwards(round(self.value * scale, 6)) / scale, digits)}'


class Saving(NamedTuple):
    """What a series needs for the reference's accuracy at `budget` labels per class: `ratio` times as many labels, with
    the 95% interval [low, high], both None if there are too few seeds; `accuracy`: that to be reached, in [0, 1]."""

    series: Series
    budget: float
    accuracy: float
    ratio: Ratio
    low: Ratio | None
    high: Ratio | None
    seeds: int


def savings(curves, name=BASELINE, resamples=RESAMPLES) -> list[Saving]:
    """Labels that every series needs, as a ratio of those of the reference, for every budget of the reference.

    Assumed: the expected accuracy never falls with more labels, and between two budgets it is linear in log2(labels).
    So both curves are isotonic regressions (Barlow et al., Statistical Inference under Order Restrictions, 1972) of the
    means over seeds on log2(labels), weighted by the number of seeds; the accuracy to be reached is the fitted one of
    the reference; the series needs the fewest labels at which its own curve is as high. Nothing is extrapolated: an
    accuracy above the series' last one, or below its first one, gives a bound ('> 8', '< 0.02').

    The interval is the percentile interval of a bootstrap over seeds (label sets), the same resampled seeds for both
    curves and all budgets, with a fixed seed of its own. A resample that leaves a budget of either curve without a
    value does not count; if most do, there is no interval. With few seeds such an interval is too narrow: the variance
    of the resampled mean of n values is (n - 1) / n of the unbiased one, and Student's tails are missing. In 400
    simulated studies for each number of seeds (linear curves, standard deviation 0.02 shared and 0.01 of each curve's
    own) it held the true ratio in 74% with 3 seeds, 83% with 5, 91% with 10 and 94% with 20.

    Args:
      curves: {Series: {labels per class: {seed: share}}}, as `curve.curves` gives them.
      name: the reference, as `curve.reference` takes it; a series with a point is compared with the reference that has
        the same point.
      resamples: how many.

    Returns:
      list of Saving, by series and budget, from the seeds that both series have. Series with a single budget have none,
      and neither has the reference.

    Raises:
      ValueError: several series have the name of the reference.
    """
    found = []
    for series, curve in curves.items():
        other = reference(curves, name, series.point)
        if other is not None and other != series:
            found += of_pair(series, curve, curves[other], resamples)
    return found


def of_pair(series, curve, other, resamples) -> list[Saving]:
    """`savings` of one series against the curve `other`."""
    seeds = sorted(seeds_of(curve) & seeds_of(other))
    own, theirs = table(curve, seeds), table(other, seeds)
    if not len(theirs[0]) or len(own[0]) < 2:
        return []
    accuracy, needed = needed_labels(own, theirs, np.ones((1, len(seeds))))
    low = high = [None] * len(theirs[0])
    if len(seeds) >= FEWEST:
        draws = np.random.default_rng(0).multinomial(len(seeds), np.full(len(seeds), 1 / len(seeds)), resamples)
        draws = draws[np.logical_and(*(((draws @ np.isfinite(v)) > 0).all(axis=1) for _, v in (own, theirs)))]
        if len(draws) >= resamples / 2:
            drawn = np.sort(needed_labels(own, theirs, draws)[1], axis=0)
            tail = int((1 - LEVEL) / 2 * (len(drawn) - 1))
            low, high = drawn[tail], drawn[-1 - tail]

    def ratio(log, budget):
        if log is None:
            return None
        bound = np.clip(log, own[0][0], own[0][-1])
        return Ratio(float(2 ** (bound - budget)), '' if np.isfinite(log) else '>' if log > 0 else '<')

    return [
        Saving(
            series, float(2**budget), float(accuracy[0, i]), ratio(needed[0, i], budget), ratio(low[i], budget),
            ratio(high[i], budget), len(seeds),
        )
        for i, budget in enumerate(theirs[0])
    ]  # fmt: skip


def seeds_of(curve) -> set:
    return {seed for values in curve.values() for seed in values}


def table(curve, seeds):
    """(log2 of the budgets [B], values [seeds, B] with nan for none) of the budgets that have any of the seeds."""
    kept = [budget for budget in curve if any(seed in curve[budget] for seed in seeds)]
    values = [[curve[budget].get(seed, np.nan) for budget in kept] for seed in seeds]
    return np.log2(np.asarray(kept, float)), np.asarray(values, float).reshape(len(seeds), len(kept))


def needed_labels(own, theirs, draws):
    """The accuracy to be reached, and log2 of the labels needed for it.

    Args:
      own, theirs: as `table` gives them, of B and of A budgets.
      draws: [R, seeds] how often each seed counts; each gives every budget a value.

    Returns:
      (accuracy [R, A], log2 labels [R, A]: -inf where even the fewest labels exceed it, inf where it is never reached),
      float64.
    """
    draws, which = np.unique(draws, axis=0, return_inverse=True)  # five seeds have only 126 resamples
    targets = [fit(theirs[1], draw) for draw in draws]
    needed = [inverse(own[0], fit(own[1], draw), target) for draw, target in zip(draws, targets)]
    return np.array(targets)[which.ravel()], np.array(needed)[which.ravel()]


def fit(values, draw):
    """The isotonic regression [B] of the means of values [seeds, B], where each seed counts as often as in `draw`."""
    counts = draw @ np.isfinite(values).astype(float)
    return isotonic_regression(draw @ np.nan_to_num(values) / counts, sample_weight=counts)


def inverse(logs, fitted, targets):
    """The smallest x [A] at which the line through (logs [B], fitted [B]), which does not fall, reaches each of the
    targets [A]; -inf where all of it is higher, inf where all is lower."""
    rises = fitted + TINY * np.arange(len(logs))  # so that a level part counts from where it begins
    return np.interp(np.where(np.abs(targets - fitted[0]) < TINY, fitted[0], targets), rises, logs, -np.inf, np.inf)
