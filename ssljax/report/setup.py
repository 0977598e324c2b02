"""Sections on what went in: the data, the label sets, the configuration, the machine, the command."""

import numpy as np

from ssljax.data.decode import RESIZES
from ssljax.report import shell
from ssljax.report.compare import is_points, named_seeds, of_seed, pick
from ssljax.report.insight import class_names, label_names, name_of, tile
from ssljax.report.markup import facts, figure, folded, grid, part, section
from ssljax.report.words import duration, is_number, number, started
from ssljax.settings import schema


def data(run):
    found, names = run.result.get('data') or {}, class_names(run.result)
    asked = pick(run.result, 'config', 'data') or {}
    resized = asked.get('image_size') and RESIZES[asked.get('resize', 'crop')].format(size=asked['image_size'])
    shown = ', '.join(names[:20]) + (f', … ({len(names)} in all)' if len(names) > 20 else '')
    rows = {
        'Source': found.get('source'),
        'Image shape': ' x '.join(str(side) for side in found.get('shape') or ()),
        'Resized': resized or None,
        f'Classes ({len(names)})': shown,
        **{f'Images, {split}': number(count) for split, count in (found.get('counts') or {}).items()},
        **{f'Not decodable, {split}': number(e['count']) for split, e in (found.get('unreadable') or {}).items()},
        **{f'Without a known label, {name}': number(n) for name, n in (found.get('unknown_labels') or {}).items()},
        'Warning': list(found.get('warnings') or ()),
        **{f'Hash, {split}': digest for split, digest in (found.get('hashes') or {}).items()},
    }
    more = folded('All class names', part('names', names)) if len(names) > 20 else ''
    return section('Data', facts(rows, 'The data.'), more)


def label_sets(run):
    rows, counts = [], []
    for name, seed in named_seeds(run.result):
        for split, entry in (seed.get('partition') or {}).items():
            per_class = entry.get('per_class') or []
            rows.append([name, split, number(entry.get('count')), balance(per_class), entry.get('hash', '–')])
            if split == 'labeled' and per_class:
                counts.append((f'Seed {name}', per_class))
    caption = 'The partition of the training images, by seed. The hash identifies the exact choice of images.'
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
    names = label_names(run, int(labels.max()) + 1)
    order = sorted(order, key=lambda i: labels[i])
    tiles = [tile(images[i], name_of(names, labels[i]), '', 'labelled image') for i in order]
    some = len(images) < (pick(run.result, 'data', 'counts', 'labeled') or 0)
    what = 'A sample of the labelled images' if some else 'The labelled images'
    return figure(part('strip', tiles), f'{what}{of_seed(run)}.')


def spread_over_classes(labels):
    """Row numbers in an order of which any first part holds the classes as evenly as possible."""
    rank = np.zeros(len(labels), int)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        rank[rows] = np.arange(len(rows))
    return list(np.lexsort((labels, rank)))


def provenance(run):
    result = run.result
    machine = {name.replace('_', ' ').capitalize(): number(v) for name, v in (result.get('hardware') or {}).items()}
    machine |= spared(result.get('config'))
    machine |= {'Started': started(result.get('started')), 'Time of the whole run': duration(result.get('seconds'))}
    decided = [[d['field'], str(d['value']), d['why']] for d in result.get('resolved') or ()]
    versions = [[name, str(version)] for name, version in (result.get('versions') or {}).items()]
    return shell.provenance(
        result.get('command'),
        result.get('config'),
        facts(machine, 'Machine and time.'),
        grid(['Field', 'Decided', 'Because'], decided, 'What the configuration left open.', wide=(2,)),
        grid(['Package', 'Version'], versions, 'Software versions.'),
    )


def spared(config) -> dict:
    """What a run did to save memory, by row; {} by default."""
    fields = schema.flat(config or {})
    devices, again = fields.get('fsdp.devices', 1), fields.get('backbone.remat')
    parts = [f'{k.removesuffix(".accumulate")} in {v} parts' for k, v in fields.items()
             if k.endswith('.accumulate') and v != 1]  # fmt: skip
    rows = {
        'Weights': f'each copy split over {devices} devices' if devices != 1 else None,
        'Blocks of the backbone': 'recomputed for the gradient' if again else None,
        'Batches': ', '.join(parts) or None,
    }
    return {name: said for name, said in rows.items() if said}
