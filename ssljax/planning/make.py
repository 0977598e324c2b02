"""From a source and a time to a plan: the config with everything chosen that was not given, and why."""

import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ssljax import config as configs
from ssljax import methods, ways
from ssljax.planning import budget, evidence, fingerprint, measure, photographs, rules
from ssljax.planning.trained import Trained, stage
from ssljax.progress import say
from ssljax.report.words import count_of
from ssljax.settings import checks, fields
from ssljax.settings.resolve import Decision

SMALLER = 32  # pixels, for photographs if the time is too short for more
EVALS, FEW_EVALS = 10, 1
PRETRAIN_EVALS = 3
IN_STEPS = 'the duration is in steps'
STAGES = 'semi', *(f'transfer.{name}' for name in ('scratch', 'frozen', 'finetune', 'second'))


class Plan(NamedTuple):
    """fingerprint; decisions: those of the recipe, in its order; notes: what was left out, and why; seconds: {what:
    seconds that it will take}; times: as measured."""

    fingerprint: fingerprint.Fingerprint
    decisions: list[Decision]
    notes: list[str]
    seconds: dict
    times: budget.Times

    def config(self):
        """The config to train with."""
        c = configs.base()
        c.update_from_flattened_dict({d.field: d.value for d in self.decisions})
        return c


def make(asked: rules.Asked, timed: Callable | None = None, began: float | None = None) -> Plan:
    """The Plan for what is asked.

    Args:
      asked: with data.source among what is given.
      timed: (config, kinds, began) -> budget.Times; by default measure.times.
      began: time.time() when the command began.

    Raises:
      ValueError: an invalid field, data in which there is nothing to compare, or too short a time.
    """
    began = time.time() if began is None else began
    _check_alone()
    given = _checked(asked.given)
    say.status('plan: looking at the images')
    fp = fingerprint.take(_config(given, []))
    if channels := given.get('data.channels'):
        fp = fp._replace(channels=channels, gray=fp.gray and channels > 2)
    say.status(f'plan: {fp.lines()[0]}')
    least, seeds = 0.0, len(given.get('seeds', ()))
    for smaller in (False, True):
        found, trained, ladder, notes = _static(fp, asked, given, smaller)
        sets = rules.sets(fp, {d.field: d.value for d in found} | given)
        times = (timed or measure.times)(_timed(given, found, trained), trained.kinds, began)
        evals = FEW_EVALS if sets.val < rules.FEW_VAL else EVALS
        able = [s for s in budget.QUARTER if s * sets.labeled >= 2 * len(fp.classes)]
        chosen = budget.choose(asked.minutes, trained, times, sets, evals, able, seeds, ladder)
        if chosen:
            break
        least = budget.needed(trained, times, sets, evals, ladder, seeds)
        if 'data.image_size' in given or rules.image_size(fp, asked.minutes)[0] <= SMALLER:
            break
    if not chosen:
        parts = trained.first(1).parts
        raise ValueError(
            f'{_minutes(asked.minutes)} {"are" if asked.minutes != 1 else "is"} too short: '
            f'{count_of(seeds or 3, "seed")} of training from scratch'
            + (f' and with {" and ".join(map(trained.called, parts))}' if parts else '')
            + f', as short as a plan makes them, take about {_minutes(least)} here. '
            + f'Give --minutes={budget.asked_for(least)} or more.'
        )
    say.status('')
    rung, kept, seconds = chosen
    notes += [f'no {trained.called(part)}: no time' for part in trained.parts if part not in kept.parts]
    found = _kept(found, kept) + durations(rung, kept, evals, asked.minutes, times, seconds)
    found = [d for d in found if d.field not in given]
    found = [*[Decision(field, value, 'given') for field, value in given.items()], *found]
    plan = Plan(fp, _ordered(found), notes, seconds, times)
    checks.check(plan.config())
    return plan


def _static(fp, asked, given: dict, smaller: bool) -> tuple:
    """(decisions that do not depend on speeds, Trained, the ladder of durations, notes)."""
    found = [Decision('name', name_of(fp.source), 'fixed: named after the source'), *rules.selection(fp)]
    found += rules.data(fp, asked)
    if smaller:
        why = f'{rules.THUMB}{SMALLER} pixels, since larger images would need more minutes'
        found = [Decision(d.field, SMALLER, why) if d.field == 'data.image_size' else d for d in found]
    values = {d.field: d.value for d in found} | given
    size, sets = values['data.image_size'] or fp.side, rules.sets(fp, values)
    regime = rules.Regime(fp, size, photographs.suits(fp, size) and photographs.allows(given))
    trained, why, left_out = _trained(regime, sets, asked.minutes, given)
    network = rules.backbone(regime)
    if given.get('backbone.name', network[0].value) != network[0].value:  # another network has its own fields
        network = [d for d in network if not d.field.startswith('backbone.')]
    found += network + rules.batches(regime, sets)
    found += rules.augmentation(regime, asked)
    found += [rules.path(fp, size), rules.pretext(regime), *rules.rates(regime, given)]
    found += [
        Decision('evaluate.batch_size', 100 if sets.val < 100 else 500, 'fixed: few batches, with little padding')
    ]
    found.append(Decision('transfer.ways', (), why))
    ladder: tuple = photographs.LADDER if regime.photographs else budget.LADDER
    if own_steps := given.get('pretrain.steps'):
        ladder = tuple(rung._replace(pretrained=own_steps, most=min(rung.most, own_steps)) for rung in ladder)
    return found, trained, ladder, [*left_out, *_of_data(fp, sets)]


def _trained(regime, sets, minutes: float, given: dict) -> tuple[Trained, str, list[str]]:
    """(what is trained, why, what is left out and why)."""
    per_class, fp = sets.per_class(regime.fp), regime.fp
    parts, (why, *left_out) = rules.parts(regime, sets)
    joint, why_joint = evidence.joint(per_class, fp.device != 'cpu' or minutes >= rules.LONG)
    way, why_way = photographs.way(per_class) if regime.photographs else ('finetune', '')
    task = given.get('pretrain.method', rules.pretext(regime).value)
    weights = given.get('transfer.checkpoint') or given.get('backbone.init_from') and task in ('', 'none')
    wanted = tuple(given.get('transfer.ways', ()))
    if wanted:
        needs = any(ways.needs_pretraining(_config(given, []), each) for each in wanted)
        joints = [each for each in wanted if each in methods.SEMI]
        own = {'pretrain': needs, 'joint': bool(joints)}
        parts = tuple(sorted((part for part in own if own[part]), key=lambda p: p not in parts[:1]))
        joint = ' and '.join(joints)
    elif task in ('', 'none') and not weights:
        parts = tuple(p for p in parts if p != 'pretrain')
    why += f'; {joint}: {why_joint}' if 'joint' in parts else ''
    why += f'; {why_way}' if why_way and 'pretrain' in parts else ''
    steps = tuple((field.removesuffix('.steps'), v) for field, v in given.items() if field.endswith('.steps') and v)
    shared = given.get('pretrain.shared', regime.photographs)
    return Trained(parts, task, way, joint, wanted, not weights, shared, steps), why, left_out


def durations(rung, trained, evals: int, minutes: float, times, seconds: dict) -> list[Decision]:
    """The decisions that depend on the speeds."""
    total = sum(seconds.values()) / 60
    speed = ', '.join(f'{name} {1000 * s.step:.0f} ms' for name, s in times.speeds.items())
    most = (
        f'measured here: a step takes {speed}; the most steps with which everything fits into {minutes:g} minutes '
        f'({total:.1f} are planned)'
    )
    fixed = f'measured: {rung.steps} steps of each way, and the rest of the time for pretraining, as on CIFAR-10'
    if rung.steps < photographs.STEPS:
        fixed = f'{rules.THUMB}fewer than the {photographs.STEPS} that were measured on CIFAR-10, since time is short'
    steps = fixed if rung.most and trained.parts[:1] == ('pretrain',) else f'{most}; the same for every way'
    few = 'fixed: validation chooses among the weights of this many evaluations'
    if evals == FEW_EVALS:
        few = (
            f'measured: only at the end, since the choice by fewer than {rules.FEW_VAL} validation images is luck (12 '
            'of them picked the weights of step 70 of 350)'
        )
    found = [
        Decision(
            'seeds', tuple(range(rung.seeds)), 'fixed: fewer than three cannot be tested; beyond five little is gained'
        ),
        Decision('transfer.ways', trained.ways, ''),
    ]
    for own in dict.fromkeys(map(stage, trained.ways)):
        found += [
            Decision(f'{own}.epochs', 0.0, IN_STEPS),
            Decision(f'{own}.steps', rung.steps, steps),
            Decision(f'{own}.evals', evals, few),
        ]
    if trained.pretraining:
        why = f'measured: {budget.RATIO:g} times the steps of a way, as in the study on Fashion-MNIST'
        found += [
            Decision('pretrain.epochs', 0.0, IN_STEPS),
            Decision('pretrain.steps', rung.pretraining, most if rung.most else why),
            Decision('pretrain.evals', PRETRAIN_EVALS, 'fixed: it is only shown, and nothing is chosen by it'),
        ]
    else:
        found.append(Decision('pretrain.method', 'none', 'no way that is trained uses it'))
    lean = 'fixed: the time is spent on the ways; neighbours and probes are not asked for here'
    found += [Decision(f'evaluate.{k}', v, lean) for k, v in (('knn', 0), ('probe', False), ('random', False))]
    if minutes < budget.WITHOUT_FIGURES:
        why = f'fixed: pictures of the report take {budget.FIGURES:.0f} seconds, too long for this plan'
        found.append(Decision('evaluate.figures', False, why))
    curve = 'fixed: what more labels would bring is estimated from fewer labels'
    found.append(Decision('answer.curve', rung.curve, curve if rung.curve else 'too little time, or too few labels'))
    found.append(Decision('answer.minutes', minutes, 'given: a further seed or training begins only if it still fits'))
    return found


def _check_alone() -> None:
    import jax

    if jax.process_count() > 1:
        raise ValueError(
            'several processes cannot make a plan, since each would measure different times: make it with one (ssljax '
            'plan), then train its recipe with all.'
        )


def _checked(given: dict) -> dict:
    known = configs.definitions()
    for field, value in given.items():
        fields.check(field, value, known[field])
        own, _, last = field.rpartition('.')
        if last in ('epochs', 'examples') and value:
            raise ValueError(f'a plan counts in steps: give {own}.steps in place of {field}.')
    if given.get('tune'):
        raise ValueError('a plan does not tune: make it first (ssljax plan), then tune its recipe (ssljax tune).')
    return given


def _minutes(number: float) -> str:
    return f'{number:g} minute{"s" * (number != 1)}'


def _config(given: dict, found: list):
    c = configs.base()
    c.update_from_flattened_dict({d.field: d.value for d in found} | given)
    return c


def _timed(given, found, trained):
    """The config whose stages are timed. No program was compiled before for its number of steps, so that no cache of
    compiled programs hides the time to compile."""
    c = _config(given, found)
    steps = 10_000 + time.time_ns() % 10_000
    c.update_from_flattened_dict({
        'transfer.ways': trained.ways, 'seeds': tuple(c.seeds)[:1], 'pretrain.epochs': 0.0, 'pretrain.steps': steps,
        'pretrain.method': trained.task if trained.pretraining else 'none',
        **{f'{own}.epochs': 0.0 for own in STAGES}, **{f'{own}.steps': steps for own in STAGES},
    })  # fmt: skip
    return c


def _kept(found: list, trained) -> list:
    """`found` without what belongs to parts and ways that are left out."""
    used = {stage(way) for way in trained.ways} | ({'pretrain'} if trained.pretraining else set())
    out = tuple(f'{own}.' for own in ('pretrain', *STAGES) if own not in used)
    return [d for d in found if not d.field.startswith(out)]


def _ordered(found: list) -> list:
    """Each field once, with its last value and its first reason, in the order of the config."""
    last: dict = {}
    for d in found:
        before = last.get(d.field)
        last[d.field] = d._replace(why=d.why or (before.why if before else ''))
    places = {name: i for i, name in enumerate(configs.definitions())}
    return sorted(last.values(), key=lambda d: places[d.field])


def _of_data(fp, sets) -> list[str]:
    notes = []
    if not fp.unlabeled + rules.unused(fp, sets):
        notes.append('there are no unlabelled images: only the labelled ones themselves can be pretrained on')
    return notes


def source_of(path: str) -> str:
    """config.data.source of what a user names: a source, or the path of a folder, an archive or an .npz."""
    from ssljax.data import sources

    kind = path.partition(':')[0]
    if kind in sources.SOURCES:
        return path
    for form in ('npz', 'csv'):
        if path.lower().endswith(f'.{form}') and form in sources.SOURCES:
            return f'{form}:{path}'
    return f'folder:{path}'


def name_of(source: str) -> str:
    """A name for the run: that of the folder or file."""
    stem = re.sub(r'\.(zip|tar|tgz|npz|csv|gz|bz2|xz)', '', Path(source.partition(':')[2] or source).name.lower())
    return re.sub(r'[^a-z0-9]+', '_', stem).strip('_')[:60] or 'plan'


def tell(text: str) -> None:
    """Prints a line on stderr."""
    print(text, file=sys.stderr, flush=True)
