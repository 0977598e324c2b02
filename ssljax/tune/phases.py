"""What is decided, in which order, and how the time is shared."""

import math
import shutil

from ssljax import experiment, label_set, methods, seeds
from ssljax.data import readable
from ssljax.processes import hosts
from ssljax.tune import batch_size, decision, duration, rate, search
from ssljax.tune.bench import Bench

SAFE = 1e-6  # learning rate of runs that only measure time: nothing diverges
UNTIL = {'batch_size': 0.1, 'rate': 0.3, 'search': 0.75, 'duration': 0.97}  # of a way's time, cumulative


def decide(config, workdir, source) -> dict:
    """The content of decisions.json.

    Args:
      config: the run's config, with `tuning`.
      workdir: the run's folder; the first seed's label set is drawn, or read, there.
      source: sources.Source; its test split is not used, and may be None.

    Raises:
      ValueError: no image for validation, or a budget in which nothing can be tried.
      preempt.Preempted: the run was asked to stop.
    """
    began = hosts.now()
    end, place = began + 60 * config.tuning.minutes, workdir / 'tuning/trials'
    hosts.only_first(shutil.rmtree)(place, ignore_errors=True)
    try:
        bench = make_bench(config, workdir, source, place, end)
        ways = [w for w in tunable(config) if not bench.run.methods[w].teach]
        decisions: list = []
        for left, way in zip(range(len(ways), 0, -1), ways):
            found = decide_way(bench, way, config, (end - hosts.now()) / left, {d.field for d in decisions})
            if found is None:
                raise ValueError(too_short(bench, way, config, hosts.now() - began, len(ways)))
            config = decision.changed(config, {d.field: d.value for d in found})
            decisions += found
    finally:
        hosts.only_first(shutil.rmtree)(place, ignore_errors=True)
    return decision.record(decisions, hosts.now() - began, bench.trials)


def tunable(config) -> list[str]:
    """The ways that may be tuned: 'scratch', then the semi-supervised ones (`decide` leaves out those with a
    teacher)."""
    return [w for w in config.transfer.ways if w == 'scratch'] + [w for w in config.transfer.ways if w in methods.SEMI]


def prefix(way: str) -> str:
    """The section of the config that has a way's own fields."""
    return 'semi' if way in methods.SEMI else f'transfer.{way}'


def make_bench(config, workdir, source, place, end: float) -> Bench:
    """The Bench of the first seed."""
    seed = config.seeds[0]
    run = experiment.prepare(config, workdir, source)._replace(config=config)  # as it was given: that is what is tuned
    rows = label_set.rows(config, source, run.represent, seed, workdir / f'seed{seed}')
    val = seeds.validation(source, rows)
    if not len(val):
        raise ValueError(f'data.val is {config.data.val!r}: validation decides, so it needs at least one image.')
    val = seeds.sample(val, config.tuning.images, seed)
    seeds.check_selection(config, val, source.targets, seed)
    labeled = readable.verified(source.train.take(rows.labeled))
    return Bench(run, seed, labeled, seeds.unlabeled_images(source, rows), val, place, end)


def too_short(bench, way: str, config, spent: float, ways: int) -> str:
    """The error if the first of several ways has no time for two trials after `spent` seconds of setting up."""
    steps = min(rate.LEAST, bench.own_steps(way, config))
    trial = bench.seconds_of(way, config, steps) if bench.rates else spent
    needed = math.ceil(10 * ways * 1.2 * (spent + 3 * trial) / 60) / 10
    return (
        f'tuning.minutes is {config.tuning.minutes:g}, too short to try anything: setting up took {spent:.0f} s'
        + (f' and {steps} steps of training take {trial:.0f} s' if bench.rates else '')
        + f'. Nothing was tuned. Set --config.tuning.minutes={needed:g} or more, or --config.tune=False.'
    )


def decide_way(bench, way: str, config, seconds: float, taken: set) -> list | None:
    """The decisions of one way of training, within `seconds`; fields in `taken` are left as they are. None if it is the
    first one and there is no time for two trials."""
    began, own, config = hosts.now(), prefix(way), methods.with_optimiser(config, way)
    decisions: list = []
    shorter: dict = {}

    def keep(found):
        nonlocal config
        for d in found:
            changed = f'{d.before!r} -> {d.value!r}' if d.value != d.before else f'stays {d.value!r}'
            bench.progress.say(f'tuning {way}: {d.field} {changed}: {d.why}')
        decision.merge(decisions, found)
        config = bench.given = decision.changed(config, {d.field: d.value for d in found})

    def until(phase):
        return began + UNTIL[phase] * seconds

    wanted, batch = set(config.tuning.decide), f'{own.split(".")[0]}.batch_size'
    lr = f'{own}.optim.lr'
    bench.given = decision.changed(config, {lr: SAFE})
    ready = bench.train(way, bench.given, 4 * bench.per_call(config), images=1)  # compiles what is compiled once
    if ready.value is not None:
        bench.time_evaluation(way, config)
    trial = bench.seconds_of(way, config, min(rate.LEAST, bench.own_steps(way, config)))
    if ready.failed == 'time' or not bench.rates or hosts.now() + 2 * trial > began + seconds:
        if not taken:
            return None
        keep([decision.undecided(config, lr)] if lr not in taken else [])
        return decisions
    if 'batch_size' in wanted and batch not in taken:
        keep(batch_size.decide(bench, way, bench.given, until('batch_size')))
    bench.given = decision.changed(config, {lr: SAFE})
    bench.calibrate(way, bench.given, 0.05 * seconds)
    bench.given = config
    if 'rate' in wanted and lr not in taken:
        end = until('duration')  # a few rates are worth more than what would follow
        keep(rate.decide(bench, way, config, own, min(max(until('rate'), hosts.now() + 6 * trial), end), end))
    if wanted & {'regularisation', 'options'}:
        shared = taken | ({f for f in ('transfer.augment', 'transfer.dropout') if 'scratch' in config.transfer.ways})
        found, shorter = search.decide(
            bench, way, config, own, until('search'), taken=shared if own == 'semi' else taken
        )
        keep(found)
    if 'duration' in wanted and f'{own}.steps' not in taken:
        keep(duration.decide(bench, way, config, own, until('duration'), shorter))
    return decisions
