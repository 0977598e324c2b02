"""What a run is about to train on: its classes, and how many images of each every split has."""

import sys
import textwrap

import numpy as np

from ssljax.literal import clean

MOST, WIDTH = 20, 28  # classes that are listed one by one; columns for a name


def show(source) -> None:
    """Prints `text` to stderr."""
    print(text(source), file=sys.stderr, flush=True)


def text(source) -> str:
    """A table of classes and splits; of more than `MOST` classes their names and the smallest and largest counts.

    Args:
      source: sources.Source.
    """
    splits = {name: split for name in ('train', 'val', 'test') if (split := getattr(source, name)) is not None}
    counts = {name: _counts(split.labels, len(source.classes)) for name, split in splits.items()}
    size, total = 'x'.join(map(str, source.shape)), len(source.classes)
    lines = [f'{clean(source.name)}: {size}, {total} class{"es" * (total != 1)}']
    shown = [_name(name) for name in source.classes]
    if total <= MOST:
        rows = [(name, [str(per[i]) for per, _ in counts.values()]) for i, name in enumerate(shown)]
    else:
        lines += textwrap.wrap(', '.join([*shown[: MOST - 1], '...', shown[-1]]), 118, initial_indent='  ')
        rows = [('images of a class', [_range(per) for per, _ in counts.values()])]
    if any(unknown for _, unknown in counts.values()):
        rows.append(('without a label', [str(unknown) for _, unknown in counts.values()]))
    rows.append(('together', [str(len(split)) for split in splits.values()]))
    width = max(7, *(len(cell) for _, cells in rows for cell in cells))
    for name, cells in (('', list(splits)), *rows):
        lines.append(f'  {name:<{WIDTH}}' + ''.join(f' {cell:>{width}}' for cell in cells))
    if source.unlabeled is not None and len(source.unlabeled):
        lines.append(f'  and {len(source.unlabeled)} unlabelled images')
    if source.range is not None:
        low, high = source.range
        lines.append(f'  stored values from {low:,g} to {high:,g} become 0 to 255 (config.data.range)')
    if total == 1:
        lines.append(f'  warning: all images are of one class, {shown[0]!r}: there is nothing to tell apart')
    return '\n'.join(lines)


def _counts(labels, classes):
    """([classes] images of each, how many have no label)."""
    return np.bincount(labels[labels >= 0], minlength=classes), int((labels < 0).sum())


def _range(counts):
    low, high = counts.min(), counts.max()
    return str(low) if low == high else f'{low}-{high}'


def _name(name):
    name = clean(name)
    name = name if name.isprintable() else repr(name)[1:-1]
    return name if len(name) <= WIDTH else name[: WIDTH - 3] + '...'
