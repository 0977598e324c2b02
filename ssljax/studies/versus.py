"""The sections of a study's page that compare: what is clear, label savings, paired tests, the ablation."""

from ssljax import stats
from ssljax.report.ablation import CHANGES, table
from ssljax.report.draw import as_img
from ssljax.report.markup import figure, grid, paragraph, section
from ssljax.report.words import count_of, number, percent
from ssljax.stats import spread
from ssljax.studies import paired, sections
from ssljax.studies.curve import title
from ssljax.studies.savings import RESAMPLES
from ssljax.studies.sections import pivot


def results(study):
    """The figures, the comparisons in short, the means, the published values, what is missing."""
    images = [figure(as_img(image, caption), caption) for image, caption in study.plots.values()]
    tables = (verdicts, sections.means, sections.every_number, sections.published, sections.gaps)
    return section('Results', *images, *(make(study) for make in tables))


def verdicts(study):
    """For every series the budgets where it was clearly ahead of the reference, behind it, or neither."""
    found, rows = {key: one for key, one in study.tests.items() if not key[0].point}, []
    for series in dict.fromkeys(series for series, _ in found):
        cells = {'ahead': [], 'behind': [], 'open': []}
        for (one, budget), difference in found.items():
            if one == series:
                clear = stats.is_clear(difference)
                side = ('ahead' if difference['mean'] > 0 else 'behind') if clear else 'open'
                cells[side].append(number(budget, 3))
        rows.append([title(series), *(', '.join(cell) or 'nowhere' for cell in cells.values())])
    if not any(stats.enough(difference) for difference in found.values()):
        return ''
    caption = (
        f'Labels a class at which each was clearly ahead of "{study.reference_title()}", clearly '
        "behind, or neither, on test top-1: clear is p < 0.05 of the paired t-test, on at least three seeds, by Holm's "
        f'correction for {count_of(len(study.tests), "comparison")}.{study.protocol}'
    )
    return grid(['', 'clearly ahead at', 'clearly behind at', 'not clear at'], rows, caption, wide=(1, 2, 3))


def label_savings(study):
    """Labels needed, by series and budget of the reference."""
    found = study.savings
    if not found:
        return None
    cells = {(one.series, one.budget): f'{one.ratio}{ends(one)}' for one in found}
    own = ' (with the same change)' if any(one.series.point for one in found) else ''
    caption = (
        f'Labels that each needs for the accuracy of "{study.reference_title()}"{own} with that many labels a '
        'class, as a ratio: 0.5 means half as many. By isotonic regression of the means over log2(labels), linear '
        'between budgets; > and <: the accuracy is beyond the last or the first budget measured.'
        f'{interval_note(found)}{study.protocol}'
    )
    return section('Label savings', pivot(cells, caption))


def interval_note(group):
    if not any(one.low for one in group):
        return ' No intervals: too few seeds.'
    fewest = min(one.seeds for one in group)
    note = f' In brackets: 95% percentile interval of {RESAMPLES:,} paired resamples of the seeds'
    few = f'; with {fewest} it is too narrow (simulated, 74% of such intervals held with 3 seeds, 83% with 5, 91% with '
    few += '10)'
    return f'{note}{few if fewest < 20 else ""}.'


def ends(saving):
    """' (0.2 to > 8)'; '' without an interval, or where it is all beyond the same end."""
    return f' ({saving.low} to {saving.high})' if saving.low and not saving.low == saving.high == saving.ratio else ''


def tests(study):
    """Every series against the reference, at every budget."""
    found = study.tests
    rows = [([title(series), number(budget, 3)], one) for (series, budget), one in found.items()]
    caption = f'Each against "{study.reference_title()}", {differences_of(found)}'
    return section('Paired tests', table(['', 'Labels a class'], rows, caption + study.protocol))


def ablation(study):
    """Every point against its base, by way and budget."""
    found = paired.against_base(study.curves)
    rows = []
    for (series, budget), one in found.items():
        both = (study.curves[s].get(budget, {}) for s in (series, paired.base(study.curves, series)))
        cells = [series.point, title(series._replace(point='')), number(budget, 3)]
        rows.append(([*cells, *(percent(spread(values.values())) for values in both)], one))
    caption = f'Each change against the same way without it, at the same budget, {differences_of(found)}'
    lost = [s for s in study.curves if s.point and paired.base(study.curves, s) is None]
    without = 'Without a base to compare with: ' + '; '.join(title(series) for series in lost) + '.' if lost else ''
    return section('Ablation', table(CHANGES, rows, caption + study.protocol), paragraph(without))


def differences_of(found):
    """What the columns of a table of differences are."""
    if max((len(one['values']) for one in found.values()), default=0) < 2:
        return 'in points of test top-1, on the same seed: one seed, so no interval and no test.'
    if not any(stats.enough(one) for one in found.values()):
        return (
            'paired by seed, in points of test top-1: mean ± sample standard deviation and the 95% interval of the '
            f'mean; no p, for a test needs at least {stats.FEWEST} seeds.'
        )
    return (
        'paired by seed, in points of test top-1: mean ± sample standard deviation, the 95% interval of the mean, and '
        "the two-sided p of the paired t-test, by Holm's correction for "
        f'{count_of(len(found), "comparison")}. Highlighted: below 0.05.'
    )
