"""The sections of a study's page: figures, means, published values, what is missing."""

from collections.abc import Sequence
from typing import NamedTuple

from ssljax.report import shell
from ssljax.report.markup import folded, grid, paragraph, part
from ssljax.report.plots import changes
from ssljax.report.table import compared
from ssljax.report.words import count_of, duration, is_number, number, percent, way_title
from ssljax.stats import spread
from ssljax.studies import curve, paired
from ssljax.studies import figure as draw
from ssljax.studies.curve import Series, budgets, title

BEST_ON_TEST = 'best on test (not a fair figure; to compare with tables that select in this way) %'
MOST_LINES = 12  # in one figure


class Study(NamedTuple):
    """What the page is made from: the rows of the table, study.json, the curves of test top-1, the labels saved, and
    {file name: (Figure, caption)}."""

    rows: list
    about: dict
    curves: dict
    savings: Sequence = ()
    plots: dict = {}

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
        """How it was measured, to end a caption with; '' where neither study.json nor a row says so."""
        found = [self.about['protocol']] if self.about.get('protocol') else curve.values_of(self.rows, 'protocol')
        return f' Protocol: {" / ".join(found).rstrip(".")}.' if found else ''

    def reference_title(self):
        """The name of the reference in plain words."""
        way, _, pretrain = self.reference.partition(':')
        return title(curve.reference(self.base, self.reference) or Series(way, pretrain))

    @property
    def tests(self):
        """Every series against the reference with the same point, as paired.against_reference gives it."""
        return paired.against_reference(self.curves, self.reference)

    def most_seeds(self):
        return max(len(values) for found in self.curves.values() for values in found.values())


def plots(study) -> dict:
    """{file name: (matplotlib Figure, caption)}: accuracy over labels, and of each way with points, what they change.
    To be called under report.draw.style."""
    found, classes = {}, max(curve.values_of(study.rows, 'classes'), default=None)
    look = draw.looks(study.base)
    entries = draw.published_at(study.about.get('published') or [], study.base, classes)
    top5 = {s: values for s, values in curve.curves(study.rows, 'test_top5').items() if s in study.base}
    for name, curves, what, marks in (
        ('curve', study.base, 'top-1', entries), ('curve_top5', top5, 'top-5', ()),
    ):  # fmt: skip
        gains = gains_of(study, curves)
        image = draw.over_labels(curves, f'Test {what} accuracy (%)', published=marks, look=look, gains=gains)
        found[name] = (
            image,
            f'Test {what} accuracy over the labels a class: {marks_of(study)}.'
            + (f' Right: the difference to "{study.reference_title()}", paired by seed.' if gains else '')
            + (' Open diamonds: published values, whose setting may differ (see their table).' if marks else ''),
        )
    for way in dict.fromkeys(series.way for series in study.curves if series.point):
        found[f'ablation_{way}'] = of_points(study, way)
    return {f'{name}.svg': pair for name, pair in found.items() if pair[0]}


def gains_of(study, curves):
    """{Series: {labels a class: difference to the reference}}; {} where none was measured on two seeds."""
    found = {}
    for (series, budget), difference in paired.against_reference(curves, study.reference).items():
        if difference['std'] is not None:
            found.setdefault(series, {})[budget] = difference
    return found


def marks_of(study):
    """What points and whiskers of `figure.over_labels` are."""
    most = study.most_seeds()
    if most < 2:
        return 'one seed, so no intervals'
    others = 'long ones cut off' if len(budgets(study.curves)) > 1 else 'points: seeds'
    return f"means over up to {most} seeds; whiskers: 95% interval of the mean by Student's t; {others}"


def of_points(study, way):
    """The figure of a way's points and its caption: lines over labels or, with one budget, differences to the base."""
    curves = {series: found for series, found in study.curves.items() if series.way == way}
    differences = {key: one for key, one in paired.against_base(study.curves).items() if key[0].way == way}
    if 1 < len(budgets(curves)) and len(curves) <= MOST_LINES:
        look = draw.looks(curves)
        image = draw.over_labels(
            curves, 'Test top-1 accuracy (%)', name=lambda s: s.point or f'{title(s)}, base', look=look
        )
        return image, f'{way_title(way)}, with each change: {marks_of(study)}.'
    several = len(budgets(curves)) > 1
    names = {key: key[0].point + (f', {number(key[1], 3)} a class' if several else '') for key in differences}
    color = draw.looks(curves)[next(iter(curves))][0]
    image = changes(differences, names, [color] * len(differences))
    note = ' Whiskers: 95% interval of the mean; points: seeds.' if study.most_seeds() > 1 else ' One seed.'
    return image, f'{way_title(way)}: the difference of each change to the base, paired by seed.{note}'


def means(study):
    """Test top-1 by series and budget."""
    most, cells = study.most_seeds(), {}
    for series, found in study.curves.items():
        for budget, values in found.items():
            count = f' ({len(values)})' if len(values) < most else ''
            cells[series, budget] = percent(spread(values.values())) + count
    caption = 'Test top-1 (%) by labels a class: '
    caption += f'mean ± sample standard deviation over {most} seeds' if most > 1 else 'one seed'
    caption += '; in brackets: how many, where fewer' if any('(' in cell for cell in cells.values()) else ''
    return pivot(cells, f'{caption}.{study.protocol}')


def pivot(cells, caption):
    """A table of {(Series, labels a class): text}: the larger of both numbers makes the rows."""
    series, at = list(dict.fromkeys(one for one, _ in cells)), sorted({budget for _, budget in cells})
    if len(series) <= max(len(at), 4):
        header = ['Labels a class', *(title(one) for one in series)]
        rows = [[number(budget, 3), *(cells.get((one, budget), '–') for one in series)] for budget in at]
    else:
        header = ['', *(f'{number(budget, 3)} a class' for budget in at)]
        rows = [[title(one), *(cells.get((one, budget), '–') for budget in at)] for one in series]
    return grid(header, rows, caption)


def every_number(study):
    """All columns of accuracy and cost, one row a series and budget."""
    columns = ('test_top5', 'val_top1', 'best_on_test', 'seconds', 'images_per_second')
    columns, rows = [curve.curves(study.rows, name) for name in columns], []
    for series, found in study.curves.items():
        for budget, values in found.items():
            others = (spread(of.get(series, {}).get(budget, {}).values()) for of in columns)
            top5, val, best, seconds, rate = others
            cells = [*compared(spread(values.values()), None)[:2], percent(top5), percent(val), percent(best)]
            cells += [duration(seconds and seconds['mean']), number(rate and round(rate['mean']))]
            rows.append([title(series), number(budget, 3), *cells, ', '.join(str(seed) for seed in values)])
    header = ['', 'Labels a class', 'Test top-1 %', '95% interval', 'Test top-5 %', 'Validation top-1 %', BEST_ON_TEST]
    caption = (
        'All that was measured: mean ± sample standard deviation over seeds; 95% interval of the mean by '
        f"Student's t; time and images/s: of the way alone, mean over seeds.{study.protocol}"
    )
    return folded('Every number', grid([*header, 'Time', 'Images/s', 'Seeds'], rows, caption))


def published(study):
    rows = []
    for entry in study.about.get('published') or []:
        way, _, pretrain = str(entry.get('what', '–')).partition(':')
        labels, *others = (entry.get(key, '–') for key in ('labels', 'value', 'setting', 'source'))
        rows.append((title(Series(way, pretrain)), labels, others[0], '', *others[1:]))
    return shell.published(rows)


def gaps(study):
    """What of the study is not there, and what of it cannot be compared in full."""
    planned, said = study.about.get('planned'), []
    planned = planned if is_number(planned) else len(planned or ())
    if planned:
        done = len(study.rows)
        said.append(f'{"All" if done == planned else f"{done:,} of"} {planned:,} planned cells are done.')
    holes = [
        f'{title(series)} at {number(budget, 3)}'
        for series, found in study.curves.items() for budget in budgets(study.curves) if budget not in found
    ]  # fmt: skip
    if holes:
        more = f' and {len(holes) - 8} others' if len(holes) > 8 else ''
        said.append(f'Without any seed (labels a class): {", ".join(holes[:8])}{more}.')
    lost = sum(not is_number(row['test_top1']) for row in study.rows)
    if lost:
        said.append(f'Left out of all means: {count_of(lost, "cell")} without a finite test accuracy.')
    if curve.reference(study.base, study.reference) is None:
        known = ', '.join(dict.fromkeys(series.way for series in study.base)) or 'none'
        said.append(
            f'No cell of the reference "{study.reference}" is done (ways: {known}), so nothing is compared with it.'
        )
    if found := curve.unpaired(study.rows):
        some = ', '.join(f'{number(budget, 3)} a class with seed {seed}' for budget, seed in found[:5])
        said.append(
            f'Not all cells of the same seed have the same labelled and validation images: {some}; there, pairs share '
            'nothing but the seed.'
        )
    return part('heading', 'Completeness') + paragraph(*said) if said else ''


def provenance(study):
    """Where the numbers come from."""
    rows = study.rows
    seeds, finished = (sorted(curve.values_of(rows, column)) for column in ('seed', 'finished'))
    lines = [['Cells', number(len(rows))], ['Seeds', ', '.join(map(str, seeds))]]
    for column, name in (
        ('study', 'Study'), ('hash_train', 'Hash of the training images'), ('hash_test', 'Hash of the test images'),
        ('test_images', 'Test images'), ('classes', 'Classes'), ('device', 'Device'), ('versions', 'Versions'),
        ('protocol', 'Protocol'),
    ):  # fmt: skip
        lines += [[name, f'{value}{of_cells(rows, column, value)}'] for value in curve.values_of(rows, column)]
    lines += [['Finished', ' to '.join(dict.fromkeys([finished[0], finished[-1]]))]] if finished else []
    seconds = [row['seconds'] for row in rows if is_number(row.get('seconds'))]
    time = 'Time of all cells (of the last process of each), without pretraining'
    lines += [[time, duration(sum(seconds))]] if seconds else []
    return shell.provenance(
        study.about.get('command'),
        study.about.get('config'),
        grid(['Property', 'Value'], lines, 'Data, machine and software.', wide=(1,)),
        folded('Label sets', label_sets(rows)),
    )


def of_cells(rows, column, value):
    """' (12 cells)' where not all have it."""
    count = sum(row.get(column) == value for row in rows)
    return f' ({count_of(count, "cell")})' if count < len(rows) else ''


def label_sets(rows):
    """The hashes of every choice of images, each once."""
    columns = ('hash_labeled', 'hash_val', 'hash_unlabeled')
    found = sorted({(row['per_class'], row['seed'], *(row.get(column) or '–' for column in columns)) for row in rows})
    lines = [[number(budget, 3), str(seed), *hashes] for budget, seed, *hashes in found]
    header = ['Labels a class', 'Seed', 'Labelled', 'Validation', 'Unlabelled']
    return grid(header, lines, 'Hashes of the labelled, validation and unlabelled images.')
