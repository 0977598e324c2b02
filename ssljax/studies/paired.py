"""Paired comparisons of a study: every series against the reference, every point against the base."""

from ssljax import stats
from ssljax.studies.curve import Series, pairs, reference


def against_reference(curves, name=stats.BASELINE) -> dict:
    """Every series against the reference that has the same point, at every budget that both have.

    Args:
      curves: {Series: {labels a class: {seed: share}}}, as `curve.curves` gives them.
      name: the reference, as `curve.reference` takes it.

    Returns:
      {(Series, labels a class): stats.difference, paired by seed, with 'p_holm'}: each p corrected for all of them.

    Raises:
      ValueError: several series have the name of the reference.
    """
    return _compared(curves, {series: reference(curves, name, series.point) for series in curves})


def against_base(curves) -> dict:
    """Every series with a point against the same way without it (`base`), as `against_reference` gives it."""
    return _compared(curves, {series: base(curves, series) for series in curves if series.point})


def base(curves, series: Series) -> Series | None:
    """The same way without the point: with the same pretraining or, where that is what the point changes, the only one
    that the way has; else None."""
    found = [s for s in curves if s.way == series.way and not s.point]
    same = [s for s in found if s.pretrain == series.pretrain]
    return same[0] if same else found[0] if len(found) == 1 else None


def _compared(curves, others):
    found = {}
    for series, other in others.items():
        for budget in curves[series] if other not in (None, series) else ():
            difference = stats.difference(pairs(curves[series], curves[other], budget))
            if difference:
                found[series, budget] = difference
    return stats.correct(found)
