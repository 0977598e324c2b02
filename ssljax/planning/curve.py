"""Learning curves: the error falls with a power of the number of labels, down to a limit (Cortes et al., NIPS 1993;
Hestness et al. 2017, arXiv:1712.00409), about which so few points say nothing: not knowing it widens the interval."""

import math
from typing import NamedTuple

import numpy as np

from ssljax.stats import LEVEL, spread

DRAWS = 4000
SLOPES = np.linspace(0, 3, 61)
LEAST = 2  # label budgets, and seeds, below which nothing is extrapolated


class Point(NamedTuple):
    """What is expected with so many labels: an accuracy in [0, 1], and its interval of level LEVEL."""

    labels: int
    value: float
    low: float
    high: float


def extrapolate(points: dict, factors=(2, 4), draws: int = DRAWS) -> list[Point]:
    """The accuracy that more labels would bring.

    error(n) = limit + a * n ** -b, with a, b >= 0. Each draw samples the mean error at every budget (its mean over
    seeds, plus Student's t times its standard error, the variance pooled over the budgets), and a limit, uniform
    between 0 and the smallest of these errors: no measurement favours any of them. a and b are then the least-squares
    fit, b one of SLOPES. A Point's value is the median.

    Args:
      points: {labels: [accuracy of each seed]}.
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
    limits = random.uniform(0, 1, draws) * drawn.min(1)
    scaled = np.array(budgets, float) / budgets[-1]
    found = []
    for factor in factors:
        predicted = 1 - _errors(scaled, drawn, limits, factor)
        tail = 100 * (1 - LEVEL) / 2
        low, middle, high = np.percentile(predicted, [tail, 50, 100 - tail])
        found.append(Point(round(factor * budgets[-1]), float(middle), float(low), float(high)))
    return found


def _errors(scaled, drawn, limits, factor: float):
    """The errors [D] at `factor` of the curves with limits [D] that best fit the errors drawn [D, B] at scaled [B]."""
    powers = scaled[None] ** -SLOPES[:, None]  # [S, B]
    above = drawn - limits[:, None]
    scales = np.maximum(above @ powers.T / (powers**2).sum(1), 0)  # [D, S]
    residuals = ((above[:, None] - scales[:, :, None] * powers) ** 2).sum(2)
    best = residuals.argmin(1)
    return np.minimum(limits + scales[np.arange(len(best)), best] * factor ** -SLOPES[best], 1.0)


def described(points: dict) -> list[dict]:
    """[{'labels', and what stats.spread has of the seeds}] by labels."""
    return [{'labels': n, **(spread(points[n]) or {})} for n in sorted(points)]
