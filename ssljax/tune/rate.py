"""Learning rate: short runs of one length at rates that are evenly spaced on a log scale."""

from ssljax import metrics
from ssljax.processes import hosts
from ssljax.tune.bench import EVALS
from ssljax.tune.decision import Decision, changed, get, plot, undecided

FACTORS = (1.0, 3.0, 0.3, 10.0, 0.1, 30.0, 0.03)  # of the rate that the config gives, in the order of the runs
LEAST = 40  # steps of a run, or the config's own where they are fewer
USUAL = {'sgd': 0.1, 'adamw': 1e-3, 'lars': 1.0, 'muon': 1e-3}  # by optim.name
DECADES = (0, -1, 1, -2, 2, -3, -4)  # powers of ten around it, in the order of the runs
FURTHER = 2  # runs beyond the end of the range, if the best one lies there


def decide(bench, way: str, config, prefix: str, until: float, end: float | None = None) -> list[Decision]:
    """The lowest rate whose validation result is within a standard error of the best: higher ones diverge more easily
    in longer runs. It is not one whose next higher one diverged, if another is as good. The given rate stays if none is
    better.

    Rates are tried around the given one or, if it diverges or is no better than chance, around the first that is
    better, of those at powers of ten around the usual one.

    Args:
      bench: bench.Bench.
      way: of training.
      config: the run's.
      prefix: of the stage's fields, such as 'semi'.
      until: time.time() at which the last run should end.
      end: the same, while the given rate diverges and no other is found; by default `until`.
    """
    began, field, chance = hosts.now(), f'{prefix}.optim.lr', bench.chance()
    before = get(config, field)
    each = (until - began) / (len(FACTORS) + FURTHER)
    own = bench.own_steps(way, config)
    steps = max(min(bench.steps_in(way, config, each), own), min(LEAST, own))
    found: dict = {}

    def run(rate, limit=until):
        trial = changed(config, {field: rate})
        if rate not in found and (not found or hosts.now() + bench.seconds_of(way, trial, steps) < limit):
            out = bench.train(way, trial, steps)
            if out.failed != 'time':
                found[rate] = out.value

    def learns(rate):
        return found.get(rate) is not None and found[rate] > chance

    usual = USUAL[get(config, prefix).optim.name]
    start = before
    for start in (before, *(rounded(usual * 10.0**decade) for decade in DECADES)):
        run(start, until if found.get(before) is not None else end or until)
        if learns(start):
            break
    else:
        start = before if found.get(before) is not None else choose(found, bench.error) or before
    for factor in FACTORS:
        run(rounded(start * factor))
    for _ in range(FURTHER):
        best = choose(found, bench.error)
        if best is not None and best in (min(found), max(found)) and len(found) > 2:
            further = rounded(best * 3 if best == max(found) else best / 3)
            run(further)
    value, seconds = choose(found, bench.error, before), hosts.now() - began
    if len(found) < 2:
        return [undecided(config, field, seconds)]
    if value is None:
        why = f'not decided: none of the {len(found)} rates that were tried trained for {steps} steps'
        return [Decision(field, before, before, why, seconds)]
    if found.get(before) is not None and not any(learns(rate) for rate in found):
        why = f'not decided: none of {len(found)} rates was better than chance after {steps} steps'
        return [Decision(field, before, before, why, seconds, picture(found, before, bench, config))]
    return [Decision(field, before, value, reason(found, value, before, steps), seconds,
                     picture(found, value, bench, config))]  # fmt: skip


def choose(found: dict, error, given: float | None = None) -> float | None:
    """The rate of {rate: metric or None}; error: metric -> its standard error. The given one stays if none is better.
    None if all failed."""
    good = {rate: value for rate, value in found.items() if value is not None}
    if not good:
        return None
    best, rates = max(good, key=good.__getitem__), sorted(found)
    near = [rate for rate in good if good[rate] >= good[best] - error(good[best])]

    def at_the_edge(rate):
        higher = rates[rates.index(rate) + 1 :]
        return bool(higher) and found[higher[0]] is None

    if good.get(given) == good[best] and not at_the_edge(given):
        return given
    return min((rate for rate in near if not at_the_edge(rate)), default=min(near))


def reason(found, value, before, steps) -> str:
    text = (
        f'{value:g} gives {100 * found[value]:.2f}% on validation, the best of {EVALS} evaluations in {steps} steps, '
    )
    good = {rate: v for rate, v in found.items() if v is not None}
    best = max(good, key=good.__getitem__)
    text += 'the best' if value == best else f'equal to the best ({100 * good[best]:.2f}% at {best:g}) within noise,'
    text += f' of {len(found)} rates from {min(found):g} to {max(found):g}'
    if value != before:
        text += f'; {before:g}, as given, ' + (
            'diverges' if found.get(before) is None else f'gives {100 * found[before]:.2f}%'
        )
    failed = [rate for rate, v in found.items() if v is None]
    return text + (f'; it diverges from {min(failed):g} up' if failed else '')


def picture(found, value, bench, config) -> dict:
    rates, name = sorted(found), metrics.TITLES[config.select]
    values = [found[rate] for rate in rates]
    low, high = ([None if v is None else v + side * bench.error(v) for v in values] for side in (-1, 1))
    return plot(
        'Learning rate', 'learning rate', f'validation {name}', rates, {name: values}, value,
        xscale='log', band=(low, high),
    )  # fmt: skip


def rounded(rate: float) -> float:
    """To two significant digits."""
    return float(f'{rate:.1e}')
