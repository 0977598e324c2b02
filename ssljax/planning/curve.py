"""Learning curves: the error falls with a power of the number of labels, down to a limit (Cortes et al., NIPS 1993;
Hestness et al. 2017, arXiv:1712.00409), of which so few points tell nothing: not to know it widens the interval."""

import math
from typing import NamedTuple

import numpy as np

from ssljax.stats import LEVEL, spread

DRAWS = 4000
LEAST = 2  # label budgets, and seeds, below which nothing is extrapolated


class Point(NamedTuple):
    """What is expected with so many labels: top-1 in [0, 1], and its interval of level LEVEL."""

    labels: int
    top1: float
    low: float
    high: float


def extrapolate(points: dict, factors=(2, 4), draws: int = DRAWS) -> list[Point]:
    """The accuracy that more labels would bring.

    error(n) = limit + a * n ** -b, with b >= 0. Each draw takes the mean error at every budget anew (its mean over
    seeds, plus Student's t times its standard error, the variance pooled over the budgets), and a limit, uniform
    between 0 and the least of these errors: nothing that was measured is in favour of one of them. a and b are then a
    weighted least squares fit of the logarithms, the weights those of errors of equal variance. The middle is the
    median.

    Args:
      points: {labels: [top-1 of each seed]}.
      factors: of the largest number of labels.
      draws: how many.

    Returns:
      A Point for each factor; [] for fewer than LEAST budgets or seeds.
    """
    budgets = sorted(points)
    seeds = [len(points[n]) for n in budgets]
    if len(budgets) < LEAST or min(seeds, default=0) < LEAST:
        return []
    random = np.random.default_rng(0)
    errors = np.array([1 - np.mean(points[n]) for n in budgets])
    freedom = sum(seeds) - len(budgets)
    pooled = math.sqrt(sum((k - 1) * np.var(points[n], ddof=1) for n, k in zip(budgets, seeds)) / freedom)
    noise = random.standard_t(freedom, (draws, len(budgets))) * pooled / np.sqrt(seeds)
    drawn = np.clip(errors + noise, 1e-4, 1.0)
    limits = random.uniform(0, 1, draws) * drawn.min(1) * 0.999
    logs = np.log(np.array(budgets, float))
    found = []
    for factor in factors:
        predicted = 1 - np.array([_at(logs, e, limit, math.log(factor) + logs[-1]) for e, limit in zip(drawn, limits)])
        tail = 100 * (1 - LEVEL) / 2
        low, middle, high = np.percentile(predicted, [tail, 50, 100 - tail])
        found.append(Point(round(factor * budgets[-1]), float(middle), float(low), float(high)))
    return found


def _at(logs, errors, limit: float, at: float) -> float:
    """The error at exp(at) labels of the curve with this limit through errors [B] at exp(logs) [B] labels."""
    above = errors - limit
    weights, y = above**2, np.log(above)
    middle, mean = np.average(logs, weights=weights), np.average(y, weights=weights)
    slope = np.average((logs - middle) * (y - mean), weights=weights) / np.average(
        (logs - middle) ** 2, weights=weights
    )
    return min(limit + math.exp(mean + min(slope, 0.0) * (at - middle)), 1.0)


def described(points: dict) -> list[dict]:
    """[{'labels', and what stats.spread has of the seeds}] by labels."""
    return [{'labels': n, **(spread(points[n]) or {})} for n in sorted(points)]
