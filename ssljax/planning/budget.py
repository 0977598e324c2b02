"""From measured speeds to durations: what is trained, for how long and with how many seeds in the minutes
available. What does not fit is left out by priority: the first rung that fits is taken."""

import math
from typing import NamedTuple

from ssljax.methods import SEMI
from ssljax.planning.trained import Trained, stage

SHARE = 0.88  # of the minutes that is planned; the rest is for what takes longer than measured
MARGIN = 1.2  # on the minutes to ask for if those given are too few: a second measurement may need more
RATIO = 1.5  # steps of pretraining for one of the ways, as in the study on Fashion-MNIST
LEAST = 350  # steps of a way
FROZEN = 0.5  # at most this share of the time of a step from scratch is one of the head alone (a narrow ResNet: 0.4)
# Seconds of the command that are not measured here, on two CPU cores: until the first line of this code; the report
# with and without its figures; a stage, and a way's evaluation, besides training and looking at images.
IMPORTS, FIGURES, PAGE, STAGE, EVALUATION = 6.0, 25.0, 4.0, 1.2, 2.0
WITHOUT_FIGURES = 5.0  # minutes, below which none are drawn


class Rung(NamedTuple):
    """seeds; steps of every way; how many of the parts (a pretext task, a joint method) beside scratch; the shares of
    the labels of the learning curve; steps of pretraining, 0 for RATIO times those of a way; up to how many if time is
    left, 0 for no more."""

    seeds: int
    steps: int
    parts: int
    curve: tuple
    pretrained: int = 0
    most: int = 0

    @property
    def pretraining(self) -> int:
        """Steps of pretraining."""
        return self.pretrained or int(RATIO * self.steps)


HALF, QUARTER = (0.5,), (0.25, 0.5)
# From the best to the least. By priority: three seeds, for two tell nothing; LEAST steps; the first part; half of the
# labels for the learning curve, then a quarter; the second part, with 500 steps and more, for a joint method gained
# nothing in 200 steps on digits, and 13 points in 800; more steps, up to 1,000; five seeds; more steps.
LADDER = (
    Rung(5, 4000, 2, QUARTER), Rung(5, 3000, 2, QUARTER), Rung(5, 2000, 2, QUARTER), Rung(5, 1400, 2, QUARTER),
    Rung(5, 1000, 2, QUARTER), Rung(3, 1000, 2, QUARTER), Rung(3, 850, 2, QUARTER), Rung(3, 700, 2, QUARTER),
    Rung(3, 700, 2, HALF), Rung(3, 600, 2, HALF), Rung(3, 500, 2, HALF), Rung(3, 500, 1, QUARTER),
    Rung(3, 420, 1, QUARTER), Rung(3, 350, 1, QUARTER), Rung(3, 350, 1, HALF), Rung(3, 350, 1, ()),
)  # fmt: skip


class Speed(NamedTuple):
    """Of a kind of stage: seconds to compile it, for a step, and to evaluate a batch."""

    compile: float
    step: float
    look: float


class Times(NamedTuple):
    """What was measured. speeds: {'scratch' | 'pretrain' | a joint method: Speed}. batch: images in a batch of an
    evaluation. load: seconds to load the images. spent: seconds of the command until the plan was made, imports
    apart."""

    speeds: dict
    batch: int
    load: float
    spent: float


def seconds(rung: Rung, trained: Trained, times: Times, sets, evals: int, figures: bool) -> dict:
    """{what: seconds} of a run.

    Args:
      rung: the durations.
      trained: with the parts that are trained.
      times: as measured.
      sets: rules.Sets.
      evals: evaluations of a way on validation; of pretraining, 3.
      figures: whether the report has them.
    """
    ways, own = trained.ways, dict(trained.steps)
    every = dict.fromkeys(('scratch', *ways))
    speed = {way: times.speeds[way if way in SEMI else 'scratch'] for way in every}
    for way in every:
        if stage(way) == 'transfer.frozen':
            speed[way] = speed[way]._replace(step=FROZEN * speed[way].step)
    count = lambda images: -(-images // times.batch)
    looks = {k: evals * count(sets.val) * speed[k].look for k in every}
    ends = {k: (count(sets.test) + 2 * count(sets.val) + count(1000)) * speed[k].look + EVALUATION for k in ways}
    long = {k: own.get(stage(k), rung.steps) * speed[k].step + looks[k] + STAGE for k in every}
    pretraining, compiled = 0.0, [speed[way].compile for way in ways]
    if trained.pretraining:
        first = times.speeds['pretrain']
        compiled.append(first.compile)
        pretraining = rung.pretraining * first.step + 3 * (2 * count(sets.val) + count(1000)) * first.look + STAGE
    again = ('scratch', *sorted((way for way in ways if way != 'scratch'), key=long.__getitem__)[-1:])
    cell = sum(long[k] + count(sets.test) * speed[k].look for k in again) + 1.0
    return {
        'loading and planning': IMPORTS + times.spent + times.load,
        # Prediction and features are compiled for each way, too: a small part of what its step takes.
        'compilation': 1.15 * sum(compiled),
        'pretraining': pretrainings(rung, trained) * pretraining,
        'training': rung.seeds * sum(long[way] for way in ways),
        'evaluation': rung.seeds * sum(ends.values()),
        'learning curve': rung.seeds * len(rung.curve) * cell,
        'report': FIGURES if figures else PAGE,
    }


def pretrainings(rung: Rung, trained: Trained) -> int:
    """How many pretrainings there are."""
    return 1 if trained.shared else rung.seeds


def choose(
    minutes: float, trained: Trained, times: Times, sets, evals: int, able=QUARTER, seeds=0, ladder=LADDER
) -> tuple | None:
    """(Rung, the Trained that is kept, `seconds` of it) of the first of `ladder` that fits into SHARE of the minutes,
    or None.

    Args:
      trained: with all the parts that suit the data.
      able: shares of the labels that are enough for a training.
      seeds: how many are given; 0: none are.
      ladder: Rungs, from the best to the least, if there is pretraining; else LADDER is used.
      The others: as for `seconds`.
    """
    figures = minutes >= WITHOUT_FIGURES
    for wanted in _wanted(trained):
        for rung in _ladder(ladder, wanted):
            kept = wanted.first(rung.parts)
            rung = rung._replace(seeds=seeds or rung.seeds, parts=len(kept.parts))
            rung = rung._replace(curve=tuple(share for share in rung.curve if share in able))
            found = seconds(rung, kept, times, sets, evals, figures)
            left = 60 * SHARE * minutes - sum(found.values())
            if left >= 0:
                rung = _filled(rung, kept, left, times)
                return rung, kept, seconds(rung, kept, times, sets, evals, figures)
    return None


def _filled(rung: Rung, trained: Trained, left: float, times: Times) -> Rung:
    """The rung with as many more steps of pretraining, in hundreds, as fit into the seconds left."""
    if not rung.most or not trained.pretraining:
        return rung
    more = int(left / (pretrainings(rung, trained) * times.speeds['pretrain'].step)) // 100 * 100
    return rung._replace(pretrained=min(rung.pretraining + more, max(rung.most, rung.pretraining)))


def _wanted(trained: Trained) -> list:
    """`trained` with all parts and, in case the first does not fit at all, with the second alone."""
    second = [trained._replace(parts=trained.parts[1:])]
    return [trained, *(second if len(trained.parts) > 1 and not trained.given else [])]


def _ladder(ladder, trained: Trained):
    return ladder if trained.pretraining else LADDER


def needed(trained: Trained, times: Times, sets, evals: int, ladder=LADDER, seeds=0) -> float:
    """The minutes that the lowest rung takes, with the part that takes less, rounded up; arguments as for `choose`."""
    found = []
    for wanted in _wanted(trained):
        kept, rung = wanted.first(1), _ladder(ladder, wanted)[-1]
        rung = rung._replace(seeds=seeds or rung.seeds)
        least = [seconds(rung, kept, times, sets, evals, figures) for figures in (False, True)]
        plain, drawn = (-(-sum(each.values()) // (60 * SHARE * 0.1)) / 10 for each in least)
        found.append(plain if plain < WITHOUT_FIGURES else drawn)
    return min(found)


def asked_for(least: float) -> int:
    """Whole minutes to ask for if `least` are `needed`: speeds vary, and the next try measures them again."""
    return math.ceil(MARGIN * least)
