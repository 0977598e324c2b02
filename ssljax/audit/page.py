"""check.html: one page with everything inside it."""

import collections
import functools
import operator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ssljax.audit import tiles
from ssljax.audit.findings import SERIOUS, TITLES, WARNING, Facts
from ssljax.records import provenance
from ssljax.report import shell
from ssljax.report.draw import COLORS, as_img, drawn, new_figure, shorten
from ssljax.report.markup import figure, folded, grid, paragraph, part, section
from ssljax.report.pictures import as_png
from ssljax.report.words import count_of, duration, number

LISTED, FEW, BARS = 500, 20, 40  # rows of a table that is folded away, and of one that is not; classes that are drawn
HOW = {
    'file': 'the same file',
    'pixels': 'the same pixels',
    'near': 'nearly the same',
    'mirrored': 'mirrored',
    'rotated': 'rotated',
}
HEADINGS = {
    'copies_across_splits': 'Copies across splits',
    'copies_under_labels': 'Copies under several labels',
    'copies_within_split': 'Copies within a split',
    'copies_turned': 'Mirrored and rotated copies',
    'label_errors': 'Labels that may be wrong',
    'unreadable': 'Files that cannot be decoded',
    'one_colour': 'Images of one colour',
    'dark': 'Nearly black images',
    'bright': 'Nearly white images',
    'blurred': 'Blurred images',
    'elongated': 'Long, narrow images',
    'wrong_ending': 'Files with the extension of another format',
    'several_frames': 'Files with several images',
    'gray_among_colour': 'Gray images stored in colour',
    'left_out': 'Entries that are left out',
}


class Checked(NamedTuple):
    """What the page shows: facts, findings, the record of check.json, {place of a finding: its clusters}."""

    facts: Facts
    findings: list
    record: dict
    seen: dict


def render(checked: Checked) -> str:
    """The page as a string."""
    _, _, path = checked.record['source'].partition(':')
    return shell.render(f'Check of {Path(path).name or checked.record["source"]}', heading, SECTIONS, checked)


def heading(checked):
    """What was looked at, and the most important findings."""
    found = checked.record
    facts = [found['source'], count_of(found['images'], 'image'), classes_of(found)]
    facts += [f'{name} {split["images"]:,}' for name, split in found['splits'].items()]
    serious = [f.what for f in checked.findings if f.severity == SERIOUS]
    warnings = [f.what for f in checked.findings if f.severity == WARNING]
    sentences = [*serious, *warnings] or ['Nothing was found that casts doubt on accuracies measured on these images.']
    more = len(sentences) - 4
    shown = [*sentences[:4], f'And {more} more, below.' if more > 0 else '']
    return shell.lede([*facts, duration(found['seconds'])], shown)


def classes_of(record: dict) -> str:
    """'2 classes', and whether an image may have several of them."""
    several = ', any number of them per image' if record.get('multilabel') else ''
    return count_of(len(record['classes']), 'class', 'classes') + several


def findings(checked):
    """All findings in a table."""
    rows = [[f.severity, f.what, f.advice] for f in checked.findings]
    best = [i for i, f in enumerate(checked.findings) if f.severity == SERIOUS]
    said = 'The most important first. Serious: an accuracy would not be what it seems, or training would not start.'
    return section('What was found', grid(['', 'What', 'What to do'], rows, said, best=best, wide=(1, 2)))


def pictures(checked):
    """The images of each finding that has some."""
    parts = []
    for i, found in enumerate(checked.findings):
        if found.kind not in HEADINGS:
            continue
        groups = checked.seen.get(i, ())
        if groups and 'images' in found.items[0]:
            shown = part('strip', [_copies(group, item) for group, item in zip(groups, found.items)])
        else:
            shown = part('strip', [part('cluster', [_tile(*group[0])], _said(group[0][1])) for group in groups])
        caption = found.what + (f' The first {len(groups)} are shown.' if len(groups) < len(found.items) else '')
        seen = figure(shown, caption) if groups else paragraph(found.what)
        parts += [part('heading', HEADINGS[found.kind]), seen, _listed(found)]
    return section('The findings in pictures', *parts)


def _copies(group, item):
    """Copies side by side."""
    how = HOW[item['how']] + (f', correlation {item["correlation"]:.4f}' if item['how'] == 'near' else '')
    more = len(item['images']) - len(group)
    return part('cluster', [_tile(*one) for one in group], how + (f'; {more} more' if more else ''))


def _tile(array, image):
    return part('tile', as_png(array, tiles.last(image)), part('lines', [tiles.last(image), tiles.where(image)]))


def _said(image):
    """The text below an image of a finding."""
    if 'seems' in image:
        return f'seems {image["seems"]} ({100 * image["p_seems"]:.0f}%)'
    return ' x '.join(map(str, image['size'])) if 'size' in image else image.get('why', '')


def _listed(found):
    """All items of a finding, folded away."""
    header, rows = _rows(found)
    cut = f', the first {LISTED}' if len(rows) > LISTED else ''
    title = f'All {len(rows):,}{cut}' if len(rows) > 1 else 'Its name'
    table = grid(header, rows[:LISTED], wide=(0, 1, 2))
    return table if found.kind in tiles.SKIPPED and len(rows) <= FEW else folded(title, table)


def _rows(found):
    items = found.items
    if items and 'images' in items[0]:
        name = lambda image: f'{image["name"]} ({tiles.where(image)})'
        rows = [[' = '.join(map(name, i['images'])), HOW[i['how']], number(i['correlation'])] for i in items]
        return ['Images', 'How', 'Correlation'], rows
    if found.kind == 'label_errors':
        shown = [[i['name'], tiles.where(i), str(i['seems']), f'{i["p_seems"]:.3f}', f'{i["p_label"]:.3f}',
                  'yes' if i['trained_on'] else ''] for i in items]  # fmt: skip
        return ['Image', 'Is', 'Seems', 'p', 'p of its label', 'Trained on'], shown
    rows = [[i['name'], tiles.where(i) if 'split' in i else '', str(i.get('why', ''))] for i in items]
    return ['Name', 'Where', 'Why'], rows


def counts(checked):
    """Images of each class and split."""
    found = checked.record
    splits, names = found['splits'], found['classes']
    header = ['Class', *splits]
    rows = [[name, *(f'{s["per_class"][i]:,}' for s in splits.values())] for i, name in enumerate(names)]
    rows = [row for row in rows if any(cell != '0' for cell in row[1:])]
    total = [['None of the classes', *(f'{s.get("none", 0):,}' for s in splits.values())]]
    total += [['Without a label', *(f'{s["images"] - s["labelled"]:,}' for s in splits.values())]]
    total += [['Cannot be decoded', *(f'{s["unreadable"]:,}' for s in splits.values())]]
    total += [['Together', *(f'{s["images"]:,}' for s in splits.values())]]
    total = [row for row in total if any(cell != '0' for cell in row[1:])]
    said = 'Images by class and split.' + ' An image counts for each of its classes.' * found.get('multilabel', False)
    table = grid(header, [*rows, *total] if len(rows) <= BARS else total, said)
    every = folded('All classes', grid(header, rows)) if len(rows) > BARS else ''
    return section('Classes and splits', table, every, figure(_bars(splits, names), 'Labelled images of each class.'))


@drawn
def _bars(splits, names):
    shown = {TITLES[s] or s: found['per_class'] for s, found in splits.items() if any(found['per_class'])}
    if not shown or not 2 <= len(names) <= BARS:
        return ''
    plot, axes = new_figure(4.9, 0.9 + 0.24 * len(names))
    left = np.zeros(len(names))
    for (title, values), color in zip(shown.items(), COLORS):
        axes.barh(range(len(names)), values, left=left, color=color, label=title, height=0.7)
        left += values
    axes.set_yticks(range(len(names)), [shorten(name, 26) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel('Images')
    axes.grid(axis='y', visible=False)
    axes.legend(loc='upper center', bbox_to_anchor=(0.5, 1.0 + 0.35 / len(names) + 0.06), ncols=4)
    return as_img(plot, 'Labelled images of each class and split')


def images(checked):
    """Sizes, formats, channels and bits."""
    found = checked.record
    sizes = found['sizes']
    rows = [[f'{w} x {h}', f'{n:,}', f'{100 * n / max(found["images"], 1):.1f}'] for w, h, n in sizes[:10]]
    kinds = [
        ['Format', *_pairs(found['formats'])],
        ['Channels', *_pairs(found['channels'])],
        ['Bits per channel', *_pairs(found['bits'])],
    ]
    return section(
        'The files',
        grid(['Property', 'Images'], [[k, v] for k, v in kinds], 'What the files hold.', wide=(1,)),
        grid(['Size', 'Images', '%'], rows, 'Sizes in pixels, the most frequent first.'),
        figure(_tones(checked.facts), 'Brightness, contrast and sharpness of all images that can be decoded.'),
    )  # fmt: skip


def _pairs(counts):
    return [', '.join(f'{k}: {n:,}' for k, n in collections.Counter(counts).most_common()) or '–']


@drawn
def _tones(facts):
    good = facts.scan.good
    if not good.any():
        return ''
    sharp = facts.scan.sharp[good]
    series = (
        ('Mean gray level', facts.tones['mean'][good], (0, 255)),
        ('Standard deviation of gray levels', facts.tones['contrast'][good], (0, 128)),
        ('Sharpness (log10)', np.log10(np.maximum(sharp[np.isfinite(sharp)], 1e-4)), (-4, 1.5)),
    )
    shown = []
    for title, values, limits in series:
        plot, axes = new_figure(3.2, 2.3)
        axes.hist(values, 50, range=limits, color=COLORS[0])
        axes.set_xlabel(title)
        axes.set_ylabel('Images')
        axes.set_xlim(*limits)
        shown.append(as_img(plot, f'Histogram: {title}'))
    return functools.reduce(operator.add, shown)


def told(checked):
    """What each trivial property tells about the labels."""
    rows = [
        [one['feature'], f'{100 * one["accuracy"]:.1f}', f'{100 * one["majority"]:.1f}', f'{100 * one["gain"]:.0f}',
         ', '.join(one['classes'])]
        for one in checked.record['told_by']
    ]  # fmt: skip
    said = (
        'A decision tree that sees this one property only, cross-validated on the training images: the share of the '
        'labels that it predicts, the share of the most frequent class, and how many of the errors of always '
        'predicting that class it avoids.'
    )
    header = ['Property', 'Predicted %', 'Most frequent class %', 'Errors avoided %', 'Classes that it singles out']
    return section('What predicts the labels', grid(header, rows, said, wide=(4,)))


def apart(checked):
    """Entries that are not images."""
    rows = [[why, f'{len(names):,}', ', '.join(names[:5])] for why, names in checked.record['left_out'].items()]
    said = 'Entries that are not among the images.'
    return section('What was left out', grid(['Why', 'Entries', 'Such as'], rows, said, wide=(0, 2)))


def origin(checked):
    """The command, the model and the versions."""
    model = checked.record['label_check']
    rows = []
    if model:
        right = f'{100 * model["accuracy"]:.1f}%'
        rows = [['Model', model['model']], ['Its accuracy on the labels', right]]
    versions = [[name, str(version)] for name, version in provenance.versions().items()]
    return shell.provenance(
        provenance.command(), None,
        grid(['Property', 'Value'], rows, 'What the labels were compared with.', wide=(1,)),
        grid(['Package', 'Version'], versions, 'Software versions.'),
    )  # fmt: skip


SECTIONS = (findings, pictures, counts, images, told, apart, origin)
