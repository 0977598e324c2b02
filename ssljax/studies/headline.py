"""What a study found, in a few sentences."""

from ssljax.report.headline import FEW, SCRATCH, evidence, of_images, verdict
from ssljax.report.words import count_of, number, percent
from ssljax.stats import BASELINE, enough, is_clear, spread
from ssljax.studies import curve
from ssljax.studies.curve import budgets, title


def sentences(study) -> list[str]:
    """What beat the reference, where and by how much, and what it saves; it says so if nothing did."""
    return [*lead(study), change(study)]


def lead(study) -> list[str]:
    """Sentences on the series whose validation accuracy leads the reference by the most, on average over budgets."""
    tests = {key: one for key, one in study.tests.items() if not key[0].point}
    if not tests:
        return [] if curve.against_base(study.curves) else [best(study)]
    series = chosen(study, tests)
    own = {budget: one for (other, budget), one in tests.items() if other == series}
    other, who = curve.reference(study.base, study.reference), title(series)
    name = SCRATCH if other is None or other.way == BASELINE else title(other)
    clear = {budget: is_clear(one) and (1 if one['mean'] > 0 else -1) for budget, one in own.items()}
    ahead, behind, unclear = ([budget for budget in own if clear[budget] == side] for side in (1, -1, 0))
    most, count = max(ahead or own, key=lambda budget: own[budget]['mean']), count_of(len(own), 'budget')
    there = describe(most, own[most])
    if len(own) == 1:
        said = verdict(who, own[most], name, f' with {count_of_labels(most)} per class')
    elif ahead:
        said = f'{who} beat {name} at {len(ahead)} of {count}, by the most with {there}'
        said += f', and was clearly behind at {listed(behind)} per class' if behind else ''
        said += f'; no clear difference at {listed(unclear)}' if unclear else ''
    elif any(enough(one) for one in own.values()):
        lost = f' and clearly lost to it at {listed(behind)} per class' if behind else ''
        said = f'{who} did not clearly beat {name} at any of {count}{lost}; it came out best with {there}'
    else:
        up, seeds = sum(one['mean'] > 0 for one in own.values()), max(len(one['values']) for one in own.values())
        over = f'over {seeds} seeds, {FEW}' if seeds > 1 else 'on one seed, which allows no test'
        said = f'{who} was ahead of {name} at {up} of {count} {over}; it came out best with {there}'
    top1 = spread(study.curves[series][most].values())
    first = study.metric if study.multilabel else study.metric.capitalize()
    there = f'{first} on the test set with {count_of_labels(most)} per class: {percent(top1)} %'
    return [
        f'{said}.',
        f'{there}{"" if study.multilabel else of_images(top1, test_images(study))}.',
        saved(series, study.savings, ahead, name),
    ]


def test_images(study):
    """How many test images there are; None if the table does not say, or has several numbers."""
    return curve.only(study.rows, 'test_images')


def chosen(study, tests):
    """The series of these comparisons that validation prefers; without validation, the first one."""
    val = curve.curves(study.rows, 'val_selected')
    val = val or curve.curves(study.rows, 'val_mAP' if study.multilabel else 'val_top1')
    gains = curve.against_reference(
        {series: found for series, found in val.items() if not series.point}, study.reference
    )

    def gain(series):
        means = [one['mean'] for (other, _), one in gains.items() if other == series]
        return sum(means) / len(means) if means else -1.0

    compared = list(dict.fromkeys(series for series, _ in tests))
    return max([s for s in compared if s.way != 'random_frozen'] or compared, key=gain)


def describe(budget, one):
    """'1 label per class (+8.13 ± 1.20 points, 95% interval +6.64 to +9.62, p < 0.001 after Holm; ahead on 3 of 3)'."""
    proof = evidence(one)
    return f'{count_of_labels(budget)} per class ({percent(one, sign=True)} points{f", {proof}" if proof else ""})'


def count_of_labels(budget):
    return f'{number(budget, 3)} {"label" if budget == 1 else "labels"}'


def listed(amounts):
    """'4', '4 and 16', '4, 16 and 64'."""
    *first, last = [number(budget, 3) for budget in amounts]
    return f'{", ".join(first)} and {last}' if first else last


def saved(series, found, ahead, name):
    """'It needs 0.31 times the labels (95% interval 0.2 to 0.4) to reach the accuracy of ... at 64 per class.': for the
    largest of the budgets `ahead` where the ratio, or at least an upper bound, is known; '' if there is none."""
    own = [one for one in found if one.series == series and one.budget in ahead and one.ratio.sign != '>']
    if not own:
        return ''
    one = max(own, key=lambda saving: (not saving.ratio.sign, saving.budget))
    inside = f' (95% interval {one.low} to {one.high})' if one.low and not one.ratio.sign else ''
    ratio = str(one.ratio).replace('<', 'less than')
    at = f'{number(one.budget, 3)} per class'
    return f'It needs {ratio} times the labels{inside} to reach the accuracy of {name} at {at}.'


def best(study):
    """What to say without a reference."""
    budget = budgets(study.curves)[-1]
    found = {series: spread(values[budget].values()) for series, values in study.curves.items() if budget in values}
    series = max(found, key=lambda one: found[one]['mean'])
    among = f', the highest of {count_of(len(found), "series", "series")} there' if len(found) > 1 else ''
    return (
        f'{title(series)} reached {percent(found[series])} % {study.metric} on the test set with '
        f'{count_of_labels(budget)} per class{among}; there is nothing to compare it with.'
    )


def change(study) -> str:
    """What the changes of an ablation did, in one sentence; '' without any."""
    found = curve.against_base(study.curves)
    if not found:
        return ''
    clear = {key: one for key, one in found.items() if is_clear(one)}
    helped = sum(one['mean'] > 0 for one in clear.values())
    (series, budget), one = max((clear or found).items(), key=lambda item: abs(item[1]['mean']))
    largest = f'{title(series)} with {describe(budget, one)}.'
    if not any(enough(one) for one in found.values()):
        over = 'on one seed' if max(len(one['values']) for one in found.values()) < 2 else f'over {FEW}'
        return f'The largest difference that a change made, {over}: {largest}'
    return (
        f'Of {count_of(len(found), "comparison")} of a change with its base, {helped} clearly helped and '
        f'{len(clear) - helped} clearly hurt; the largest {"of them" if clear else "difference"}: {largest}'
    )
