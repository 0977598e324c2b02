"""Sections that look inside: errors by class, the map of features, filters, neighbours."""

import numpy as np
import pandas as pd

from ssljax.progress import say
from ssljax.report.compare import best_way, is_multilabel, is_points, of_seed, pick, seeds_of, ways_of
from ssljax.report.embed import cached_embed, plot_map, sample
from ssljax.report.markup import beside, figure, folded, grid, part, section
from ssljax.report.pictures import as_png, filter_sheet
from ssljax.report.plots import color_of, confusion_of, plot_confusion, plot_per_class
from ssljax.report.words import count_of, is_number, way_title


def class_names(result, at_least=0):
    """The class names; numbers stand in where the result has none."""
    names = [str(name) for name in pick(result, 'data', 'classes') or []]
    return names + [str(i) for i in range(len(names), at_least)]


def label_names(run, at_least=0):
    """What the labels of images in figures.npz are called: class names or, for multi-label images, 'a + b'."""
    names, sets = class_names(run.result, at_least), run.figures.get('sets')
    if sets is None:
        return names
    return [' + '.join(name for name, has in zip(names, row) if has) or 'no class' for row in sets]


def per_class_of(result, way, metric='per_class'):
    """[seeds, K] accuracy, or average precision, by class (NaN where it has no test image), or None."""
    rows = [pick(seed, 'ways', way, 'test', metric) for seed in seeds_of(result)]
    rows = [[value if is_number(value) else np.nan for value in row] for row in rows if row]
    return np.asarray(rows, float) if rows and len({len(row) for row in rows}) == 1 else None


def errors(run):
    result = run.result
    way = best_way(result) or next(iter(ways_of(result)), '')
    per_class, confusion = per_class_of(result, way), confusion_of(result, way)
    parts, tables, metric = [], [], 'average precision' if is_multilabel(result) else 'accuracy'
    chosen = best_way(result) and len(ways_of(result)) > 1
    whose = way_title(way) + (' (the best way on validation)' if chosen else '')
    if per_class is not None:
        names = class_names(result, per_class.shape[1])
        seeds = ' Bars: mean over seeds; points: seeds.' if len(per_class) > 1 else ''
        parts.append(
            figure(
                plot_per_class(per_class, names, color_of(result, way), metric),
                f'Test {metric} by class, {whose}.{seeds}',
            )
        )
        if is_multilabel(result):
            tables.append(of_every_class(result, way, per_class, names))
        else:
            tables.append(folded('Accuracy of every class', class_table(per_class, names)))
    if confusion is not None:
        names = class_names(result, len(confusion))
        total = ' Summed over seeds.' if len(seeds_of(result)) > 1 else ''
        caption = f'Confusion matrix, {whose}: rows are true classes, columns predictions.{total}'
        parts.append(figure(plot_confusion(confusion, names), caption))
        tables.insert(0, confused_pairs(confusion, names))
    return section('By class' if is_multilabel(result) else 'Errors by class', beside(*parts), *tables)


def of_every_class(result, way, per_class, names):
    """The table of multi-label classes: average precision, F1 and share of the test images, worst first."""
    others = [per_class_of(result, way, name) for name in ('f1', 'prevalence')]
    mean = lambda values, i: (
        '–' if values is None or np.isnan(values[:, i]).all() else f'{100 * np.nanmean(values[:, i]):.1f}'
    )
    order = pd.DataFrame(per_class).mean().sort_values(kind='stable').index
    rows = [[names[i], *(mean(values, i) for values in (per_class, *others))] for i in order]
    caption = (
        'By class, worst first: average precision, F1 at the threshold, and the share of the test images that have the '
        'class, which is the average precision of chance.'
    )
    return grid(['Class', 'Average precision %', 'F1 %', 'Share %'], rows, caption)


def mistakes(run):
    """The most confident errors, each with its true class, the predicted one and the confidence."""
    names = ('mistake_images', 'mistake_labels', 'mistake_said', 'mistake_confidence')
    arrays = [run.figures.get(name) for name in names]
    if any(array is None for array in arrays) or is_points(run.result):
        return None
    if is_multilabel(run.result):
        return doubtful(run, arrays)
    classes = class_names(run.result, int(max(arrays[1].max(), arrays[2].max())) + 1)
    files = run.figures.get('mistake_names')
    tiles = []
    for i, (image, label, said, confidence) in enumerate(zip(*arrays)):
        text = f'{name_of(classes, label)} → {classes[said]}, {100 * confidence:.0f}%'
        what = bytes(files[i]).decode('utf-8', 'replace') if files is not None else 'test image'
        tiles.append(tile(image, text, 'wrong', what))
    way = way_title(str(run.figures['mistakes_of']))
    caption = (
        f'Test images that "{way}"{of_seed(run)} gets wrong, most confident first: true class → prediction. Some of '
        'their labels may be wrong.'
    )
    return section('Most confident errors', figure(part('strip', tiles), caption))


def doubtful(run, arrays):
    """`mistakes` for multi-label images, by image and class."""
    classes, labels = class_names(run.result, int(arrays[2].max()) + 1), label_names(run)
    missed, files = run.figures['mistake_missed'], run.figures.get('mistake_names')
    tiles = []
    for i, (image, label, said, confidence) in enumerate(zip(*arrays)):
        text = f'{labels[label]}: no {classes[said]}, {100 * confidence:.0f}%'
        if missed[i]:
            text = f'{labels[label]}: {classes[said]} missed, {100 * (1 - confidence):.0f}%'
        what = bytes(files[i]).decode('utf-8', 'replace') if files is not None else 'test image'
        tiles.append(tile(image, text, 'wrong', what))
    caption = (
        f'Test images that "{way_title(str(run.figures["mistakes_of"]))}"{of_seed(run)} is most confidently wrong '
        'about: their classes, then the class that was wrongly predicted or missed, with its probability. Some of '
        'their labels may be wrong.'
    )
    return section('Most confident errors', figure(part('strip', tiles), caption))


def class_table(per_class, names):
    means = pd.DataFrame(per_class).mean().sort_values(kind='stable')
    rows = [[names[i], str(i), '–' if np.isnan(mean) else f'{100 * mean:.1f}'] for i, mean in means.items()]
    return grid(['Class', 'Number', 'Test accuracy %'], rows, 'Accuracy by class, worst first.')


def confused_pairs(counts, names, most=8):
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    totals = counts.sum(1)
    order = np.argsort(-wrong, axis=None, kind='stable')[:most]
    pairs = [(i, j) for i, j in zip(*np.unravel_index(order, wrong.shape)) if wrong[i, j] > 0]
    rows = [[names[i], names[j], f'{wrong[i, j]:,.0f}', f'{100 * wrong[i, j] / totals[i]:.1f}'] for i, j in pairs]
    return grid(['True class', 'Predicted as', 'Images', '% of the true class'], rows, 'The most frequent errors.')


def feature_map(run):
    features, labels = run.figures.get('features'), run.figures.get('features_labels')
    if features is None or labels is None or features.ndim != 2 or len(features) != len(labels):
        return None
    features, labels = sample(np.asarray(features, np.float32), np.asarray(labels, int))
    if len(features) < 2 or features.shape[1] < 1:
        return None
    names = class_names(run.result, int(labels.max()) + 1)
    say.status('report: map of the features (UMAP) ...')
    xy, how = cached_embed(features, run.figures_from.parent / 'map.npz')
    model = str(run.figures['features_of']) if 'features_of' in run.figures else ''
    model = f' of the model "{way_title(model)}"' if model else ''
    caption = f'Features of {len(features):,} test images{model}{of_seed(run)}, in two dimensions by {how}.'
    if is_multilabel(run.result):
        caption += ' An image has the colour of its rarest class; gray: of none.'
    legend = ''
    if len(names) > 20:
        caption += ' Numbers stand at the median of their class.'
        legend = folded('Class numbers and names', part('names', names))
    return section('Map of test features', figure(plot_map(xy, labels, names), caption), legend)


def pretext(run):
    """What the pretext task showed the network and got from it, a row each; a single one is a sheet of pictures."""
    names = [name.split('_', 2) for name in run.figures if name.startswith('pretext_')]  # 'pretext_<place>_<title>'
    names = sorted(names, key=lambda parts: int(parts[1]))
    columns = [(parts[2], run.figures['_'.join(parts)]) for parts in names]
    if not columns:
        return None
    method = pick(seeds_of(run.result)[0], 'pretrain', 'method')
    if len(columns) == 1:
        title, images = columns[0]
        tiles = [as_png(image, title, longest=256, smallest=64) for image in images]
        shown, what = part('strip', tiles, 'sheet'), title
    else:
        rows = [(title, [as_png(i, title, longest=256, smallest=64) for i in images]) for title, images in columns]
        shown, what = part('pictures', rows), 'validation'
    return section('The pretext task in pictures', figure(shown, f'{method}: {what} images, after pretraining.'))


def filters(run):
    weights = run.figures.get('filters')
    if weights is None or weights.ndim != 4 or not weights.size or is_points(run.result):
        return None
    sheet, shown = filter_sheet(weights)
    kh, kw, channels, count = weights.shape
    image = as_png(sheet, 'First-layer filters', longest=4096, **{'class': 'pixels'})
    kind = {1: 'gray', 3: 'colour'}.get(channels, f'one gray row for each of {min(channels, 16)} input channels')
    most = '' if shown == count else f' The first {shown} are shown.'
    caption = (
        f'{count} first-layer filters, {kh} x {kw} pixels, {count_of(channels, "input channel")} ({kind}), '
        f'each scaled to its own range.{most}'
    )
    return section('First-layer filters', figure(image, caption))


def neighbors(run):
    arrays = [run.figures.get(name) for name in ('query_images', 'query_labels', 'neighbor_images', 'neighbor_labels')]
    if any(array is None for array in arrays) or not len(arrays[0]) or is_points(run.result):
        return None
    images, labels, near, near_labels = arrays
    known = int(max(labels.max(), near_labels.max())) + 1
    names, sets = label_names(run, known), run.figures.get('sets')
    rows = []
    for q in range(min(len(images), 12)):
        tiles = [tile(images[q], name_of(names, labels[q]), 'query', 'test image')]
        for k in range(min(near.shape[1], 10)):
            same = near_labels[q, k] == labels[q]
            if sets is not None:
                same = bool((sets[near_labels[q, k]] & sets[labels[q]]).any())
            name = name_of(names, near_labels[q, k])
            tiles.append(tile(near[q, k], ('✓ ' if same else '✗ ') + name, 'right' if same else 'wrong', 'neighbour'))
        rows.append(part('strip', tiles, 'row'))
    of = str(run.figures.get('neighbors_of', ''))
    of = f' of "{way_title(of)}"' * bool(of) if of != 'pretrained' else ' of the backbone as it was pretrained'
    caption = f'Test images (black frame) and their nearest labelled images in the features{of}, nearest first. ' + (
        'Blue frame and ✓: a class in common; dashed orange frame and ✗: none.'
        if sets is not None
        else 'Blue frame and ✓: same class; dashed orange frame and ✗: another class.'
    )
    return section('Nearest neighbours', figure(part('join', rows), caption))


def name_of(names, label):
    return names[label] if label >= 0 else 'no label'


def tile(image, name, kind='', what=''):
    """One small captioned image."""
    return part('tile', as_png(image, f'{what} {name}'.strip()), name, kind)
