"""Accuracy over the number of labels: the rows of a study's table become series of values by budget and seed, each
compared with the reference, and each point of an ablation with its base."""

import re
from typing import NamedTuple

from ssljax import stats
from ssljax.report import fair
from ssljax.report.words import count_of, known_ways, way_title
from ssljax.stats import BASELINE, is_number
from ssljax.studies import sweep

PLACE = ['way', 'pretrain', 'point', 'per_class', 'seed']  # the columns that make two rows the same


class Series(NamedTuple):
    """One line of the figure: a way of training, its pretraining ('': none), the fields it changes ('': the base)."""

    way: str
    pretrain: str = ''
    point: str = ''


def title(series: Series) -> str:
    """'From scratch', 'Fine-tuned (rotation)', 'FixMatch, semi.threshold=0.8'."""
    name = way_title(series.way) + (f' ({series.pretrain})' if series.pretrain else '')
    return f'{name}, {series.point}' if series.point else name


def check(rows) -> None:
    """Checks that accuracies of these rows may be shown in one figure.

    Args:
      rows: a DataFrame, as table.read gives it.

    Raises:
      ValueError: two rows are of different images or classes (fair.RESULT), or are the same series, budget and seed.
    """
    columns = [fact.column for fact in fair.RESULT.values() if fact.column]
    groups = rows.groupby(columns, sort=False, dropna=False)
    if groups.ngroups > 1:
        described = [
            f'{count_of(len(own), "row")} (cells/{", cells/".join(own.cell)}) with '
            + ', '.join(map('{} {}'.format, columns, of))
            for of, own in groups
        ]
        raise ValueError(
            f'The rows come from {groups.ngroups} data sets, whose accuracies cannot be compared: '
            f'{"; ".join(described)}. Delete the folders of the cells of all but one of them, and run the study again '
            'with the data of the one that stays, or with the others in a --workdir of their own.'
        )
    for _, same in rows[rows.duplicated(PLACE, keep=False)].groupby(PLACE, sort=False):
        cells = [f'cell {row.cell or "?"} (config {row.config or "?"})' for row in same.itertuples()]
        row = same.iloc[0]
        raise ValueError(
            f'Two cells are {title(Series(row.way, row.pretrain, row.point))!r} with {row.per_class:g} labels per '
            f'class and seed {row.seed}: {" and ".join(cells[:2])}. Remove one, or make what they differ in a point of '
            'the study.'
        )


def values_of(rows, column) -> list:
    """The distinct values of a column, in the order of the rows, without empty ones."""
    return rows.loc[rows[column] != '', column].dropna().unique().tolist()


def only(rows, column):
    """The value of a column that is the same in every row that has one; else None."""
    found = values_of(rows, column)
    return found[0] if len(found) == 1 else None


def curves(rows, metric='test_top1') -> dict:
    """The values of a column by series, budget and seed.

    Args:
      rows: a DataFrame, as table.read gives it.
      metric: a column of shares in [0, 1].

    Returns:
      {Series: {labels per class: {seed: value}}}: known ways in the order of report.words.known_ways, then the others,
      the base before its points; budgets and seeds ascend. What has no finite value is left out.
    """
    ways, points = [*known_ways(), *rows.way.unique()], ['', *rows.point.unique()]
    found: dict = {}
    for *place, value in rows.sort_values(['per_class', 'seed'])[[*PLACE, metric]].itertuples(index=False):
        if is_number(value):
            found.setdefault(Series(*place[:3]), {}).setdefault(place[3], {})[place[4]] = value
    order = sorted(found, key=lambda s: (ways.index(s.way), s.pretrain, points.index(s.point)))
    return {series: found[series] for series in order}


def budgets(curves) -> list[float]:
    """All numbers of labels per class, ascending."""
    return sorted({budget for by_budget in curves.values() for budget in by_budget})


def pairs(curve, other, budget) -> list[tuple]:
    """[(value of curve, value of other), ...] at a budget, one for each seed that both have, seeds ascending."""
    own, others = curve.get(budget, {}), other.get(budget, {})
    return [(own[seed], others[seed]) for seed in own if seed in others]


def reference(curves, name=BASELINE, point='') -> Series | None:
    """The series that others with the same point are compared with; None if no row is of it.

    Args:
      curves: as `curves` gives them.
      name: a way, or 'way:pretrain' if a way has several kinds of pretraining.

    Raises:
      ValueError: several series have this name.
    """
    named = [s for s in curves if name in (s.way, f'{s.way}:{s.pretrain}')]
    found = [s for s in named if s.point == point] or [
        s for s in named if not s.pretrain and s.point == without_pretraining(point)
    ]
    if len(found) > 1:
        known = ', '.join(f'{s.way}:{s.pretrain}' for s in found)
        raise ValueError(f'The reference {name!r} matches several series ({known}): give one of them as the reference.')
    return found[0] if found else None


def without_pretraining(point: str) -> str:
    """A point without what it changes in pretraining: what it means for a way that has none."""
    fields = re.split(r' (?=\w+(?:\.\w+)+=)', point)
    return ' '.join(field for field in fields if not sweep.of_pretraining(field.split('=')[0]))


def base(curves, series: Series) -> Series | None:
    """The same way without the point: with the same pretraining or, if that is what the point changes, the only one
    that the way has; else None."""
    found = [s for s in curves if s.way == series.way and not s.point]
    same = [s for s in found if s.pretrain == series.pretrain]
    return same[0] if same else found[0] if len(found) == 1 else None


def against_reference(curves, name=BASELINE) -> dict:
    """Every series against the reference that has the same point, at every budget that both have.

    Args:
      curves: {Series: {labels per class: {seed: share}}}, as `curves` gives them.
      name: the reference, as `reference` takes it.

    Returns:
      {(Series, labels per class): stats.difference, paired by seed, with 'p_holm'}: each p corrected for all of them.

    Raises:
      ValueError: several series have the name of the reference.
    """
    return _compared(curves, {series: reference(curves, name, series.point) for series in curves})


def against_base(curves) -> dict:
    """Every series with a point against the same way without it (`base`), as `against_reference` gives it."""
    return _compared(curves, {series: base(curves, series) for series in curves if series.point})


def _compared(curves, others):
    found = {
        (series, budget): stats.difference(pairs(curves[series], curves[other], budget))
        for series, other in others.items() if other not in (None, series)
        for budget in curves[series]
    }  # fmt: skip
    return stats.correct({key: difference for key, difference in found.items() if difference})


def unpaired(rows) -> list[tuple]:
    """[(labels per class, seed), ...] at which series have different labelled or validation images (fair.SEED), so that
    a comparison by seed is not one on the same label set."""
    columns = [fact.column for fact in fair.SEED.values()]
    hashes = rows[columns].where(rows[columns] != '').groupby([rows.per_class, rows.seed]).nunique()
    return hashes.index[(hashes > 1).any(axis=1)].tolist()
