"""Whether the features of a stage collapse: nearly the same vector for all images, or points on a line."""

from collections.abc import Callable
from typing import NamedTuple

LEAST_RANK = 1.05  # effective rank; points on a line have 1
SETTLED = 50, 0.1  # steps, share of all: before both, BatchNorm's running statistics do not fit the images


class Judge(NamedTuple):
    """What is known of a stage before its evaluations are judged.

    least: the smallest accepted relative standard deviation; 0 accepts all. steps: of the stage. joint: whether the
    method compares embeddings, so that constant ones could minimise its loss. remedy: what helps, in the method's own
    words. start: () -> the metrics of the weights before the first step.
    """

    least: float
    steps: int
    joint: bool
    remedy: str
    start: Callable

    def look(self, step: int, before: dict | None, now: dict) -> tuple[str, str]:
        """(why the stage stops, what to warn of), each '' if there is nothing.

        An evaluation counts if the spread is below `least` and below half of what it was before the first step: for
        images that differ little, such as dark ones, even an untrained network gives features that differ little. It
        takes two such evaluations in a row, or the last one, and a network whose BatchNorm has seen some batches.

        Args:
          step: of this evaluation.
          before, now: the metrics of the previous evaluation, None if there is none, and of this one, with
            '<name>_std' and '<name>_rank' as guard.spread gives them.
        """
        settled = step >= SETTLED[0] and step >= SETTLED[1] * self.steps
        names = narrow(now, self.least) if settled else []
        if step < self.steps:
            names = [name for name in names if name in narrow(before or {}, self.least)]
        if not names:
            return '', ''
        start = self.start()
        names = [name for name in names if fell(start, now, name)]
        stops = next((name for name in names if self.joint and name == 'embedding'), '')
        if stops:
            return f'{words(stops, now, self.least)}: {self.remedy}', ''
        if not names:
            return '', ''
        goes_on = '' if self.joint else '; a constant does not solve this task, so training continues'
        return '', f'{words(names[0], now, self.least)}: {self.remedy}{goes_on}'


def narrow(metrics: dict, least: float) -> list[str]:
    """Those of 'embedding' and 'features' whose spread is below `least`, or that lie on a line."""
    return [
        name
        for name in ('embedding', 'features')
        if least
        and f'{name}_std' in metrics
        and (metrics[f'{name}_std'] < least or metrics[f'{name}_rank'] < LEAST_RANK)
    ]


def fell(start: dict, now: dict, name: str) -> bool:
    """Whether the spread, or else the rank, is less than half of what it was at the start."""
    return any(now[f'{name}_{what}'] < 0.5 * start.get(f'{name}_{what}', float('inf')) for what in ('std', 'rank'))


def words(name: str, metrics: dict, least: float) -> str:
    """The finding in words."""
    return (
        f'the {name} collapsed: the relative standard deviation across images is {metrics[f"{name}_std"]:.2g} (1 is '
        f'evenly spread, 0 is constant; the minimum is pretrain.collapse={least:g}) and the effective rank '
        f'{metrics[f"{name}_rank"]:.2f}'
    )
