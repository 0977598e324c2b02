"""Regularisation and methods' own options together: successive halving (Li et al. 2018, arXiv:1810.05934, ASHA run by
one worker) of settings that a tree-structured Parzen estimator proposes (Bergstra et al. 2011)."""

from typing import NamedTuple

import optuna

from ssljax import methods, metrics
from ssljax.processes import hosts
from ssljax.tune.bench import EVALS
from ssljax.tune.decision import Decision, changed, get, plot, undecided
from ssljax.tune.rate import rounded

LEVELS = 3  # lengths of runs, each eta times the one before
LONGEST = 4  # times the config's own steps
COMPILING = 0.5  # share of the time, beyond which settings whose program is already compiled are preferred
ASKED = 30  # how many times one of those is asked for


class Tried(NamedTuple):
    """One setting: {field: value}, and {level: the best metric of a run of that length, None if it failed}."""

    setting: dict
    values: dict


def decide(bench, way: str, config, prefix: str, until: float, *, taken=()) -> tuple[list[Decision], dict]:
    """(decisions, {steps: metric} of the chosen setting's runs).

    Args:
      bench: bench.Bench.
      way: of training.
      config: the run's.
      prefix: of the stage's fields, such as 'semi'.
      until: time.time() at which the last run should end.
      taken: fields that are already decided.
    """
    began = hosts.now()
    space = {f: c for f, c in choices(bench, way, config, prefix).items() if f not in taken and len(c) > 1}
    if not space:
        return [], {}
    steps = lengths(bench, way, config, until - began)
    another = bench.fixed[True] + bench.seconds_of(way, config, steps[0])
    if began + bench.seconds_of(way, config, steps[0]) + another > until:
        return [undecided(config, f) for f in space], {}
    tried = halving(bench, way, config, space, steps, until)
    best, level = chosen(tried)
    if best is None or len(tried) < 2:
        detail, each = f' ({len(tried)} could be tried)', (hosts.now() - began) / len(space)
        if len(tried) < 2:
            return [undecided(config, f, each, detail) for f in space], {}
        why = f'none of the {len(tried)} settings tried in time was better, so it stays'
        present = {f: get(config, f) for f in space}
        return [Decision(f, v, v, why, each) for f, v in present.items()], {}
    seconds = (hosts.now() - began) / len(space)
    decisions = []
    for field in space:
        before, value = get(config, field), best.setting[field]
        why = reason(tried, best, level, steps, field, before)
        drawn = picture(tried, best, steps, field, space[field], metrics.TITLES[config.select])
        decisions.append(Decision(field, before, value, why, seconds, drawn))
    return decisions, {steps[i]: v for i, v in sorted(best.values.items()) if v is not None}


def choices(bench, way: str, config, prefix: str) -> dict[str, tuple]:
    """{field: values, from weak to strong, the present one among them}."""
    wanted = set(config.tuning.decide)
    space: dict = {}
    semi = prefix == 'semi'
    if 'options' in wanted and semi:
        space |= {f'semi.{way}.{option}': tuple(c) for option, c in methods.tuned_options(way).items()}
        size, labeled = config.semi.batch_size, len(bench.labeled)
        few = {size // ratio for ratio in (1, 2, 4, 8) if size // ratio % bench.run.mesh.size == 0}
        space['semi.labeled_batch_size'] = tuple(sorted(n for n in few if 4 <= n <= max(labeled, 4)))
    if 'regularisation' in wanted:
        space['transfer.augment'] = tuple(config.tuning.augment) or pipelines(bench.run.source.shape)
        decoupled = get(config, prefix).optim.name in ('adamw', 'muon')  # from the gradient
        decay = (0.0, 0.01, 0.1, 0.3, 1.0) if decoupled else (0.0, 1e-4, 5e-4, 2e-3, 5e-3)
        space[f'{prefix}.optim.weight_decay'] = decay
        space['transfer.dropout'] = (0.0, 0.2, 0.5)
        if not semi:
            space['transfer.mixup'] = (0.0, 0.2, 1.0)
            space[f'{prefix}.label_smoothing'] = (0.0, 0.1)
    if space and 'rate' in wanted:  # again: in longer runs with other regularisation, another may be better
        lr = get(config, prefix).optim.lr
        space[f'{prefix}.optim.lr'] = tuple(rounded(lr * factor) for factor in (0.2, 0.45, 1.0, 2.2))
    return {f: with_present(c, get(config, f)) for f, c in space.items()}


def with_present(values: tuple, present) -> tuple:
    """`values` with the present one, in order if all are numbers, else at the front."""
    if present in values:
        return values
    numbers = all(isinstance(v, int | float) for v in (*values, present))
    return tuple(sorted((*values, present))) if numbers else (present, *values)


def pipelines(shape) -> tuple[str, ...]:
    """Augmentations from none to strong for images of `shape` (H, W, C); only none for points."""
    side = min(shape[:2])
    if side < 4:
        return ('',)
    basic = f'crop({max(side // 8, 1)})'
    found = ['', basic, f'{basic}|flip', f'{basic}|flip|cutout({max(side // 4, 1)})']
    return (*found, f'{basic}|flip|rand_augment(1, 5)', f'{basic}|flip|rand_augment(2, 10)')


def lengths(bench, way, config, seconds: float) -> list[int]:
    """Steps of the levels, ascending. The longest takes about a sixth of the time, and at most LONGEST times the
    config's own steps; none takes less than half as long as compiling a program."""
    eta, per_call = config.tuning.eta, bench.per_call(config)
    longest = min(bench.steps_in(way, config, seconds / 6), LONGEST * bench.own_steps(way, config))
    least = max(bench.steps_in(way, config, 0.5 * bench.fixed[True]), per_call)
    steps = [max(longest, per_call)]
    while len(steps) < LEVELS and steps[0] // eta >= least:
        steps.insert(0, steps[0] // eta)
    return [-(-n // per_call) * per_call for n in steps]


def halving(bench, way, config, space, steps, until) -> list[Tried]:
    """Runs settings until the time or tuning.trials is used up; the first is the config as it is. Any time left goes to
    the longest runs of the best settings that were dropped, so that the first is not alone there."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    eta, last = config.tuning.eta, len(steps) - 1
    tried: list = []
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=eta)
    sampler = optuna.samplers.TPESampler(seed=bench.seed, n_startup_trials=10)
    study = optuna.create_study(direction='maximize', sampler=sampler, pruner=pruner)
    enqueue(study, config, space)
    began, compiling = hosts.now(), 0.0
    while len(tried) < config.tuning.trials:
        known_only = compiling > COMPILING * (until - began)
        trial, setting = propose(study, space, lambda s: not known_only or not bench.fresh(way, changed(config, s)))
        candidate = changed(config, setting)
        reserve = bench.seconds_of(way, config, steps[-1])
        if tried and hosts.now() + bench.seconds_of(way, candidate, steps[0]) + reserve > until:
            break
        compiling += bench.fixed[True] * bench.fresh(way, candidate)
        values, state = {}, optuna.trial.TrialState.PRUNED
        for level, count in enumerate(steps):
            if tried and level and hosts.now() + bench.seconds_of(way, candidate, count) > until:
                break
            out = bench.train(way, candidate, count)
            if out.failed == 'time':
                break
            values[level] = out.value
            if values[level] is None:
                state = optuna.trial.TrialState.FAIL
                break
            trial.report(values[level], eta**level)
            if level < last and trial.should_prune():
                break
        if not values:
            break
        tried.append(Tried(setting, values))
        whole = values.get(last) is not None
        study.tell(trial, values[last] if whole else None, state=None if whole else state)
    for t in sorted(tried, key=rank, reverse=True)[: eta + 1]:
        candidate = changed(config, t.setting)
        if last not in t.values and hosts.now() + bench.seconds_of(way, candidate, steps[last]) < until:
            out = bench.train(way, candidate, steps[last])
            t.values.update({} if out.failed == 'time' else {last: out.value})
    return tried


def enqueue(study, config, space) -> None:
    """What is tried first: the config as it is, then each other value of the first field, which matters most."""
    present = {field: values.index(get(config, field)) for field, values in space.items()}
    study.enqueue_trial(present)
    first = next(iter(space))
    for place in range(len(space[first])):
        if place != present[first]:
            study.enqueue_trial(present | {first: place})


def rank(tried: Tried) -> tuple:
    """Sorts settings by their longest run, then by its metric; those with a run that failed rank lowest."""
    good = {level: value for level, value in tried.values.items() if value is not None}
    return (max(good), good[max(good)]) if len(good) == len(tried.values) else (-1, 0.0)


def propose(study, space, wanted):
    """(a trial of the study, its {field: value}), `wanted` if one such is found in ASKED attempts."""
    for left in reversed(range(ASKED)):
        trial = study.ask()
        setting = {field: values[trial.suggest_int(field, 0, len(values) - 1)] for field, values in space.items()}
        if wanted(setting) or not left:
            return trial, setting
        study.tell(trial, state=optuna.trial.TrialState.FAIL)


def chosen(tried: list[Tried]) -> tuple[Tried | None, int]:
    """(the best setting at the highest level that two settings reached, that level); (None, 0) if all failed."""
    for level in reversed(range(LEVELS)):
        reached = [t for t in tried if t.values.get(level) is not None]
        if len(reached) > 1 or reached and not level:
            return max(reached, key=lambda t: t.values[level]), level
    return None, 0


def reason(tried, best, level, steps, field, before) -> str:
    given = tried[0].values.get(level)
    text = (
        f'the best of {len(tried)} settings, searched together, gives {100 * best.values[level]:.2f}% on validation, '
        f'the best of {EVALS} evaluations in {steps[level]} steps'
    )
    if best is not tried[0]:
        text += '; without the search it ' + ('fails' if given is None else f'is {100 * given:.2f}%')
    alone, value = averages(tried, field), best.setting[field]
    if value == before:
        text += f'; it keeps {shown(before)}'
    text += f'; runs of {steps[0]} steps average {100 * alone[value]:.2f}% with {shown(value)}'
    return text + (f', {100 * alone[before]:.2f}% with {shown(before)}' if before in alone and value != before else '')


def averages(tried, field) -> dict:
    """{value of a field: mean metric of the shortest runs that had it}."""
    found: dict = {}
    for t in tried:
        if t.values.get(0) is not None:
            found.setdefault(t.setting[field], []).append(t.values[0])
    return {value: sum(v) / len(v) for value, v in found.items()}


def shown(value) -> str:
    """A value as shown to users."""
    return 'none' if value == '' else str(value)


def picture(tried, best, steps, field, values, metric: str) -> dict:
    """The best `metric` by value of a field, for each length of runs."""

    def top(value, level):
        seen = [t.values.get(level) for t in tried if t.setting[field] == value]
        return max((v for v in seen if v is not None), default=None)

    series = {f'{count} steps': [top(value, level) for value in values] for level, count in enumerate(steps)}
    names = [shown(value) for value in values]
    name = names[values.index(best.setting[field])]
    return plot(field, field, f'validation {metric}, the best run', names, series, name, xscale='category')
