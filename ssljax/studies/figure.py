"""The figures of a study: accuracy over labels."""

import itertools

import numpy as np

from ssljax import files
from ssljax.report.canvas import ticker
from ssljax.report.draw import labelled, new_figure, saved, shorten, style, way_colors
from ssljax.report.plots import draw_spread
from ssljax.report.words import is_number, number
from ssljax.stats import spread
from ssljax.studies.curve import budgets, title

# Colours (Okabe and Ito, Tol) for series whose way has none of its own, or has given it to another series.
SPARE = ('#CC79A7', '#E69F00', '#332288', '#882255', '#44AA99', '#999933', '#000000', '#661100', '#7f7f7f', '#88CCEE')
LINES = ('-', '--', ':', '-.')
ENDS = ('low', 'high')
SHAPES = ('o', 's', '^', 'v', '<', '>', '*', 'p', 'h')  # published values are diamonds


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


def over_labels(curves, ylabel, *, name=title, published=(), look=None, gains=None):
    """Accuracy over the labels a class, on a logarithmic axis with ticks at the budgets: means over seeds, joined by
    lines, their 95% intervals as whiskers, side by side so that none hides another; with one budget, rows instead.

    Args:
      curves: {Series: {labels a class: {seed: share}}}.
      name: Series -> its name in the legend.
      published: [(Series or None, labels a class, value in percent), ...], open diamonds, in the colour of the series.
      look: as `looks` gives it; None: of these curves.
      gains: {Series: {labels a class: stats.difference to a reference}}, drawn beside the accuracies.

    Returns:
      a matplotlib Figure, or None without any value. To be called, and saved, under report.draw.style.
    """
    if not curves:
        return None
    look, at = look or looks(curves), budgets(curves)
    if len(at) == 1:
        return of_one_budget(curves, f'{ylabel} with {number(at[0], 3)} labels a class', name, published, look)
    if gains:
        figure, (axes, right) = new_figure(11, max(4.0, 0.8 + 0.2 * len(curves)), ncols=2)
        _, values, ends = draw_lines(right, gains, look, at, name)
        right.axhline(0, color='#555555', lw=1, ls='--', zorder=1.5)
        right.set_ylim(limits([0, *values], ends))
        right.set_ylabel('Difference to the reference (points), same label sets')
    else:
        figure, axes = new_figure(8.2, max(4.0, 0.8 + 0.2 * len(curves)))
    found = {s: {budget: spread(curve[budget].values()) for budget in curve} for s, curve in curves.items()}
    drawn, values, ends = draw_lines(axes, found, look, at, name, within=(0, 100))
    for series, labels, value in published:
        color = look[series][0] if series in look else '#222222'
        axes.plot(labels, value, 'D', ms=7, mfc='none', mec=color, mew=1.4, zorder=4)
        values.append(value)
    if published:
        drawn += axes.plot([], [], 'D', ms=7, mfc='none', mec='#222222', mew=1.4, label='published')
    axes.set_ylim(limits(values, ends))
    axes.set_ylabel(ylabel)
    figure.legend(handles=drawn, loc='outside right upper')
    return figure


def draw_lines(axes, curves, look, at, name, within=(-np.inf, np.inf)):
    """Lines with whiskers over the budgets `at`; curves: {Series: {labels a class: spread of shares}}.

    Returns:
      (one handle a line for the legend, all values of seeds, all ends of whiskers), in percent.
    """
    shifts = np.linspace(-0.5, 0.5, len(curves)) * dodge(np.log2(at), len(curves))
    values, seen, drawn = [], [], []
    for (series, curve), shift in zip(curves.items(), shifts):
        mean = np.array([100 * one['mean'] for one in curve.values()])
        ends = [[100 * one[end] if one['std'] is not None else np.nan for one in curve.values()] for end in ENDS]
        ends = np.clip(np.array(ends), *within)
        color, marker, dashes = look[series]
        label = labelled(shorten(name(series), 44))
        line = axes.errorbar(
            np.array(list(curve)) * 2**shift, mean, yerr=np.abs(ends - mean), color=color, lw=1.6, ls=dashes,
            marker=marker, ms=6.5, mec='white', mew=0.6, elinewidth=1, capsize=2.5, label=label,
        )  # fmt: skip
        drawn.append(line)
        seen += [*ends.ravel()[np.isfinite(ends.ravel())]]
        values += [100 * value for one in curve.values() for value in one['values']]
    axes.set_xscale('log', base=2)
    axes.set_xticks(at, [number(budget, 3) for budget in at])
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.set_xlabel('Labelled images a class')
    return drawn, values, seen


def dodge(logs, count):
    """The width, in log2, over which `count` series of one budget spread: a marker each, but less than the budgets are
    apart; logs: log2 of the budgets, ascending."""
    return min(0.016 * (logs[-1] - logs[0]) * (count - 1), 0.36 * min(np.diff(logs)))


def of_one_budget(curves, xlabel, name, published, look):
    """`over_labels` with one budget: a row a series, with the seeds as points."""
    figure, axes = new_figure(7.2, 0.9 + 0.36 * len(curves))
    for row, (series, curve) in enumerate(curves.items()):
        (values,) = curve.values()
        found = spread(values.values())
        axes.plot(100 * found['mean'], row, '|', ms=13, mew=2.2, color=look[series][0])
        draw_spread(axes, row, found, look[series][0])
    for series, labels, value in published:
        if series in curves and labels in curves[series]:
            axes.plot(value, list(curves).index(series), 'D', ms=7, mfc='none', mec='#222222', mew=1.2, zorder=5)
    axes.set_yticks(range(len(curves)), [shorten(name(series), 48) for series in curves])
    axes.tick_params(axis='y', length=0)
    axes.set_ylim(len(curves) - 0.45, -0.55)
    axes.grid(axis='y', visible=False)
    axes.margins(x=0.06)
    axes.set_xlabel(xlabel)
    return figure


def limits(values, ends):
    """(low, high) of the vertical axis, in percent: all values and, of the ends of whiskers, what does not squeeze
    those to less than two thirds."""
    low, high = min(values), max(values)
    room = max(high - low, 1.0)
    low, high = max(low - room / 4, min([low, *ends])), min(high + room / 4, max([high, *ends]))
    margin = 0.04 * max(high - low, 1.0)
    return low - margin, high + margin


def published_at(entries, curves, classes) -> list[tuple]:
    """What `over_labels` takes as `published`.

    Args:
      entries: [{'what': a way or 'way:pretrain', 'labels': '10/class' or a number in total, 'value': percent}, ...];
        one without a value or with another kind of budget is left out.
      curves: {Series: ...} without points, to find the series of each.
      classes: number of classes.
    """
    found = []
    for entry in entries:
        amount, _, unit = str(entry.get('labels', '')).partition('/')
        if not is_number(entry.get('value')) or not amount.isdecimal() or unit not in ('', 'class') or not classes:
            continue
        named = [s for s in curves if entry.get('what') in (s.way, f'{s.way}:{s.pretrain}')]
        found.append((named[0] if len(named) == 1 else None, int(amount) / (1 if unit else classes), entry['value']))
    return [entry for entry in found if entry[1] > 0]


def write_svg(figure, path) -> None:
    """Writes a figure as an SVG file, whole or not at all; the same figure gives the same bytes."""
    with style():
        content = saved(figure, 'svg')
    files.write_atomically(path, content)
