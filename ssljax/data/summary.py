"""What a run is about to train on: its classes, and how many images of each are in every split."""

import sys
import textwrap

import numpy as np

from ssljax import metrics
from ssljax.data import readable
from ssljax.metrics import IMBALANCED
from ssljax.targets import Targets
from ssljax.text.literal import clean

MOST, WIDTH = 20, 28  # classes that are listed one by one; width of a name in columns


def show(source) -> None:
    """Prints `text` to stderr."""
    print(text(source), file=sys.stderr, flush=True)


def text(source) -> str:
    """A table of classes and splits, of the images that can be decoded, and `warnings`; for more than `MOST` classes,
    their names and the smallest and largest counts.

    Args:
      source: sources.Source.
    """
    splits = {name: split for name in ('train', 'val', 'test') if (split := getattr(source, name)) is not None}
    counts = {name: _counts(split, source.targets) for name, split in splits.items()}
    size, total = 'x'.join(map(str, source.shape)), len(source.classes)
    lines = [f'{clean(source.name)}: {size}, {total} class{"es" * (total != 1)}']
    lines[0] += ', any number of them per image (multi-label)' * source.targets.multilabel
    shown = [_name(name) for name in source.classes]
    if total <= MOST:
        rows = [(name, [str(per[i]) for per, *_ in counts.values()]) for i, name in enumerate(shown)]
    else:
        lines += textwrap.wrap(', '.join([*shown[: MOST - 1], '...', shown[-1]]), 118, initial_indent='  ')
        rows = [('images per class', [_range(per) for per, *_ in counts.values()])]
    if source.targets.multilabel:
        rows += _of_sets(splits, source)
    if any(unknown for _, unknown, _ in counts.values()):
        rows.append(('without a label', [str(unknown) for _, unknown, _ in counts.values()]))
    rows.append(('total', [str(images) for *_, images in counts.values()]))
    if any(split.groups is not None for split in splits.values()):
        rows.append(('groups', [_groups(split.groups) for split in splits.values()]))
    corrupt = [unreadable(source, name) for name in splits]
    if any(corrupt):
        rows.append(('cannot be decoded, left out', list(map(str, corrupt))))
    width = max(7, *(len(cell) for _, cells in rows for cell in cells))
    for name, cells in (('', list(splits)), *rows):
        lines.append(f'  {name:<{WIDTH}}' + ''.join(f' {cell:>{width}}' for cell in cells))
    if source.unlabeled is not None and len(source.unlabeled):
        lines.append(f'  and {len(source.unlabeled)} unlabelled images')
    if source.range is not None:
        low, high = source.range
        lines.append(f'  stored values from {low:,g} to {high:,g} become 0 to 255 (config.data.range)')
    lines += imbalance(counts, source.targets)
    return '\n'.join(lines + [f'  warning: {said}' for said in warnings(source)])


def _of_sets(splits: dict, source) -> list:
    """Rows on how many classes the labelled images have."""
    each = [source.sets.sum(1)[labels[labels >= 0]] for labels in (split.labels for split in splits.values())]
    rows = [('classes per image (mean)', [f'{n.mean():.2f}' if len(n) else '' for n in each])]
    none = [int((n == 0).sum()) for n in each]
    return rows + ([('none of the classes', list(map(str, none)))] if any(none) else [])


def imbalance(counts: dict, targets: Targets) -> list[str]:
    """Lines on imbalanced training classes, [] if they are balanced; counts: {split: _counts}."""
    per = counts['train'][0]
    per = per[per > 0]
    if len(per) < 2 or per.max() <= IMBALANCED * per.min():
        return []
    ratio = per.max() / per.min()
    said = f'  imbalanced: the largest class has {ratio:.1f} times the training images of the smallest'
    if targets.multilabel:
        return [f'{said}; consider', '  --config.transfer.class_weights=balanced']
    return [
        f'{said}; consider',
        '  --config.select=balanced_accuracy, and --config.transfer.logit_adjustment=1 or',
        '  --config.transfer.class_weights=balanced',
    ]


def warnings(source) -> list[str]:
    """What about the classes makes an accuracy mean little: there is only one, or a split lacks some."""
    total, found, main = len(source.classes), [], metrics.TITLES[source.targets.main]
    if total == 1 and not source.targets.multilabel:
        return [f'all images are of one class, {_name(source.classes[0])!r}: there is nothing to classify']
    for name, title, use in (('val', 'validation', 'chooses the weights'), ('test', 'test', f'gives the {main}')):
        if (split := getattr(source, name)) is None:
            continue
        missing = np.flatnonzero(_counts(split, source.targets)[0] == 0)
        if len(split) and len(missing):
            some = ', '.join(repr(_name(source.classes[i])) for i in missing[:3]) + ', ...' * (len(missing) > 3)
            found.append(
                f'the {title} images cover {total - len(missing)} of the {total} classes (none of {some}): what is '
                f'measured on them, which {use}, says little about the other classes'
            )
    return found


def unreadable(source, name: str) -> int:
    """How many images of a split are known not to be decodable; for training images that are streamed, those met so
    far."""
    if name == 'train':
        return int(readable.is_bad(source.train).sum())
    whole, shown = (source.listed or {}).get(name), getattr(source, name)
    return len(whole) - len(shown) - (source.unknown or {}).get(name, 0) if whole is not None else 0


def _counts(split, targets: Targets):
    """([classes] images of each, how many have no label, all), without those that are known not to be decodable."""
    labels = split.labels[~readable.is_bad(split)]
    return targets.counts(labels), int((labels < 0).sum()), len(labels)


def _groups(groups) -> str:
    return str(len(np.unique(groups[groups >= 0])) + int((groups < 0).sum())) if groups is not None else ''


def _range(counts):
    low, high = counts.min(), counts.max()
    return str(low) if low == high else f'{low}-{high}'


def _name(name):
    name = clean(name)
    name = name if name.isprintable() else repr(name)[1:-1]
    return name if len(name) <= WIDTH else name[: WIDTH - 3] + '...'
