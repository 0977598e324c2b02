"""The sections of a study's page."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from ssljax import metrics, stats
from ssljax.report import shell
from ssljax.report.ablation import CHANGES, table
from ssljax.report.draw import as_img
from ssljax.report.markup import facts, figure, folded, grid, paragraph, part, section
from ssljax.report.table import compared, meaning
from ssljax.report.words import count_of, duration, interval, is_number, number, percent
from ssljax.stats import spread
from ssljax.studies import curve
from ssljax.studies import table as table_of
from ssljax.studies.curve import Series, budgets, title
from ssljax.studies.savings import RESAMPLES

BEST_ON_TEST = 'best on test (not a fair figure; for comparison with tables that select this way) %'


class Study(NamedTuple):
    """What the page is made from: the rows of the table, study.json, the curves of the main metric, the labels saved,
    and {file name: (Figure, caption)}."""

    rows: pd.DataFrame
    about: dict
    curves: dict
    savings: Sequence = ()
    plots: dict = {}

    @property
    def multilabel(self):
        """Whether images may have several classes."""
        return table_of.main(self.rows) == 'test_mAP'

    @property
    def metric(self):
        """The main metric in words."""
        return metrics.TITLES['mAP' if self.multilabel else 'top1']

    @property
    def base(self):
        """The curves without a point."""
        return {series: found for series, found in self.curves.items() if not series.point}

    @property
    def reference(self):
        """The name of the reference."""
        return self.about.get('reference') or 'scratch'

    @property
    def protocol(self):
        """How it was measured, to end a caption with; '' if neither study.json nor a row says so."""
        found = [self.about['protocol']] if self.about.get('protocol') else curve.values_of(self.rows, 'protocol')
        return f' Protocol: {" / ".join(found).rstrip(".")}.' if found else ''

    @property
    def reference_title(self):
        """The name of the reference in plain words."""
        return title(curve.reference(self.base, self.reference) or named(self.reference))

    @property
    def tests(self):
        """Every series against the reference with the same point, as curve.against_reference gives it."""
        return curve.against_reference(self.curves, self.reference)

    @property
    def most_seeds(self):
        return max(len(values) for found in self.curves.values() for values in found.values())


def named(name):
    """The Series that 'way:pretrain' means."""
    way, _, pretrain = name.partition(':')
    return Series(way, pretrain)


def results(study):
    """The figures, the comparisons in short, the means, the published values, what is missing."""
    images = [figure(as_img(image, caption), caption) for image, caption in study.plots.values()]
    tables = [make(study) for make in (verdicts, means, every_number)]
    published = shell.published(study.about.get('published'), lambda what: title(named(what)))
    return section('Results', *images, *tables, published, gaps(study))


def verdicts(study):
    """For every series the budgets where it was clearly ahead of the reference, behind it, or neither."""
    rows: dict = {}
    for (series, budget), one in study.tests.items():
        if not series.point:
            side = (1 if one['mean'] > 0 else 2) if stats.is_clear(one) else 3
            rows.setdefault(series, [title(series), '', '', ''])[side] += f', {number(budget, 3)}'
    if not any(stats.enough(one) for (series, _), one in study.tests.items() if not series.point):
        return ''
    caption = (
        f'Labels per class at which each was clearly ahead of "{study.reference_title}", clearly behind, or neither, '
        f'on test {study.metric}: '
        "clear is p < 0.05 of the paired t-test, on at least three seeds, by Holm's correction for "
        f'{count_of(len(study.tests), "comparison")}.{study.protocol}'
    )
    lines = [[name, *(cell.removeprefix(', ') or 'nowhere' for cell in cells)] for name, *cells in rows.values()]
    return grid(['', 'clearly ahead at', 'clearly behind at', 'not clear at'], lines, caption, wide=(1, 2, 3))


def means(study):
    """The main test metric by series and budget."""
    most = study.most_seeds
    cells = {
        (series, budget): percent(spread(values.values())) + f' ({len(values)})' * (len(values) < most)
        for series, found in study.curves.items() for budget, values in found.items()
    }  # fmt: skip
    caption = f'Test {study.metric} (%) by {labels_a_class(study)}: '
    caption += f'mean ± sample standard deviation over {most} seeds' if most > 1 else 'one seed'
    caption += '; in brackets: how many, where fewer' if any('(' in cell for cell in cells.values()) else ''
    return pivot(cells, f'{caption}.{test_set(study)}{study.protocol}')


def labels_a_class(study):
    """What the budgets are called; for multi-label images, with what that means."""
    more = ' (labelled images divided by the number of classes; an image may have several)' * study.multilabel
    return f'labels per class{more}'


def test_set(study):
    """The sentence on what the number of test images and the majority class say about all accuracies; '' if unknown."""
    count, share = (curve.only(study.rows, column) for column in ('test_images', 'test_majority'))
    means = [spread(values.values())['mean'] for found in study.curves.values() for values in found.values()]
    ends = [stats.of_images(mean, count) for mean in (min(means), max(means))] if count and not study.multilabel else []
    said = f' The {count_of(count, "test image")} alone imply 95% intervals (Wilson) of ' if ends else ''
    said += ' for the lowest and '.join(f'{interval(found)} %' for found in ends) + ' for the highest.' * bool(ends)
    floor = 'Chance' if study.multilabel else 'Always the majority class'
    return said + (f' {floor}: {100 * share:.2f} %.' if share is not None else '')


def pivot(cells, caption):
    """A table of {(Series, labels per class): text}: the larger of both numbers makes the rows."""
    series, at = list(dict.fromkeys(one for one, _ in cells)), sorted({budget for _, budget in cells})
    if len(series) <= max(len(at), 4):
        header = ['Labels per class', *(title(one) for one in series)]
        rows = [[number(budget, 3), *(cells.get((one, budget), '–') for one in series)] for budget in at]
    else:
        header = ['', *(f'{number(budget, 3)} per class' for budget in at)]
        rows = [[title(one), *(cells.get((one, budget), '–') for budget in at)] for one in series]
    return grid(header, rows, caption)


def every_number(study):
    """All columns of accuracy and cost, one row per series and budget."""
    if study.multilabel:
        names = ('test_macro_f1', 'test_auroc', 'val_mAP', 'best_on_test')
        titles = ['Macro-F1 %', 'Macro AUROC %', 'Validation mAP %']
    else:
        names = ('test_balanced_accuracy', 'test_auroc', 'test_top5', 'val_top1', 'best_on_test')
        titles = ['Balanced accuracy %', 'Macro AUROC %', 'Test top-5 %', 'Validation top-1 %']
    names += ('seconds', 'images_per_second')
    columns, rows = [curve.curves(study.rows, name) for name in names], []
    for series, found in study.curves.items():
        for budget, values in found.items():
            *shares, seconds, rate = (spread(of.get(series, {}).get(budget, {}).values()) for of in columns)
            cells = [*compared(spread(values.values()), None)[:2], *map(percent, shares)]
            cells += [duration(seconds and seconds['mean']), number(rate and round(rate['mean']))]
            rows.append([title(series), number(budget, 3), *cells, ', '.join(str(seed) for seed in values)])
    header = ['', 'Labels per class', f'Test {study.metric} %', '95% interval', *titles, BEST_ON_TEST]
    caption = (
        'All that was measured: mean ± sample standard deviation over seeds; 95% interval of the mean by '
        f"Student's t; time and images/s: of the way alone, mean over seeds.{study.protocol}"
    )
    return folded('Every number', grid([*header, 'Time', 'Images/s', 'Seeds'], rows, caption))


def gaps(study):
    """Which parts of the study are missing, and which cannot be fully compared."""
    planned, done, said = study.about.get('planned'), len(study.rows), []
    if planned := planned if is_number(planned) else len(planned or ()):
        said.append(f'{"All" if done == planned else f"{done:,} of"} {planned:,} planned cells are done.')
    holes = [
        f'{title(series)} at {number(budget, 3)}'
        for series, found in study.curves.items() for budget in budgets(study.curves) if budget not in found
    ]  # fmt: skip
    if holes:
        more = f' and {len(holes) - 8} others' if len(holes) > 8 else ''
        said.append(f'Without any seed (labels per class): {", ".join(holes[:8])}{more}.')
    if lost := done - int(np.isfinite(study.rows[table_of.main(study.rows)]).sum()):
        said.append(f'Left out of all means: {count_of(lost, "cell")} without a finite test {study.metric}.')
    if curve.reference(study.base, study.reference) is None:
        known = ', '.join(dict.fromkeys(series.way for series in study.base)) or 'none'
        said.append(
            f'No cell of the reference "{study.reference}" is done (ways: {known}), so nothing is compared with it.'
        )
    if found := curve.unpaired(study.rows):
        some = ', '.join(f'{number(budget, 3)} per class with seed {seed}' for budget, seed in found[:5])
        said.append(
            f'Not all cells of the same seed have the same labelled and validation images: {some}; there, pairs share '
            'nothing but the seed.'
        )
    return part('heading', 'Completeness') + paragraph(*said) if said else ''


def label_savings(study):
    """Labels needed, by series and budget of the reference."""
    found = study.savings
    if not found:
        return None
    cells = {}
    for one in found:  # an interval that is all beyond the same end is left out
        inside = one.low and not one.low == one.high == one.ratio
        cells[one.series, one.budget] = str(one.ratio) + (f' ({one.low} to {one.high})' if inside else '')
    own = ' (with the same change)' if any(one.series.point for one in found) else ''
    note, fewest = 'No intervals: too few seeds', min(one.seeds for one in found)
    if any(one.low for one in found):
        note = f'In brackets: 95% percentile interval of {RESAMPLES:,} paired resamples of the seeds'
        few = 'in simulations, 74% of such intervals held the true value with 3 seeds, 83% with 5, 91% with 10'
        note += f'; with {fewest} it is too narrow ({few})' if fewest < 20 else ''
    caption = (
        f'Labels that each needs to reach the accuracy of "{study.reference_title}"{own} with that many labels per '
        'class, as a ratio: 0.5 means half as many. By isotonic regression of the means over log2(labels), linear '
        'between budgets; > and <: the accuracy is beyond the last or the first budget measured. '
        f'{note}.{study.protocol}'
    )
    return section('Label savings', pivot(cells, caption))


def tests(study):
    """Every series against the reference, at every budget."""
    rows = [([title(series), number(budget, 3)], one) for (series, budget), one in study.tests.items()]
    caption = f'Each against "{study.reference_title}", {meaning(study.tests, metric=study.metric)}'
    return section('Paired tests', table(['', 'Labels per class'], rows, caption + study.protocol))


def ablation(study):
    """Every point against its base, by way and budget."""
    found, rows = curve.against_base(study.curves), []
    for (series, budget), one in found.items():
        both = (study.curves[s].get(budget, {}) for s in (series, curve.base(study.curves, series)))
        cells = [series.point, title(series._replace(point='')), number(budget, 3)]
        rows.append(([*cells, *(percent(spread(values.values())) for values in both)], one))
    caption = f'Each change against the same way without it, at the same budget, {meaning(found, metric=study.metric)}'
    lost = [title(s) for s in study.curves if s.point and curve.base(study.curves, s) is None]
    without = f'Without a base to compare with: {"; ".join(lost)}.' if lost else ''
    header = [name.format(study.metric) for name in CHANGES]
    return section('Ablation', table(header, rows, caption + study.protocol), paragraph(without))


def provenance(study):
    """Where the numbers come from."""
    rows, hashes = study.rows, ['hash_labeled', 'hash_val', 'hash_unlabeled']
    seeds, finished = (sorted(curve.values_of(rows, column)) for column in ('seed', 'finished'))
    found = {'Cells': number(len(rows)), 'Seeds': ', '.join(map(str, seeds))}
    for column, name in (
        ('study', 'Study'), ('hash_train', 'Hash of the training images'), ('hash_test', 'Hash of the test images'),
        ('test_images', 'Test images'), ('classes', 'Classes'), ('device', 'Device'), ('versions', 'Versions'),
        ('protocol', 'Protocol'),
    ):  # fmt: skip
        of = rows[column].value_counts(sort=False).drop('', errors='ignore')
        found[name] = [f'{v}' + f' ({count_of(n, "cell")})' * bool(n < len(rows)) for v, n in of.items()]
    found['Finished'] = ' to '.join(dict.fromkeys([*finished[:1], *finished[-1:]]))
    found['Time of all cells (of the last process of each), without pretraining'] = duration(rows.seconds.sum())
    sets = rows[['per_class', 'seed', *hashes]].drop_duplicates().sort_values(['per_class', 'seed', *hashes])
    lines = [[number(budget, 3), str(seed), *(of or '–' for of in found)] for budget, seed, *found in sets.values]
    header = ['Labels per class', 'Seed', 'Labelled', 'Validation', 'Unlabelled']
    return shell.provenance(
        study.about.get('command'),
        study.about.get('config'),
        facts(found, 'Data, machine and software.'),
        folded('Label sets', grid(header, lines, 'Hashes of the labelled, validation and unlabelled images.')),
    )
