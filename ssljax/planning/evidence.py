"""What the project itself has measured (docs/results.md), as far as a plan relies on it: leads over training from
scratch on the same labels, in points of test top-1."""

import math
from typing import NamedTuple


class Measured(NamedTuple):
    """Leads of several ways on one data set with a number of labels per class, over a number of seeds."""

    what: str
    per_class: int
    seeds: int
    leads: dict


JOINT = (
    Measured(
        'digits', 5, 5,
        dict(pseudo_label=3.3, pi_model=7.5, mean_teacher=8.4, mixmatch=11.8, uda=9.8, fixmatch=7.9, flexmatch=12.4,
             freematch=12.5, softmatch=11.6),
    ),
    Measured(
        'Fashion-MNIST', 10, 3,
        dict(pseudo_label=0.5, pi_model=1.8, mean_teacher=2.1, mixmatch=3.3, uda=2.4, fixmatch=2.8, flexmatch=1.3,
             freematch=0.8, softmatch=1.4),
    ),
    Measured(
        'Fashion-MNIST', 100, 3,
        dict(pseudo_label=-0.1, pi_model=0.3, mean_teacher=-0.1, mixmatch=-4.71, uda=0.35, fixmatch=0.39, flexmatch=0.1,
             freematch=0.3, softmatch=0.1),
    ),
)  # fmt: skip
# Fine-tuned SimCLR and FixMatch on Fashion-MNIST, five label sets: labels per class and the two leads.
BOTH = (
    (1, 6.7, -1.6),
    (3, 1.8, 1.8),
    (10, 2.1, 2.0),
    (30, 0.8, 1.3),
    (100, 0.2, -0.2),
    (300, 0.7, 0.0),
    (600, 0.6, -0.2),
)
FEW = 60  # labels per class, between 30, where FixMatch leads, and 100, where it does not: the middle in log scale


COSTLY = ('mixmatch',)  # sees five views of an image where the others see two or three: 7 s on digits instead of 4 to 5


def joint(per_class: float, costly: bool) -> tuple[str, str]:
    """(the joint method with the highest mean lead where as few labels, or as many, were measured, why); of all
    methods, or of those that are not COSTLY."""
    rows = [row for row in JOINT if (row.per_class <= FEW) == (per_class <= FEW)]
    means = {
        name: sum(row.leads[name] for row in rows) / len(rows) for name in rows[0].leads if costly or name not in COSTLY
    }
    best = max(means, key=means.__getitem__)
    where = ' and '.join(
        f'{row.leads[best]:+.1f} points on {row.what} with {row.per_class} labels per class ({row.seeds} seeds)'
        for row in rows
    )
    why = f'measured: {where}, the highest mean of {len(means)} methods'
    why += '' if costly else f'; {" and ".join(COSTLY)} is left out in so short a time: it takes twice as long'
    return best, why


def order(per_class: float) -> tuple[tuple[str, str], str]:
    """(('pretrain', 'joint') or the other way round: what is kept first if time is short, why)."""
    at, simclr, fixmatch = min(BOTH, key=lambda row: abs(_log(row[0]) - _log(per_class)))
    first = ('pretrain', 'joint') if simclr > fixmatch else ('joint', 'pretrain')
    return first, (
        f'measured: on Fashion-MNIST with {at} label{"s" * (at != 1)} per class fine-tuned SimCLR {simclr:+.1f} '
        f'points, FixMatch {fixmatch:+.1f}'
    )


def _log(number: float) -> float:
    return math.log(max(number, 0.5))
