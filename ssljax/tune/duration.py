"""Schedule, steps and patience, from the learning curves of two long runs."""

import math

from ssljax import metrics
from ssljax.processes import hosts
from ssljax.tune.bench import EVALS
from ssljax.tune.decision import NO_TIME, Decision, changed, get, plot
from ssljax.tune.search import LONGEST

OTHER = {'constant': 'cosine'}  # the schedule that is tried besides the given one; besides all others, 'constant'


def decide(bench, way: str, config, prefix: str, until: float, shorter: dict) -> list[Decision]:
    """The schedule with the better validation result; the steps at which it has settled, or a limit beyond it; a
    patience that the curve would have survived.

    Args:
      bench: bench.Bench.
      way: of training.
      config: the run's.
      prefix: of the stage's fields, such as 'semi'.
      until: time.time() at which the last run should end.
      shorter: {steps: metric} of runs of this setting, each with its whole schedule.
    """
    began, name = hosts.now(), metrics.TITLES[config.select]
    node = get(config, prefix)
    given, field = node.optim.schedule, f'{prefix}.optim.schedule'
    other = OTHER.get(given, 'constant')
    own = bench.own_steps(way, config)
    each = (until - began) / 2
    evals = max(min(int(each / 3 / max(bench.look, 1e-9)), node.evals), 5)
    steps = bench.steps_in(way, config, each, evals)
    steps = min(steps, LONGEST * own)
    if steps < max(own / 4, max(shorter, default=0) / 2):
        return without(prefix, node, own, config.tuning.eta, shorter, bench)
    runs = {given: bench.train(way, config, steps, evals=evals)}
    other_config = changed(config, {field: other})
    if hosts.now() + bench.seconds_of(way, other_config, steps, evals) < until:
        runs[other] = bench.train(way, other_config, steps, evals=evals)
    good = {name: out for name, out in runs.items() if out.value is not None}
    if not good:
        return without(prefix, node, own, config.tuning.eta, shorter, bench)
    schedule = max(good, key=lambda name: good[name].value)
    if given in good and good[schedule].value - good[given].value < bench.error(good[given].value):
        schedule = given
    value, curve = good[schedule].value, good[schedule].curve
    last = curve[-1][0]
    known = (shorter if schedule == given else {}) | {last: of_few(curve)}
    limit, text = length(known, schedule, own, config.tuning.eta, bench.error(value))
    if limit > own and falls(curve, bench.error(value)):
        limit, text = (
            own,
            (
                f'in {last} steps validation falls from its best, {100 * value:.2f}% after '
                f'{max(curve, key=lambda point: point[1])[0]} steps, to {100 * curve[-1][1]:.2f}% at the end: longer '
                f'is no better, so it stays at the {own} given'
            ),
        )
    wait = longest_wait(curve)
    patience = min(max(math.ceil(2 * wait * node.evals / evals), least_patience(schedule, node.evals)), node.evals)
    seconds = (hosts.now() - began) / 3
    said = ', '.join(f'{100 * out.value:.2f}% with {name}' for name, out in good.items())
    return [
        Decision(
            field, given, schedule, f'the best of {evals} evaluations in {last} steps: {said}', seconds,
            plot('Schedule', 'steps', f'validation {name}', [s for s, _ in curve],
                 {name: [v for _, v in out.curve] for name, out in good.items()},
                 max(curve, key=lambda point: point[1])[0]),
        ),
        Decision(
            f'{prefix}.steps', node.steps, limit, text, seconds,
            plot('Length of the run', 'steps of the whole schedule', f'validation {name}', sorted(known),
                 {schedule: [known[n] for n in sorted(known)]}, limit),
        ),
        Decision(
            f'{prefix}.patience', node.patience, patience,
            f'in {last} steps the longest wait for an improvement was {wait} of {evals} evaluations; the stage ends '
            f'after {patience} of its {node.evals} without one', seconds,
        ),
        *in_steps(prefix, node),
    ]  # fmt: skip


def of_few(curve) -> float:
    """The best of EVALS evenly spaced evaluations of a run, for comparison with runs that have no more: the best of
    many noisy values is higher."""
    points = [curve[round((i + 1) * len(curve) / EVALS) - 1] for i in range(min(EVALS, len(curve)))]
    return max(value for _, value in points)


def falls(curve, error: float) -> bool:
    """Whether the last quarter of a run stays more than a standard error below its best."""
    late = [value for _, value in curve[-max(len(curve) // 4, 1) :]]
    return max(late) < max(value for _, value in curve) - error


def without(prefix, node, own, eta, shorter, bench) -> list[Decision]:
    """The decisions if no time is left for a long run: the length by shorter runs, if there were any."""
    why = f'{NO_TIME} for a long run'
    stays = [Decision(f'{prefix}.patience', node.patience, node.patience, why, 0.0)]
    if not shorter:
        return [Decision(f'{prefix}.steps', node.steps, node.steps, why, 0.0), *stays]
    limit, text = length(shorter, node.optim.schedule, own, eta, bench.error(max(shorter.values())))
    return [Decision(f'{prefix}.steps', node.steps, limit, text, 0.0), *stays, *in_steps(prefix, node)]


def in_steps(prefix, node) -> list[Decision]:
    """The other two units of the duration become 0."""
    return [
        Decision(f'{prefix}.{unit}', node[unit], 0 if unit == 'examples' else 0.0, 'the duration is in steps', 0.0)
        for unit in ('epochs', 'examples')
        if node[unit]
    ]


def least_patience(schedule: str, evals: int) -> int:
    """Half of the evaluations if the rate falls, because validation may stand still until it is small; else a
    quarter."""
    return max(evals // (4 if schedule == 'constant' else 2), 3)


def length(known: dict, schedule: str, own: int, eta: int, error: float) -> tuple[int, str]:
    """(limit in steps, why) from {steps: metric}, the config's own steps and the standard error of a metric."""
    last = max(known)
    gain = per_doubling(known)
    if gain is None and schedule != 'constant':
        limit = max(own, last)
        return limit, f'the larger of {last} steps, the longest run that could be tried, and the {own} given'
    if schedule == 'constant':
        limit = max(own, eta * last)
        seen = '' if gain is None else f'; the last doubling of the length gained {100 * gain:+.2f} points'
        return limit, (
            f'only a limit, since validation ends the stage: the larger of {eta} times the {last} steps of the longest '
            f'run and the {own} given{seen}'
        )
    best, gain = max(known, key=known.__getitem__), 0.0 if gain is None else gain
    if best <= 2 / 3 * last and gain >= error:
        return best, (
            f'validation has settled: {last} steps give {100 * known[last]:.2f}%, no more than '
            f'the {100 * known[best]:.2f}% after {best}'
        )
    if gain < error:
        return best, (
            f'validation has settled: doubling the length gains {100 * gain:+.2f} points at {last} steps, less '
            f'than a standard error ({100 * error:.2f}); {best} steps were the best at {100 * known[best]:.2f}%'
        )
    limit = max(own, eta * last)
    return limit, (
        f'validation still rises by {100 * gain:.2f} points per doubling of the length at {last} steps, more than a '
        f'standard error ({100 * error:.2f}): {eta} times that, or the {own} given'
    )


def per_doubling(known: dict) -> float | None:
    """The rise per doubling, from the longest run of at most half the last one's steps to the last; None without
    one."""
    last = max(known)
    short = [n for n in known if n <= last / 2]
    return (known[last] - known[max(short)]) / math.log2(last / max(short)) if short else None


def longest_wait(curve) -> int:
    """The most evaluations in a row without an improvement, before the best one of a curve."""
    best, wait, longest = -math.inf, 0, 0
    for _, value in curve:
        if value > best:
            best, longest, wait = value, max(longest, wait), 0
        else:
            wait += 1
    return longest
