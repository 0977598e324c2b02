"""What a study found, in a few sentences."""

from ssljax.report.compare import by_images
from ssljax.report.words import count_of, interval, number, p_value, percent
from ssljax.stats import BASELINE, enough, spread
from ssljax.studies import curve, paired
from ssljax.studies.curve import budgets, title


def headline(study, found) -> str:
    """What beat the reference, where and by how much, and what it saves; it says so where nothing did.

    The series is the one whose validation accuracy leads the reference by most, on average over budgets."""
    tests = {key: one for key, one in study.tests.items() if not key[0].point}
    if not tests:
        return '' if paired.against_base(study.curves) else best(study)
    series = chosen(study, tests)
    own = {budget: one for (other, budget), one in tests.items() if other == series}
    other = curve.reference(study.base, study.reference)
    name = 'training from scratch' if other.way == BASELINE else title(other)
    ahead = [budget for budget, one in own.items() if one['mean'] > 0 and paired.is_clear(one)]
    behind = [budget for budget, one in own.items() if one['mean'] < 0 and paired.is_clear(one)]
    count = count_of(len(own), 'budget')
    if ahead:
        most = max(ahead, key=lambda budget: own[budget]['mean'])
        where = '' if len(own) == 1 else f' at {len(ahead)} of {count}, by most'
        saying = f'{title(series)} beat {name}{where} with {describe(most, own[most])}'
        saying += f', and was clearly behind at {listed(behind)} a class' if behind else ''
        unclear = [budget for budget in own if budget not in ahead + behind]
        saying += f'; no clear difference at {listed(unclear)}' if unclear else ''
        most_of = spread(study.curves[series][most].values())
        return f'{saying}{by_images(most_of, test_images(study))}.{saved(series, found, ahead, name)}'
    most = max(own, key=lambda budget: own[budget]['mean'])
    if max(len(one['values']) for one in own.values()) < 2:
        up = sum(one['mean'] > 0 for one in own.values())
        return (
            f'{title(series)} was ahead of {name} at {up} of {count} on the one seed run, so nothing can be tested; '
            f'at best with {describe(most, own[most])}.'
        )
    if not any(enough(one) for one in own.values()):
        up, seeds = sum(one['mean'] > 0 for one in own.values()), max(len(one['values']) for one in own.values())
        return (
            f'{title(series)} was ahead of {name} at {up} of {count} over {seeds} seeds, too few seeds to tell; at '
            f'best with {describe(most, own[most])}.'
        )
    lost = f' and clearly lost to it at {listed(behind)} a class' if behind else ''
    return (
        f'{title(series)} did not clearly beat {name} at any of {count}{lost}; it came out best with '
        f'{describe(most, own[most])}.'
    )


def test_images(study):
    """How many test images there are; None where the table does not say, or says several numbers."""
    found = curve.values_of(study.rows, 'test_images')
    return found[0] if len(found) == 1 else None


def chosen(study, tests):
    """The series of these comparisons that validation prefers; without validation, the first one."""
    val = curve.curves(study.rows, 'val_top1')
    gains = paired.against_reference(
        {series: found for series, found in val.items() if not series.point}, study.reference
    )

    def gain(series):
        means = [one['mean'] for (other, _), one in gains.items() if other == series]
        return sum(means) / len(means) if means else -1.0

    compared = list(dict.fromkeys(series for series, _ in tests))
    return max([s for s in compared if s.way != 'random_frozen'] or compared, key=gain)


def describe(budget, one):
    """'4 labels a class (+8.13 ± 1.20 points, 95% interval +6.64 to +9.62, p < 0.001 by Holm)'."""
    inside = [f'{percent(one, sign=True)} points']
    if one['low'] is not None:
        inside.append(f'95% interval {interval(one, sign=True)}')
    if one['p_holm'] is not None and enough(one):
        p = p_value(one['p_holm'])
        inside.append(f'p {p if one["p_holm"] < 0.001 else f"= {p}"} by Holm')
    return f'{count_of_labels(budget)} a class ({", ".join(inside)})'


def count_of_labels(budget):
    return f'{number(budget, 3)} {"label" if budget == 1 else "labels"}'


def listed(amounts):
    """'4', '4 and 16', '4, 16 and 64'."""
    *first, last = [number(budget, 3) for budget in amounts]
    return f'{", ".join(first)} and {last}' if first else last


def saved(series, found, ahead, name):
    """' It needs 0.31 times the labels (95% interval 0.2 to 0.4) for the accuracy of ... at 64 a class.': of the
    largest of the budgets `ahead` where the ratio, or at least a bound above it, is known; '' of none."""
    own = [one for one in found if one.series == series and one.budget in ahead and one.ratio.sign != '>']
    if not own:
        return ''
    one = max(own, key=lambda saving: (not saving.ratio.sign, saving.budget))
    inside = f' (95% interval {one.low} to {one.high})' if one.low and not one.ratio.sign else ''
    ratio = str(one.ratio).replace('<', 'less than')
    return f' It needs {ratio} times the labels{inside} for the accuracy of {name} at {number(one.budget, 3)} a class.'


def best(study):
    """What to say without a reference."""
    budget = budgets(study.curves)[-1]
    found = {series: spread(values[budget].values()) for series, values in study.curves.items() if budget in values}
    series = max(found, key=lambda one: found[one]['mean'])
    return (
        f'{title(series)} reached {percent(found[series])} % top-1 on the test set with {count_of_labels(budget)} '
        f'a class, the most of {count_of(len(found), "series", "series")} there; nothing else is compared.'
    )


def change(study) -> str:
    """What the changes of an ablation did, in one sentence; '' without any."""
    found = paired.against_base(study.curves)
    if not found:
        return ''
    clear = {key: one for key, one in found.items() if paired.is_clear(one)}
    helped = sum(one['mean'] > 0 for one in clear.values())
    (series, budget), one = max((clear or found).items(), key=lambda item: abs(item[1]['mean']))
    which = 'the largest of them' if clear else 'the largest difference'
    if max(len(one['values']) for one in found.values()) < 2:
        return f'The largest difference that a change made, on one seed: {title(series)} with {describe(budget, one)}.'
    if not any(enough(one) for one in found.values()):
        return (
            f'The largest difference that a change made, over too few seeds to tell: {title(series)} with '
            f'{describe(budget, one)}.'
        )
    return (
        f'Of {count_of(len(found), "comparison")} of a change with its base, {helped} clearly helped and '
        f'{len(clear) - helped} clearly hurt; {which}: {title(series)} with '
        f'{describe(budget, one)}.'
    )
