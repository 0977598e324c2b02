"""What is decided in which order, and how the time is shared."""

import shutil
import sys
import time

import jax

from ssljax import experiment, label_set, methods
from ssljax.data import readable
from ssljax.tune import batch_size, decision, duration, rate, search
from ssljax.tune.bench import Bench

UNTIL = {'batch_size': 0.1, 'rate': 0.3, 'search': 0.75, 'duration': 0.97}  # shares of a way's time, added up


def decide(config, workdir, source) -> dict:
    """The content of decisions.json.

    Args:
      config: the run's config, with `tuning`.
      workdir: the run's folder; the first seed's label set is drawn, or read, there.
      source: sources.Source; its test split is not used, and may be None.

    Raises:
      ValueError: several processes, or no image for validation.
      preempt.Preempted: the run was asked to stop.
    """
    began = time.time()
    if jax.process_count() > 1:
        raise ValueError(
            'tune=True with several processes: they would not measure the same times. Tune with one (python -m '
            'ssljax.tune), then run its tuned.py with all.'
        )
    end, place = began + 60 * config.tuning.minutes, workdir / 'tuning/trials'
    shutil.rmtree(place, ignore_errors=True)
    try:
        bench = make_bench(config, workdir, source, place, end)
        ways = [w for w in tunable(config) if not bench.run.methods[w].teach]
        decisions = []
        for left, way in zip(range(len(ways), 0, -1), ways):
            found = decide_way(bench, way, config, (end - time.time()) / left, {d.field for d in decisions})
            config = decision.changed(config, {d.field: d.value for d in found})
            decisions += found
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return decision.record(decisions, time.time() - began, bench.trials)


def tunable(config) -> list[str]:
    """The ways that are tuned: 'scratch', then the semi-supervised ones. (A method with a teacher is left as it is.)"""
    return [w for w in config.transfer.ways if w == 'scratch'] + [w for w in config.transfer.ways if w in methods.SEMI]


def prefix(way: str) -> str:
    """The section of the config that has a way's own fields."""
    return 'semi' if way in methods.SEMI else f'transfer.{way}'


def make_bench(config, workdir, source, place, end: float) -> Bench:
    """The Bench of the first seed."""
    seed = config.seeds[0]
    run = experiment.prepare(config, workdir, source)
    rows = label_set.rows(config, source, run.represent, seed, workdir / f'seed{seed}')
    val = experiment.validation(source, rows)
    if not len(val):
        raise ValueError(f'data.val is {config.data.val!r}: validation decides, so it needs some images.')
    val = experiment.some(val, config.tuning.images, seed)
    labeled = readable.verified(source.train.take(rows.labeled))
    return Bench(run, seed, labeled, experiment.unlabeled_images(source, rows), val, place, end)


def decide_way(bench, way: str, config, seconds: float, taken: set) -> list:
    """The decisions of one way of training, within so many seconds; fields in `taken` are left as they are."""
    began, decisions, shorter, own = time.time(), [], {}, prefix(way)

    def keep(found):
        nonlocal config
        for d in found:
            print(f'tuning {way}: {d.field} {d.before!r} -> {d.value!r}: {d.why}', file=sys.stderr)
        decision.merge(decisions, found)
        config = decision.changed(config, {d.field: d.value for d in found})

    def until(phase):
        return began + UNTIL[phase] * seconds

    wanted, batch = set(config.tuning.decide), f'{own.split(".")[0]}.batch_size'
    bench.train(way, config, 12 * bench.per_call(config))  # compiles what is compiled once
    if 'batch_size' in wanted and batch not in taken:
        keep(batch_size.decide(bench, way, config, until('batch_size')))
    bench.calibrate(way, config)
    if 'rate' in wanted and f'{own}.optim.lr' not in taken:
        keep(rate.decide(bench, way, config, own, until('rate')))
    if wanted & {'regularisation', 'options'}:
        shared = taken | ({f for f in ('transfer.augment', 'transfer.dropout') if 'scratch' in config.transfer.ways})
        found, shorter = search.decide(
            bench, way, config, own, until('search'), taken=shared if own == 'semi' else taken
        )
        keep(found)
    if 'duration' in wanted and f'{own}.steps' not in taken:
        keep(duration.decide(bench, way, config, own, until('duration'), shorter))
    return decisions
