"""Accuracy over the number of labels: the rows of a study's table become series of values by budget and seed."""

import re
from typing import NamedTuple

from ssljax.report import fair
from ssljax.report.words import count_of, known_ways, way_title
from ssljax.stats import BASELINE, is_number


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
    """That accuracies of these rows may stand in one figure.

    Raises:
      ValueError: two rows are of different images or classes (fair.RESULT), or are the same series, budget and seed.
    """
    groups: dict = {}
    columns = [fact.column for fact in fair.RESULT.values() if fact.column]
    for row in rows:
        groups.setdefault(tuple(row.get(name) or 'none' for name in columns), []).append(row)
    if len(groups) > 1:
        described = [f'{_group(own)} with {", ".join(map("{} {}".format, columns, of))}' for of, own in groups.items()]
        raise ValueError(
            f'The rows are of {len(groups)} data sets, whose accuracies cannot be compared: {"; ".join(described)}. '
            'Delete the folders of the cells of all but one of them, and run the study again: with the data of the one '
            'that stays, or with the others in a --workdir of their own.'
        )
    found: dict = {}
    for row in rows:
        key = (series_of(row), row['per_class'], row['seed'])
        if key in found:
            raise ValueError(
                f'Two cells are {title(key[0])!r} with {key[1]:g} labels a class and seed {key[2]}: '
                f'{_cell(found[key])} and {_cell(row)}. Remove one, or give what they differ in as a '
                'point of the study.'
            )
        found[key] = row


def _group(rows):
    cells = ', '.join(f'cells/{row["cell"]}' for row in rows if row.get('cell')) or 'unnamed cells'
    return f'{count_of(len(rows), "row")} ({cells})'


def _cell(row):
    return f'cell {row.get("cell") or "?"} (config {row.get("config") or "?"})'


def values_of(rows, column) -> list:
    """What a column holds, each once, in the order of the rows; without what is empty."""
    return list(dict.fromkeys(row[column] for row in rows if row.get(column) not in (None, '')))


def series_of(row) -> Series:
    return Series(row['way'], row.get('pretrain') or '', row.get('point') or '')


def curves(rows, metric='test_top1') -> dict:
    """The values of a column by series, budget and seed.

    Args:
      rows: as `read` gives them.
      metric: a column of shares in [0, 1].

    Returns:
      {Series: {labels a class: {seed: value}}}: known ways in the order of report.words.known_ways, then the others,
      the base before its points; budgets and seeds ascend. What has no finite value is left out.
    """
    ways = [*known_ways(), *dict.fromkeys(row['way'] for row in rows)]
    points = ['', *dict.fromkeys(row.get('point') or '' for row in rows)]
    found: dict = {}
    for row in rows:
        if is_number(row.get(metric)):
            found.setdefault(series_of(row), {}).setdefault(row['per_class'], {})[row['seed']] = row[metric]
    order = sorted(found, key=lambda s: (ways.index(s.way), s.pretrain, points.index(s.point)))
    return {s: {budget: dict(sorted(found[s][budget].items())) for budget in sorted(found[s])} for s in order}


def budgets(curves) -> list[float]:
    """All numbers of labels a class, ascending."""
    return sorted({budget for by_budget in curves.values() for budget in by_budget})


def pairs(curve, other, budget) -> list[tuple]:
    """[(value of curve, value of other), ...] at a budget, one for each seed that both have, seeds ascending."""
    own, others = curve.get(budget, {}), other.get(budget, {})
    return [(own[seed], others[seed]) for seed in own if seed in others]


def reference(curves, name=BASELINE, point='') -> Series | None:
    """The series that others with the same point are compared with; None where no row is of it.

    Args:
      curves: as `curves` gives them.
      name: a way, or 'way:pretrain' where a way has several kinds of pretraining.

    Raises:
      ValueError: several series have this name.
    """
    named = [s for s in curves if name in (s.way, f'{s.way}:{s.pretrain}')]
    found = [s for s in named if s.point == point] or [
        s for s in named if not s.pretrain and s.point == without_pretraining(point)
    ]
    if len(found) > 1:
        known = ', '.join(f'{s.way}:{s.pretrain}' for s in found)
        raise ValueError(f'The reference {name!r} is several series ({known}): give one of them as the reference.')
    return found[0] if found else None


def without_pretraining(point: str) -> str:
    """A point less what it changes in pretraining: what it is to a way that has none."""
    fields = re.split(r' (?=\w+(?:\.\w+)+=)', point)
    return ' '.join(field for field in fields if not field.startswith('pretrain.'))


def unpaired(rows) -> list[tuple]:
    """[(labels a class, seed), ...] at which series have different images with labels or for validation (fair.SEED), so
    that a comparison by seed is not one on the same label set."""
    found: dict = {}
    for row in rows:
        for fact in fair.SEED.values():
            if value := row.get(fact.column):
                found.setdefault((row['per_class'], row['seed'], fact.column), set()).add(value)
    return sorted({key[:2] for key, hashes in found.items() if len(hashes) > 1})
