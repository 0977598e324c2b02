"""The plots of the page; each returns an <img>, or '' if there is nothing to draw."""

import numpy as np
import pandas as pd

from ssljax.report.by_class import majority
from ssljax.report.canvas import PowerNorm
from ssljax.report.compare import main, main_title, of_way, origin, pick, seeds_of, versus_scratch, ways_of
from ssljax.report.draw import COLORS, as_img, blend, drawn, labelled, new_figure, shorten, way_color
from ssljax.report.words import WORDS, is_number, is_share, way_title
from ssljax.stats import BASELINE


@drawn
def plot_ways(result):
    """The main test metric of every way as bars and, in a second picture, its paired difference to scratch: means with
    their 95% intervals, seeds as points, published values as diamonds. Variants are hatched, in their way's colour."""
    found = {way: of_way(result, way, 'test', main(result)) for way in ways_of(result)}
    found = {way: top1 for way, top1 in found.items() if top1}
    if not found:
        return ''
    ways, versus = list(found), versus_scratch(result)
    size = 4.9, 0.85 + 0.46 * len(ways)
    figure, axes = new_figure(*size)
    draw_bars(axes, result, found)
    for entry in result.get('published') or []:
        if entry.get('what') in ways and is_number(entry.get('value')):
            axes.plot(entry['value'], ways.index(entry['what']), 'D', ms=7, mfc='none', mec='#222222', mew=1.2)
    image = as_img(figure, f'{on_test(result)} of each way with one point per seed')
    if not versus:
        return image
    figure, axes = new_figure(*size)
    name_rows(axes, [shorten(way_title(way), 26) for way in ways])
    draw_differences(axes, ways, versus, [color_of(result, way) for way in ways])
    return image + as_img(figure, 'Difference between each way and training from scratch')


def draw_bars(axes, result, found):
    """Horizontal bars of {way: spread of shares}, from zero to 100%."""
    for row, (way, top1) in enumerate(found.items()):
        color, mean = color_of(result, way), 100 * top1['mean']
        hatch = '////' if origin(result, way) != way else None
        axes.barh(row, mean, height=0.62, color=blend(color), edgecolor=color, lw=0, hatch=hatch)
        draw_spread(axes, row, top1, color)
        axes.annotate(
            f'{mean:.2f}', (1, row), xytext=(4, 0), xycoords=('axes fraction', 'data'), textcoords='offset points',
            va='center', fontsize=8, color='#222222',
        )  # fmt: skip
    if BASELINE in found and len(found) > 1:
        axes.axvline(100 * found[BASELINE]['mean'], color='#555555', lw=1, ls='--', zorder=1.5)
    if share := majority(result):
        axes.axvline(100 * share, color='#222222', lw=1.2, ls='-.', zorder=1.5)
    name_rows(axes, [shorten(way_title(way), 26) for way in found])
    axes.set(xlim=(0, 101), xlabel=f'{on_test(result)} (%)')


def on_test(result):
    """'Test top-1 accuracy', or 'Test mAP'."""
    return f'Test {main_title(result)}' + ' accuracy' * (main(result) == 'top1')


def name_rows(axes, names):
    """Makes the vertical axis one of rows, the first on top."""
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis='y', length=0)
    axes.set_ylim(len(names) - 0.45, -0.55)
    axes.grid(axis='y', visible=False)


def plot_rows(found, names, colors, xlabel):
    """A matplotlib Figure of {key: spread of shares}, a row each, and its axes; names: {key: text}."""
    figure, axes = new_figure(7.2, 0.8 + 0.38 * len(found))
    for at, (one, color) in enumerate(zip(found.values(), colors)):
        draw_mean(axes, at, one, color)
    name_rows(axes, [shorten(names[key], 48) for key in found])
    axes.set_xlabel(xlabel)
    axes.margins(x=0.06)
    return figure, axes


def changes(differences, names, colors, metric='top-1'):
    """`plot_rows` of differences to the unchanged way; None without any. metric: in words."""
    if not differences:
        return None
    figure, axes = plot_rows(differences, names, colors, f'Difference from the unchanged way (points of test {metric})')
    axes.axvline(0, color='#555555', lw=1, ls='--')
    return figure


def draw_differences(axes, rows, found, colors):
    """The differences {row: spread} of the rows that have one, around a line at zero. A head on random features, which
    would squeeze the others, is only written as a number if there are others."""
    axes.axvline(0, color='#555555', lw=1, ls='--')
    for at, (row, color) in enumerate(zip(rows, colors)):
        if row == 'random_frozen' and row in found and len(found) > 1:
            axes.annotate(
                f'{100 * found[row]["mean"]:+.2f}, off the axis'.replace('-', '−'), (0.02, at),
                xycoords=('axes fraction', 'data'), va='center', fontsize=8, color='#222222',
            )  # fmt: skip
        elif row in found:
            draw_mean(axes, at, found[row], color)
        elif row == BASELINE:
            box = {'fc': 'white', 'ec': 'none', 'pad': 2}
            axes.text(0, at, 'reference', ha='center', va='center', fontsize=8, color='#222222', bbox=box)
    axes.set_xlabel('Difference from training from scratch (points)')
    axes.tick_params(axis='y', length=0)
    axes.grid(axis='y', visible=False)
    axes.margins(x=0.06)


def draw_mean(axes, row, found, color):
    """The mean of a spread of shares, with `draw_spread`."""
    axes.plot(100 * found['mean'], row, '|', ms=13, mew=2.2, color=color)
    draw_spread(axes, row, found, color)


def draw_spread(axes, row, found, color):
    """The 95% interval and the values of a spread of shares, in percent, on one row."""
    values = 100 * np.asarray(found['values'])
    if found['low'] is not None:
        ends = [[100 * (found['mean'] - found['low'])], [100 * (found['high'] - found['mean'])]]
        axes.errorbar(100 * found['mean'], row, xerr=ends, fmt='none', ecolor='#222222', capsize=4, lw=1.3, zorder=3)
    at = row + np.linspace(-0.17, 0.17, len(values)) if len(values) > 1 else [row]
    axes.plot(values, at, 'o', ms=4.5, mfc=color, mec='white', mew=0.6, zorder=4)


def color_of(result, way):
    """The colour of a way; a variant has that of the way which it derives from."""
    first = origin(result, way)
    ways = ways_of(result)
    return way_color(first, ways.index(first if first in ways else way))


@drawn
def plot_curves(metrics, lines, ylabel, *, colors=None, limits=None, size=(4.7, 3.1), floor=None):
    """Lines over steps: each seed light, their mean (at the steps all seeds share) bold; shares in percent.

    Args:
      metrics: {stage: DataFrame}, as read.Run has them.
      lines: {label: (stage, name of a metric)}; what was not logged is left out.
      colors: {label: colour}.
      limits: (low, high) of the vertical axis; None fits it to the values.
      size: inches.
      floor: a value that a line marks.
    """
    found = {label: metrics[stage][key].dropna() for label, (stage, key) in lines.items() if key in metrics[stage]}
    found = {label: values.unstack('seed') for label, values in found.items() if len(values)}
    if not found:
        return ''
    share = is_share(lines[next(iter(found))][1])
    label_of_axis, scale = (f'{ylabel} (%)', 100) if share else (ylabel, 1)
    figure, axes = new_figure(*size)
    for index, (label, seeds) in enumerate(found.items()):
        color = colors[label] if colors else COLORS[index % len(COLORS)]
        seeds = seeds * scale
        if seeds.shape[1] > 1:
            for seed in seeds:
                axes.plot(seeds[seed].dropna(), color=color, lw=0.8, alpha=0.35)
        marker = '.' if seeds.count().max() <= 30 else ''
        axes.plot(seeds.dropna().mean(axis=1), color=color, lw=1.9, marker=marker, ms=5, label=labelled(label))
    if floor is not None:
        axes.axhline(scale * floor, color='#222222', lw=1.2, ls='-.')
    axes.set(xlabel='Step', ylabel=label_of_axis, ylim=limits)
    if len(found) > 1:
        axes.legend()
    return as_img(figure, f'{label_of_axis} over steps: {", ".join(found)}')


def several(metrics):
    """Whether the metrics of a stage are of several seeds."""
    return metrics.index.unique('seed').size > 1


def plot_stage(metrics, stage):
    """[(metric in words, <img>), ...] of a stage, training and validation together."""
    groups, known = {}, list(WORDS)
    for key in sorted(metrics[stage]):
        split, mark, name = key.partition('/')
        if mark and not name.startswith(('grad', 'update')):
            groups.setdefault(name, {})[{'train': 'training', 'val': 'validation'}.get(split, split)] = (stage, key)
    order = sorted(groups, key=lambda name: (known.index(name) if name in known else len(known), name))
    words = {name: WORDS.get(name, name) for name in order[:12]}
    images = [(title, plot_curves(metrics, groups[name], title)) for name, title in words.items()]
    return [(title, image) for title, image in images if image]


def plot_transfer(metrics, ways, key, **how):
    """One metric of every way over steps, as validation ('val/top1') or training ('train/loss') logged it."""
    lines = {way_title(way): (way, key) for way in ways}
    colors = {way_title(way): way_color(way, index) for index, way in enumerate(ways)}
    split, name = key.split('/')
    words = WORDS.get(name, name)
    label = f'{dict(train="Training", val="Validation")[split]} {words[0].lower()}{words[1:]}'
    return plot_curves(metrics, lines, label, colors=colors, **how)


@drawn
def plot_probe(layers, marked, floor=None, metric='top-1 accuracy'):
    """Linear probe accuracy by layer.

    Args:
      layers: {'pretrained' | 'random' | ...: {layer: {'val': spread, 'test': spread}}}.
      marked: {'pretrained': layer chosen on validation, ...}.
      floor: the share of the most frequent class.
      metric: in words.
    """
    names = list(dict.fromkeys(layer for found in layers.values() for layer in found))
    if not names:
        return ''
    figure, axes = new_figure(4.7, 3.4)
    for index, (what, found) in enumerate(layers.items()):
        color = {'pretrained': COLORS[0], 'random': '#7f7f7f'}.get(what, COLORS[(index + 2) % len(COLORS)])
        kept = [name for name in names if found.get(name, {}).get('test')]
        at = [names.index(name) for name in kept]
        means = np.asarray([100 * found[name]['test']['mean'] for name in kept])
        stds = [100 * (found[name]['test'].get('std') or 0) for name in kept]
        name = labelled(f'{what}, test')
        axes.errorbar(at, means, yerr=stds, color=color, marker='o', ms=4.5, lw=1.7, capsize=3, label=name)
        val = [found[name].get('val') for name in kept]
        if all(val) and val:
            name = labelled(f'{what}, validation')
            axes.plot(at, [100 * v['mean'] for v in val], ':', color=color, lw=1.3, label=name)
        if marked.get(what) in kept:
            spot = names.index(marked[what])
            axes.plot(spot, means[kept.index(marked[what])], 'o', ms=13, mfc='none', mec=color, mew=1.8)
    if floor is not None:
        axes.axhline(100 * floor, color='#222222', lw=1.2, ls='-.')
    slanted = max(len(name) for name in names) * len(names) > 34
    labels = [shorten(name, 16) for name in names]
    axes.set_xticks(range(len(names)), labels, rotation=45 if slanted else 0, ha='right' if slanted else 'center')
    axes.set_ylabel(f'Test {metric} (%)')
    figure.legend(loc='outside upper center', ncols=2)
    return as_img(figure, f'Linear probe by layer, pretrained against random weights: {metric}')


def confusion_of(result, way):
    """The confusion counts [K, K] of a way summed over seeds (rows: true class), or None."""
    tables = [pick(seed, 'ways', way, 'test', 'confusion') for seed in seeds_of(result)]
    tables = [np.asarray(table, float) for table in tables if table]
    tables = [table for table in tables if table.ndim == 2 and table.shape[0] == table.shape[1]]
    return sum(tables) if tables and len({table.shape for table in tables}) == 1 else None


@drawn
def plot_confusion(counts, names):
    """counts [K, K]: the share of each true class (row) given each predicted class (column)."""
    share = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
    k = len(share)
    size = 3.8 if k <= 3 else 5.0 if k <= 12 else 6.2
    figure, axes = new_figure(size, size * 0.87)
    norm = PowerNorm(1.0 if k <= 12 else 0.5, vmin=0, vmax=100)  # the root lets rare errors be seen
    image = axes.imshow(share, cmap='Blues', norm=norm)
    axes.grid(False)
    if k <= 12:
        for i, j in np.ndindex(k, k):
            if share[i, j] >= 0.5:
                color = 'white' if share[i, j] > 55 else '#222222'
                axes.text(j, i, f'{share[i, j]:.0f}', ha='center', va='center', fontsize=7.5, color=color)
    if k <= 40:
        labels = [shorten(name, 16) for name in names]
        font = 8 if k <= 20 else 6
        axes.set_xticks(range(k), labels, rotation=90 if k > 3 else 0, fontsize=font)
        axes.set_yticks(range(k), labels, fontsize=font)
    axes.set_xlabel('Predicted class' + (' (number)' if k > 40 else ''))
    axes.set_ylabel('True class' + (' (number)' if k > 40 else ''))
    ticks = [0, 5, 20, 50, 100] if k > 12 else None
    figure.colorbar(image, ax=axes, shrink=0.75, label='% of the true class', ticks=ticks)
    return as_img(figure, f'Confusion matrix of {k} classes')


@drawn
def plot_per_class(values, names, color=COLORS[0], metric='accuracy'):
    """A metric, in words, by class, sorted: one point per seed, a bar to the mean.

    Args:
      values: [seeds, K] shares in [0, 1]; NaN where a class has no test image.
    """
    values = pd.DataFrame(100 * np.asarray(values, float))
    mean = values.mean().fillna(0.0).sort_values(ascending=False, kind='stable')
    seeds, k = values[mean.index].to_numpy(), len(mean)
    if k <= 40:
        figure, axes = new_figure(4.9, 0.8 + max(0.25 if k <= 12 else 0.17, 0.1) * k)
        axes.barh(range(k), mean, color=blend(color), height=0.72)
        axes.plot(seeds.T, range(k), 'o', ms=3.5, color=color, alpha=0.7, mew=0)
        axes.set_yticks(range(k), [shorten(names[i], 20) for i in mean.index], fontsize=8 if k <= 20 else 6.5)
        axes.set(ylim=(k - 0.4, -0.6), xlim=(0, 101), xlabel=f'Test {metric} (%)')
        axes.grid(axis='y', visible=False)
    else:
        figure, axes = new_figure(6.2, 3.0)
        axes.fill_between(range(k), mean, step='mid', color=blend(color), lw=0)
        axes.plot(range(k), seeds.T, 'o', ms=2, color=color, alpha=0.7, mew=0)
        axes.set(ylim=(0, 101), xlabel=f'Classes, sorted by {metric}', ylabel=f'Test {metric} (%)')
    return as_img(figure, f'Test {metric} by class')
