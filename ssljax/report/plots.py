"""The plots of the page; each returns an <img>, or '' where there is nothing to draw."""

import numpy as np

from ssljax.report.by_class import majority
from ssljax.report.canvas import PowerNorm
from ssljax.report.compare import of_way, origin, pick, seeds_of, versus_scratch, ways_of
from ssljax.report.draw import COLORS, as_img, blend, drawn, labelled, new_figure, shorten, way_color
from ssljax.report.words import WORDS, is_number, is_share, way_title
from ssljax.stats import BASELINE


@drawn
def plot_ways(result):
    """Test top-1 of every way as bars and, beside them, its paired difference to scratch: means with their 95%
    intervals, seeds as points, published values as diamonds. Variants are hatched, in the colour of their way."""
    found = {way: of_way(result, way, 'test', 'top1') for way in ways_of(result)}
    found = {way: top1 for way, top1 in found.items() if top1}
    if not found:
        return ''
    ways, versus = list(found), versus_scratch(result)
    height = 0.85 + 0.46 * len(ways)
    if versus:
        figure, (axes, right) = new_figure(9.2, height, ncols=2, sharey=True, width_ratios=(5, 4))
        draw_differences(right, ways, versus, [color_of(result, way) for way in ways])
        right.set_xlabel('Difference to scratch (points)')
    else:
        figure, axes = new_figure(6.4, height)
    draw_bars(axes, result, found)
    for entry in result.get('published') or []:
        if entry.get('what') in ways and is_number(entry.get('value')):
            axes.plot(entry['value'], ways.index(entry['what']), 'D', ms=7, mfc='none', mec='#222222', mew=1.2)
    return as_img(figure, 'Test top-1 accuracy of each way with one point a seed')


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
    axes.set_yticks(range(len(found)), [shorten(way_title(way), 26) for way in found])
    axes.tick_params(axis='y', length=0)
    axes.set_ylim(len(found) - 0.45, -0.55)
    axes.set_xlim(0, 101)
    axes.grid(axis='y', visible=False)
    axes.set_xlabel('Test top-1 accuracy (%)')


def changes(differences, names, colors):
    """A matplotlib Figure of {key: stats.difference}, a row each, with 95% intervals and the seeds as points; names:
    {key: text}; None without any."""
    if not differences:
        return None
    figure, axes = new_figure(7.2, 0.8 + 0.38 * len(differences))
    draw_differences(axes, list(differences), differences, colors)
    axes.set_yticks(range(len(differences)), [shorten(names[key], 48) for key in differences])
    axes.set_ylim(len(differences) - 0.5, -0.5)
    axes.set_xlabel('Difference to the unchanged way (points of test top-1)')
    return figure


def draw_differences(axes, rows, found, colors):
    """The differences {row: spread} of the rows that have one, around a line at zero. A head on random features, which
    would squeeze the others, is only written where there are others."""
    axes.axvline(0, color='#555555', lw=1, ls='--')
    for at, (row, color) in enumerate(zip(rows, colors)):
        if row == 'random_frozen' and row in found and len(found) > 1:
            axes.annotate(
                f'{100 * found[row]["mean"]:+.2f}, off the axis'.replace('-', '−'), (0.02, at),
                xycoords=('axes fraction', 'data'), va='center', fontsize=8, color='#222222',
            )  # fmt: skip
        elif row in found:
            axes.plot(100 * found[row]['mean'], at, '|', ms=13, mew=2.2, color=color)
            draw_spread(axes, at, found[row], color)
        elif row == BASELINE:
            box = {'fc': 'white', 'ec': 'none', 'pad': 2}
            axes.text(0, at, 'reference', ha='center', va='center', fontsize=8, color='#222222', bbox=box)
    axes.tick_params(axis='y', length=0)
    axes.grid(axis='y', visible=False)
    axes.margins(x=0.06)


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
def plot_curves(series, ylabel, *, colors=None, scale=1.0, limits=None, size=(4.7, 3.1), floor=None):
    """Lines over steps: each seed light, their mean (at the steps all seeds share) bold.

    Args:
      series: {label: [(steps, values) of one seed, ...]}.
      scale: factor on the values (100 for shares shown in percent).
      limits: (low, high) of the vertical axis; None fits it to the values.
      size: inches.
      floor: a value, before `scale`, that a line marks.
    """
    series = {label: [run for run in runs if len(run[0])] for label, runs in series.items()}
    series = {label: runs for label, runs in series.items() if runs}
    if not series:
        return ''
    figure, axes = new_figure(*size)
    for index, (label, runs) in enumerate(series.items()):
        color = colors[label] if colors else COLORS[index % len(COLORS)]
        marker = '.' if max(len(steps) for steps, _ in runs) <= 30 else ''
        if len(runs) > 1:
            for steps, values in runs:
                axes.plot(steps, scale * np.asarray(values), color=color, lw=0.8, alpha=0.35)
        steps, mean = mean_curve(runs)
        axes.plot(steps, scale * mean, color=color, lw=1.9, marker=marker, ms=5, label=labelled(label))
    if floor is not None:
        axes.axhline(scale * floor, color='#222222', lw=1.2, ls='-.')
    axes.set_xlabel('Step')
    axes.set_ylabel(ylabel)
    if limits:
        axes.set_ylim(limits)
    if len(series) > 1:
        axes.legend()
    return as_img(figure, f'{ylabel} over steps: {", ".join(series)}')


def mean_curve(runs):
    """(steps, mean values) over the steps that every run has."""
    shared = sorted(set.intersection(*(set(steps) for steps, _ in runs)))
    tables = [dict(zip(steps, values)) for steps, values in runs]
    return shared, np.asarray([np.mean([table[step] for table in tables]) for step in shared])


def column(rows, key):
    """(steps, values) of the rows that hold a finite number under key."""
    found = [(row['step'], row[key]) for row in rows if is_number(row.get(key))]
    return [step for step, _ in found], [value for _, value in found]


def plot_stage(stage_metrics):
    """[(metric in words, <img>), ...] of a stage, training and validation together."""
    keys = sorted({key for rows in stage_metrics.values() for row in rows for key in row if '/' in key})
    groups = {}
    for key in keys:
        groups.setdefault(key.split('/', 1)[1], []).append(key)
    known = list(WORDS)
    order = sorted(groups, key=lambda name: (known.index(name) if name in known else len(known), name))
    images = []
    for name in [n for n in order if not n.startswith(('grad', 'update'))][:12]:
        titles = {'train': 'training', 'val': 'validation'}
        series = {
            titles.get(key.split('/')[0], key.split('/')[0]): [column(rows, key) for rows in stage_metrics.values()]
            for key in groups[name]
        }
        share = is_share(name)
        label = WORDS.get(name, name) + (' (%)' if share else '')
        images.append((WORDS.get(name, name), plot_curves(series, label, scale=100.0 if share else 1.0)))
    return [(title, image) for title, image in images if image]


def plot_transfer(metrics, ways, key, floor=None):
    """One metric of every way over steps, as validation ('val/top1') or training ('train/loss') logged it."""
    series = {way_title(way): [column(rows, key) for rows in metrics.get(way, {}).values()] for way in ways}
    colors = {way_title(way): way_color(way, index) for index, way in enumerate(ways)}
    split, name = key.split('/')
    label = {'train': 'Training', 'val': 'Validation'}[split] + ' ' + WORDS.get(name, name).lower()
    share = is_share(key)
    scale = 100.0 if share else 1.0
    return plot_curves(series, label + (' (%)' if share else ''), colors=colors, scale=scale, floor=floor)


@drawn
def plot_probe(layers, marked, floor=None):
    """Linear probe accuracy by layer.

    Args:
      layers: {'pretrained' | 'random' | ...: {layer: {'val': spread, 'test': spread}}}.
      marked: {'pretrained': layer chosen on validation, ...}.
      floor: the share of the most frequent class.
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
    axes.set_ylabel('Top-1 accuracy (%)')
    figure.legend(loc='outside upper center', ncols=2)
    return as_img(figure, 'Linear probe accuracy by layer, pretrained against random weights')


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
def plot_per_class(values, names):
    """Accuracy by class, sorted: one point a seed, a bar to the mean.

    Args:
      values: [seeds, K] shares in [0, 1]; NaN where a class has no test image.
    """
    values = 100 * np.asarray(values, float)
    mean = np.nanmean(np.where(np.isnan(values).all(0), 0.0, values), 0)
    order = np.argsort(-mean, kind='stable')
    k = len(order)
    if k <= 40:
        figure, axes = new_figure(4.9, 0.8 + max(0.25 if k <= 12 else 0.17, 0.1) * k)
        axes.barh(range(k), mean[order], color='#bcd7ea', height=0.72)
        for row in values:
            axes.plot(row[order], range(k), 'o', ms=3.5, color=COLORS[0], alpha=0.7, mew=0)
        axes.set_yticks(range(k), [shorten(names[i], 20) for i in order], fontsize=8 if k <= 20 else 6.5)
        axes.set_ylim(k - 0.4, -0.6)
        axes.set_xlim(0, 101)
        axes.grid(axis='y', visible=False)
        axes.set_xlabel('Test accuracy (%)')
    else:
        figure, axes = new_figure(6.2, 3.0)
        axes.fill_between(range(k), mean[order], step='mid', color='#bcd7ea', lw=0)
        for row in values:
            axes.plot(range(k), row[order], 'o', ms=2, color=COLORS[0], alpha=0.7, mew=0)
        axes.set_ylim(0, 101)
        axes.set_xlabel('Classes, sorted by accuracy')
        axes.set_ylabel('Test accuracy (%)')
    return as_img(figure, 'Test accuracy by class')
