"""The figures of a study: accuracy over labels, and what the points of an ablation change."""

import itertools

import numpy as np

from ssljax.report.canvas import ticker
from ssljax.report.draw import labelled, new_figure, saved, shorten, style, way_colors
from ssljax.report.plots import changes, plot_rows
from ssljax.report.words import is_number, number, way_title
from ssljax.stats import spread
from ssljax.storage import files
from ssljax.studies import curve
from ssljax.studies.curve import budgets, title

# Colours (Okabe and Ito, Tol) for series whose way has none of its own, or has given it to another series.
SPARE = ('#CC79A7', '#E69F00', '#332288', '#882255', '#44AA99', '#999933', '#000000', '#661100', '#7f7f7f', '#88CCEE')
LINES = ('-', '--', ':', '-.')
SHAPES = ('o', 's', '^', 'v', '<', '>', '*', 'p', 'h')  # published values are diamonds
MOST_LINES = 12  # in one figure


def plots(study) -> dict:
    """{file name: (matplotlib Figure, caption)}: accuracy over labels, and of each way with points, what they change.
    To be called under report.draw.style."""
    found, look = {}, looks(study.base)
    published = published_at(study, max(curve.values_of(study.rows, 'classes'), default=None))
    first = study.metric
    floors = {first: curve.only(study.rows, 'test_majority')}
    top5 = {s: values for s, values in curve.curves(study.rows, 'test_top5').items() if s in study.base}
    for name, curves, what, marks in (('curve', study.base, first, published), ('curve_top5', top5, 'top-5', ())):
        gains: dict = {}
        for (series, budget), difference in curve.against_reference(curves, study.reference).items():
            if difference['std'] is not None:
                gains.setdefault(series, {})[budget] = difference
        what_ = what if study.multilabel else f'{what} accuracy'
        caption = f'Test {what_} over the labels per class: {marks_of(study)}.'
        caption += f' Right: the difference from "{study.reference_title}", paired by seed.' if gains else ''
        caption += ' Open diamonds: published values, whose setting may differ (see their table).' if marks else ''
        caption += floor_of(floors.get(what), study.multilabel)
        ylabel, floor = f'Test {what_} (%)', floors.get(what)
        image = over_labels(curves, ylabel, published=marks, look=look, gains=gains, floor=floor)
        found[name] = image, caption
    for way in dict.fromkeys(series.way for series in study.curves if series.point):
        found[f'ablation_{way}'] = of_points(study, way)
    return {f'{name}.svg': pair for name, pair in found.items() if pair[0]}


def floor_of(floor, multilabel=False):
    """The sentence on the line in a figure at what guessing gives; '' if that is unknown."""
    what = 'chance' if multilabel else 'always the majority class'
    return '' if floor is None else f' Dash-dotted, if in range: {what}, {100 * floor:.1f} %.'


def marks_of(study):
    """What points and whiskers of `over_labels` are."""
    if study.most_seeds < 2:
        return 'one seed, so no intervals'
    others = 'long ones cut off' if len(budgets(study.curves)) > 1 else 'points: seeds'
    return f"means over up to {study.most_seeds} seeds; whiskers: 95% interval of the mean by Student's t; {others}"


def of_points(study, way):
    """The figure of a way's points and its caption: lines over labels or, with one budget, differences to the base."""
    curves = {series: found for series, found in study.curves.items() if series.way == way}
    several = len(budgets(curves)) > 1
    if several and len(curves) <= MOST_LINES:
        ylabel = f'Test {study.metric} (%)' if study.multilabel else 'Test top-1 accuracy (%)'
        image = over_labels(curves, ylabel, name=lambda s: s.point or f'{title(s)}, base')
        return image, f'{way_title(way)}, with each change: {marks_of(study)}.'
    differences = {key: one for key, one in curve.against_base(study.curves).items() if key[0].way == way}
    names = {(s, at): s.point + (f', {number(at, 3)} per class' if several else '') for s, at in differences}
    color = looks(curves)[next(iter(curves))][0]
    image = changes(differences, names, [color] * len(differences), study.metric)
    note = 'Whiskers: 95% interval of the mean; points: seeds.' if study.most_seeds > 1 else 'One seed.'
    return image, f'{way_title(way)}: the difference between each change and the base, paired by seed. {note}'


def looks(series) -> dict:
    """{Series: (colour, marker, line)}, no two alike; the first series of a way has the way's own colour."""
    series = list(series)
    first = {one.way: one for one in reversed(series)}
    own = {first[way]: color for way, color in way_colors().items() if way in first}
    spare = itertools.cycle([color for color in SPARE if color not in own.values()])
    return {
        one: (own.get(one) or next(spare), SHAPES[i % len(SHAPES)], LINES[i // len(SHAPES) % len(LINES)])
        for i, one in enumerate(series)
    }


def over_labels(curves, ylabel, *, name=title, published=(), look=None, gains=None, floor=None):
    """Accuracy over the labels per class, on a logarithmic axis with ticks at the budgets: means over seeds, joined by
    lines, their 95% intervals as whiskers, side by side so that none hides another; with one budget, rows instead.

    Args:
      curves: {Series: {labels per class: {seed: share}}}.
      name: Series -> its name in the legend.
      published: [(Series or None, labels per class, value in percent), ...], open diamonds, in the colour of the
        series.
      look: as `looks` gives it; None: of these curves.
      gains: {Series: {labels per class: stats.difference to a reference}}, drawn beside the accuracies.
      floor: a share that a line marks.

    Returns:
      a matplotlib Figure, or None without any value. To be called, and saved, under report.draw.style.
    """
    if not curves:
        return None
    look, at = look or looks(curves), budgets(curves)
    if len(at) == 1:
        return of_one_budget(curves, f'{ylabel} with {number(at[0], 3)} labels per class', name, published, look, floor)
    if gains:
        figure, (axes, right) = new_figure(11, max(4.0, 0.8 + 0.2 * len(curves)), ncols=2)
        draw_lines(right, gains, look, at, name)
        right.axhline(0, color='#555555', lw=1, ls='--', zorder=1.5)
        right.set_ylim(limits(gains, [0]))
        right.set_ylabel('Difference from the reference (points), same label sets')
    else:
        figure, axes = new_figure(8.2, max(4.0, 0.8 + 0.2 * len(curves)))
    found = {s: {budget: spread(values.values()) for budget, values in own.items()} for s, own in curves.items()}
    drawn = draw_lines(axes, found, look, at, name, within=(0, 100))
    for series, labels, value in published:
        color = look[series][0] if series in look else '#222222'
        axes.plot(labels, value, 'D', ms=7, mfc='none', mec=color, mew=1.4, zorder=4)
    if published:
        drawn += axes.plot([], [], 'D', ms=7, mfc='none', mec='#222222', mew=1.4, label='published')
    if floor is not None:
        axes.axhline(100 * floor, color='#222222', lw=1.2, ls='-.', zorder=1.5)
    axes.set_ylim(limits(found, [value for *_, value in published], within=(0, 100)))
    axes.set_ylabel(ylabel)
    figure.legend(handles=drawn, loc='outside right upper')
    return figure


def of_one_budget(curves, xlabel, name, published, look, floor=None):
    """`over_labels` with one budget: one row per series, with the seeds as points."""
    found = {series: spread(values.values()) for series, own in curves.items() for values in own.values()}
    colors = [look[series][0] for series in curves]
    figure, axes = plot_rows(found, {series: name(series) for series in curves}, colors, xlabel)
    for series, labels, value in published:
        if labels in curves.get(series, ()):
            axes.plot(value, list(curves).index(series), 'D', ms=7, mfc='none', mec='#222222', mew=1.2, zorder=5)
    if floor is not None and axes.get_xlim()[0] < 100 * floor < axes.get_xlim()[1]:
        axes.axvline(100 * floor, color='#222222', lw=1.2, ls='-.', zorder=1.5)
    return figure


def draw_lines(axes, curves, look, at, name, within=(-np.inf, np.inf)):
    """Lines with whiskers over the budgets `at`, and one handle per line for the legend; curves: {Series: {labels per
    class: spread of shares}}."""
    shifts = np.linspace(-0.5, 0.5, len(curves)) * dodge(np.log2(at), len(curves))
    drawn = []
    for (series, spreads), shift in zip(curves.items(), shifts):
        mean = np.array([100 * one['mean'] for one in spreads.values()])
        ends = np.array([ends_of(one, within) for one in spreads.values()]).T
        color, marker, dashes = look[series]
        drawn.append(axes.errorbar(
            np.array(list(spreads)) * 2**shift, mean, yerr=np.abs(ends - mean), color=color, lw=1.6, ls=dashes,
            marker=marker, ms=6.5, mec='white', mew=0.6, elinewidth=1, capsize=2.5,
            label=labelled(shorten(name(series), 44)),
        ))  # fmt: skip
    axes.set_xscale('log', base=2)
    axes.set_xticks(at, [number(budget, 3) for budget in at])
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.set_xlabel('Labelled images per class')
    return drawn


def ends_of(one, within=(-np.inf, np.inf)):
    """The 95% interval of a spread of shares, in percent; nan if there is one value, which gives none."""
    return np.clip([np.nan if one[end] is None else 100 * one[end] for end in ('low', 'high')], *within)


def dodge(logs, count):
    """The width, in log2, over which `count` series of one budget are spread: a marker each, but less than the distance
    between budgets; logs: log2 of the budgets, ascending."""
    return min(0.016 * (logs[-1] - logs[0]) * (count - 1), 0.36 * min(np.diff(logs)))


def limits(curves, others, within=(-np.inf, np.inf)):
    """(low, high) of the vertical axis, in percent: all values of seeds, `others` and, of whiskers, as much as does not
    squeeze those to less than two thirds."""
    spreads = [one for found in curves.values() for one in found.values()]
    values = [*others, *(100 * value for one in spreads for value in one['values'])]
    ends = np.array([ends_of(one, within) for one in spreads])
    low, high = min(values), max(values)
    room = max(high - low, 1.0)
    low = max(low - room / 4, np.nanmin([low, *ends[:, 0]]))
    high = min(high + room / 4, np.nanmax([high, *ends[:, 1]]))
    margin = 0.04 * max(high - low, 1.0)
    return low - margin, high + margin


def published_at(study, classes) -> list[tuple]:
    """What `over_labels` takes as `published`: {'what': a way or 'way:pretrain', 'labels': '10/class' or a number in
    total, 'value': percent} of study.json; one without a value or with another kind of budget is left out."""
    found = []
    for entry in study.about.get('published') or []:
        amount, _, unit = str(entry.get('labels', '')).partition('/')
        if is_number(entry.get('value')) and amount.isdecimal() and int(amount) and unit in ('', 'class') and classes:
            named = [s for s in study.base if entry.get('what') in (s.way, f'{s.way}:{s.pretrain}')]
            labels = int(amount) / (1 if unit else classes)
            found.append((named[0] if len(named) == 1 else None, labels, entry['value']))
    return found


def write_svg(figure, path) -> None:
    """Writes a figure as an SVG file, whole or not at all; the same figure gives the same bytes."""
    with style():
        content = saved(figure, 'svg')
    files.write_atomically(path, content)
