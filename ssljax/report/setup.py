"""Sections on what went in: the data, the label sets, the configuration, the machine, the command."""

import json

import numpy as np

from ssljax.report.compare import is_points, of_seed, pick, seeds_of, ways_of
from ssljax.report.insight import class_names, name_of, tile
from ssljax.report.markup import figure, folded, grid, section, text
from ssljax.report.words import duration, is_number, number, way_title


def data(run):
    found = run.result.get('data') or {}
    rows = [['Source', found.get('source', '–')]]
    if found.get('shape'):
        rows.append(['Image shape', ' x '.join(str(side) for side in found['shape'])])
    names = class_names(run.result)
    if names:
        shown = ', '.join(names[:20]) + (f', … ({len(names)} in all)' if len(names) > 20 else '')
        rows.append([f'Classes ({len(names)})', shown])
    rows += [[f'Images, {split}', number(count)] for split, count in (found.get('counts') or {}).items()]
    lost = found.get('unreadable') or {}
    rows += [[f'Not decodable, {split}', number(entry['count'])] for split, entry in lost.items()]
    rows += [[f'Without a known label, {name}', number(n)] for name, n in (found.get('unknown_labels') or {}).items()]
    rows += [['Warning', warning] for warning in found.get('warnings') or ()]
    rows += [[f'Hash, {split}', digest] for split, digest in (found.get('hashes') or {}).items()]
    every = '<div class="names">' + ''.join(f'<div>{i} {text(n)}</div>' for i, n in enumerate(names)) + '</div>'
    more = folded('All class names', every) if len(names) > 20 else ''
    return section('Data', grid(['Property', 'Value'], rows, 'The data.', wide=(1,)) if found else '', more)


def label_sets(run):
    rows, counts = [], []
    for index, seed in enumerate(seeds_of(run.result)):
        for split, entry in (seed.get('partition') or {}).items():
            per_class = entry.get('per_class') or []
            number_of = seed.get('seed', index)
            rows.append(
                [
                    f'{number_of}',
                    split,
                    number(entry.get('count')),
                    balance(per_class),
                    entry.get('hash', '–'),
                ]
            )
            if split == 'labeled' and per_class:
                counts.append((f'Seed {number_of}', per_class))
    caption = 'The partition of the training images, by seed. The hash names the exact choice of images.'
    table = grid(['Seed', 'Part', 'Images', 'Per class', 'Hash'], rows, caption, wide=(4,))
    by_class = ''
    if counts:
        names = class_names(run.result, max(len(per_class) for _, per_class in counts))
        body = [[name] + [number(c[i]) if i < len(c) else '–' for _, c in counts] for i, name in enumerate(names)]
        by_class = folded(
            'Labelled images of every class',
            grid(['Class'] + [s for s, _ in counts], body, 'Labels by class.'),
        )
    return section('Label sets', table, by_class, label_sample(run))


def balance(per_class):
    """'100 each', '3 to 12'."""
    counts = [count for count in per_class if is_number(count)]
    if not counts:
        return '–'
    low, high = min(counts), max(counts)
    return f'{low:,} each' if low == high else f'{low:,} to {high:,}'


def label_sample(run, most=100):
    images, labels = run.figures.get('labeled_images'), run.figures.get('labeled_labels')
    if images is None or labels is None or not len(images) or is_points(run.result):
        return ''
    order = spread_over_classes(labels)[:most]
    names = class_names(run.result, int(labels.max()) + 1)
    tiles = ''.join(
        tile(images[i], name_of(names, labels[i]), '', 'labelled image') for i in sorted(order, key=lambda i: labels[i])
    )
    what = (
        'A sample of the labelled images'
        if len(images) < (pick(run.result, 'data', 'counts', 'labeled') or 0)
        else 'The labelled images'
    )
    return figure(f'<div class="strip">{tiles}</div>', f'{what}{of_seed(run)}.')


def spread_over_classes(labels):
    """Row numbers such that any first part of them holds the classes as evenly as can be."""
    rank = np.zeros(len(labels), int)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        rank[rows] = np.arange(len(rows))
    return list(np.lexsort((labels, rank)))


def cost(run):
    rows = []
    for index, seed in enumerate(seeds_of(run.result)):
        stages = ([('Pretraining', seed['pretrain'])] if seed.get('pretrain') else []) + [
            (way_title(way), seed['ways'][way]) for way in ways_of(run.result) if pick(seed, 'ways', way)
        ]
        for name, entry in stages:
            rows.append(
                [
                    f'{seed.get("seed", index)}',
                    name,
                    number(entry.get('steps')),
                    number(entry.get('best_step')),
                    duration(entry.get('seconds')),
                    number(entry.get('images_per_second')),
                ]
            )
    header = ['Seed', 'Stage', 'Steps', 'Best step', 'Time', 'Images/s']
    return folded('Time of every stage and seed', grid(header, rows, 'Time and throughput of training.'))


def reproduce(run):
    result = run.result
    command = f'<h3>Command</h3><pre class="wrap">{text(result["command"])}</pre>' if result.get('command') else ''
    rows = [[name.replace('_', ' ').capitalize(), number(v)] for name, v in (result.get('hardware') or {}).items()]
    if result.get('started'):
        rows.append(['Started', result['started']])
    if is_number(result.get('seconds')):
        rows.append(['Time of the whole run', duration(result['seconds'])])
    machine = grid(['Property', 'Value'], rows, 'Machine and time.', wide=(1,))
    versions = [[name, str(version)] for name, version in (result.get('versions') or {}).items()]
    software = grid(['Package', 'Version'], versions, 'Software versions.')
    lines = flatten(result.get('config') or {})
    config = '\n'.join(f'{name} = {json.dumps(value, ensure_ascii=False)}' for name, value in lines)
    config = folded('The whole configuration', f'<pre>{text(config)}</pre>') if config else ''
    return section('To run it again', command, config, machine, cost(run), software)


def flatten(tree, prefix='config'):
    """[(dotted name, value), ...] of a nested dict, in its own order."""
    found = []
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            found += flatten(value, f'{prefix}.{name}')
        else:
            found.append((f'{prefix}.{name}', value))
    return found
