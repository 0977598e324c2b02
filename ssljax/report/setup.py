"""Sections on what went in: the data, the label sets, the configuration, the machine, the command."""

import numpy as np

from ssljax.data.decode import RESIZES
from ssljax.report import shell
from ssljax.report.compare import is_points, named_seeds, of_seed, pick, ways_of
from ssljax.report.insight import class_names, name_of, tile
from ssljax.report.markup import figure, folded, grid, part, section
from ssljax.report.words import duration, is_number, number, stage_title, way_title


def data(run):
    found = run.result.get('data') or {}
    rows = [['Source', found.get('source', '–')]]
    if found.get('shape'):
        rows.append(['Image shape', ' x '.join(str(side) for side in found['shape'])])
    asked = pick(run.result, 'config', 'data') or {}
    if asked.get('image_size'):
        rows.append(['Resized', RESIZES[asked.get('resize', 'crop')].format(size=asked['image_size'])])
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
    more = folded('All class names', part('names', names)) if len(names) > 20 else ''
    return section('Data', grid(['Property', 'Value'], rows, 'The data.', wide=(1,)) if found else '', more)


def label_sets(run):
    rows, counts = [], []
    for name, seed in named_seeds(run.result):
        for split, entry in (seed.get('partition') or {}).items():
            per_class = entry.get('per_class') or []
            rows.append([name, split, number(entry.get('count')), balance(per_class), entry.get('hash', '–')])
            if split == 'labeled' and per_class:
                counts.append((f'Seed {name}', per_class))
    caption = 'The partition of the training images, by seed. The hash names the exact choice of images.'
    table = grid(['Seed', 'Part', 'Images', 'Per class', 'Hash'], rows, caption, wide=(4,))
    by_class = ''
    if counts:
        names = class_names(run.result, max(len(per_class) for _, per_class in counts))
        body = [[name] + [number(c[i]) if i < len(c) else '–' for _, c in counts] for i, name in enumerate(names)]
        by_class = grid(['Class'] + [s for s, _ in counts], body, 'Labels by class.')
        by_class = folded('Labelled images of every class', by_class)
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
    order = sorted(order, key=lambda i: labels[i])
    tiles = [tile(images[i], name_of(names, labels[i]), '', 'labelled image') for i in order]
    some = len(images) < (pick(run.result, 'data', 'counts', 'labeled') or 0)
    what = 'A sample of the labelled images' if some else 'The labelled images'
    return figure(part('strip', tiles), f'{what}{of_seed(run)}.')


def spread_over_classes(labels):
    """Row numbers such that any first part of them holds the classes as evenly as can be."""
    rank = np.zeros(len(labels), int)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        rank[rows] = np.arange(len(rows))
    return list(np.lexsort((labels, rank)))


def provenance(run):
    result = run.result
    rows = [[name.replace('_', ' ').capitalize(), number(v)] for name, v in (result.get('hardware') or {}).items()]
    if result.get('started'):
        rows.append(['Started', result['started']])
    if is_number(result.get('seconds')):
        rows.append(['Time of the whole run', duration(result['seconds'])])
    decided = [[d['field'], str(d['value']), d['why']] for d in result.get('resolved') or ()]
    versions = [[name, str(version)] for name, version in (result.get('versions') or {}).items()]
    return shell.provenance(
        result.get('command'),
        result.get('config'),
        grid(['Property', 'Value'], rows, 'Machine and time.', wide=(1,)),
        grid(['Field', 'Decided', 'Because'], decided, 'What the configuration left open.', wide=(2,)),
        grid(['Package', 'Version'], versions, 'Software versions.'),
        folded('Time of every stage and seed', cost(result)),
    )


def cost(result):
    rows = []
    for seed_name, seed in named_seeds(result):
        stages = {stage_title('pretrain'): seed.get('pretrain')}
        stages |= {way_title(way): pick(seed, 'ways', way) for way in ways_of(result)}
        for name, entry in stages.items():
            steps, best, rate = (number((entry or {}).get(key)) for key in ('steps', 'best_step', 'images_per_second'))
            row = [seed_name, name, steps, best, duration((entry or {}).get('seconds')), rate]
            rows += [row] if entry else []
    header = ['Seed', 'Stage', 'Steps', 'Best step', 'Time', 'Images/s']
    return grid(header, rows, 'Time and throughput of training.')
