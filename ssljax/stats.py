"""Numbers over seeds: spread, Student's interval of the mean, paired differences, Holm's correction."""

import math
import statistics

LEVEL = 0.95  # of every interval
FEWEST = 3  # seeds, below which no difference is called better or worse
BASELINE = 'scratch'  # the way that all others are compared with


def is_number(value) -> bool:
    """Whether a value is a finite number (True and False are not)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def spread(values) -> dict | None:
    """What is known of the mean of a sample.

    Args:
      values: one number per seed; whatever is not a finite number is left out.

    Returns:
      {'mean', 'std': the sample's standard deviation, 'low', 'high': the 95% interval of the mean by Student's t,
      'values'}; std, low and high are None for one value. None if there is no value.
    """
    values = [float(value) for value in values if is_number(value)]
    if not values:
        return None
    n, mean, std, low, high = len(values), statistics.fmean(values), None, None, None
    if n > 1:
        std = statistics.stdev(values)
        half = float(_special().stdtrit(n - 1, (1 + LEVEL) / 2)) * std / math.sqrt(n)
        low, high = mean - half, mean + half
    return {'mean': mean, 'std': std, 'low': low, 'high': high, 'values': values}


def difference(pairs) -> dict | None:
    """The mean of a - b over pairs (a, b), with its interval and the two-sided p-value of the paired t-test.

    Args:
      pairs: (a, b), one per seed; a pair that lacks a number is left out.

    Returns:
      `spread` of the differences, and 'p', which is None for one pair, or if all differences are the same (up to
      rounding): there is no variance to compare the mean with.
    """
    found = spread([a - b for a, b in pairs if is_number(a) and is_number(b)])
    if found is None:
        return None
    n, std, p = len(found['values']), found['std'], None
    if n > 1 and std > 1e-12:
        p = 2 * float(_special().stdtr(n - 1, -abs(found['mean']) * math.sqrt(n) / std))
    return found | {'p': p}


def enough(found) -> bool:
    """Whether a spread or a difference is over enough seeds to say anything."""
    return len(found['values']) >= FEWEST


def is_clear(found) -> bool:
    """Whether a difference is called better or worse: over enough seeds, with a corrected p below 0.05."""
    return enough(found) and found['p_holm'] is not None and found['p_holm'] < 1 - LEVEL


def of_images(share: float, count: int) -> dict | None:
    """The uncertainty of an accuracy that comes from the number of test images alone.

    Args:
      share: of correct answers, in [0, 1].
      count: of images.

    Returns:
      {'error': the binomial standard error sqrt(share * (1 - share) / count), 'low', 'high': the 95% interval of Wilson
      (1927), which has a width even at 0 and 1}; None without images.
    """
    if not (is_number(share) and is_number(count) and count >= 1 and 0 <= share <= 1):
        return None
    z = statistics.NormalDist().inv_cdf((1 + LEVEL) / 2)
    scale, error = 1 + z * z / count, math.sqrt(share * (1 - share) / count)
    middle = (share + z * z / (2 * count)) / scale
    half = z * math.sqrt(error**2 + z * z / (4 * count**2)) / scale
    return {'error': error, 'low': max(0.0, middle - half), 'high': min(1.0, middle + half)}


def mcnemar(ours, others) -> dict:
    """McNemar's exact test (Psychometrika 12, 1947) of two classifiers on the same images. It compares these two
    trained networks, not other seeds or label sets.

    Args:
      ours, others: [N] bool, whether each image is right.

    Returns:
      {'gained': images that only `ours` gets right, 'lost': that only `others` gets right, 'p': two-sided, of the exact
      binomial test of these two numbers; 1 if both are 0}.
    """
    gained = sum(bool(a) and not b for a, b in zip(ours, others))
    lost = sum(bool(b) and not a for a, b in zip(ours, others))
    p = min(1.0, 2 * float(_special().bdtr(min(gained, lost), gained + lost, 0.5))) if gained + lost else 1.0
    return {'gained': gained, 'lost': lost, 'p': p}


def holm(ps: list) -> list:
    """p-values corrected for their number (Holm, Scand. J. Statist. 6, 1979); None stays None and does not count."""
    order = sorted((p, i) for i, p in enumerate(ps) if p is not None)
    out, highest = [None] * len(ps), 0.0
    for rank, (p, i) in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p))
        out[i] = highest
    return out


def correct(differences: dict) -> dict:
    """{way: difference} with 'p_holm' added, each p corrected for all of them."""
    corrected = holm([found['p'] for found in differences.values()])
    return {way: found | {'p_holm': p} for (way, found), p in zip(differences.items(), corrected)}


def against(values: dict, reference: str = BASELINE) -> dict:
    """Every way's paired difference to one of them.

    Args:
      values: {way: one number per seed, or None if the seed has none}, all in the same order of seeds.
      reference: the way.

    Returns:
      {way: `difference` with 'p_holm'} of the others; {} if the reference is not among the ways.
    """
    found = {way: difference(zip(own, values.get(reference, ()))) for way, own in values.items() if way != reference}
    return correct({way: d for way, d in found.items() if d})


def against_origin(values: dict, variants) -> dict:
    """Every variant's paired difference to the way that it derives from.

    Args:
      values: as for `against`.
      variants: (name, way, ...) of each.

    Returns:
      {variant: `difference` with 'p_holm'}, corrected for the variants of the same way; those that derive from BASELINE
      for all ways, as in `against`.
    """
    found: dict = {}
    for origin in dict.fromkeys(way for _, way, *_ in variants):
        own = [name for name, way, *_ in variants if way == origin]
        among = list(values) if origin == BASELINE else [origin, *own]
        compared = against({way: values[way] for way in among if way in values}, origin)
        found |= {name: compared[name] for name in own if name in compared}
    return found


def _special():
    from scipy import special  # a second to import, and a run wants it only at its end

    return special
