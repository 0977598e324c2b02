"""Classes and splits of images whose labels are given one by one, not by the folders that they lie in."""

from collections import Counter
from typing import NamedTuple

import numpy as np
from absl import logging

from ssljax.literal import clean
from ssljax.wording import shown

_UNKNOWN = frozenset('nan na n/a null none unknown ? -1'.split())  # what may be meant to say that there is no label


class Record(NamedTuple):
    """An image.

    number: of its file. where: what names it in messages, such as 'line 3'. label: '' where there is none. split:
    'train', 'val', 'test' or 'unlabeled'.
    """

    number: int
    where: str
    label: str
    split: str = 'train'


def splits_of(records, path: str):
    """As `layout.layout`: (classes, {split: (files int64 [n], labels int32 [n])}), files in ascending order.

    A training image without a label is unlabelled; one of another split keeps its place there, with the label -1.

    Raises:
      ValueError: no training image has a label, or a class has none; the message names one of its images.
    """
    records = sorted(r if r.label or r.split != 'train' else r._replace(split='unlabeled') for r in records)
    counts = Counter(r.label for r in records if r.split == 'train')
    if not counts:
        raise ValueError(f'No training image in {path!r} has a label: give some of them one.')
    classes = sorted(counts)
    for r in records:
        if r.split in ('val', 'test') and r.label and r.label not in counts:
            raise ValueError(
                f'{path}, {r.where}: the class {shown(r.label)} of the {r.split} split has no training images; those '
                f'that have are {_some(classes)}.'
            )
    _warn(classes, path)
    number_of = {name: i for i, name in enumerate(classes)}
    found: dict = {split: [r for r in records if r.split == split] for split in ('train', 'val', 'test', 'unlabeled')}
    splits = {}
    for split, mine in found.items():
        if mine or split == 'unlabeled':
            labels = [number_of.get(r.label, -1) if split != 'unlabeled' else -1 for r in mine]
            splits[split] = np.array([r.number for r in mine], np.int64), np.array(labels, np.int32)
    if 'val' in splits and 'test' not in splits:
        splits['test'] = splits.pop('val')
    return tuple(map(clean, classes)), splits


def _warn(classes, path) -> None:
    folded: dict = {}
    for name in classes:
        other = folded.setdefault(' '.join(name.casefold().split()), name)
        if other != name:
            logging.warning('%r: the classes %r and %r differ by capital letters or spaces alone.', path, other, name)
        if name.casefold() in _UNKNOWN:
            logging.warning('%r: %r is a class like any other; an image without a known one has an empty label.',
                            path, name)  # fmt: skip


def _some(names, most: int = 8) -> str:
    return ', '.join(map(repr, names[:most])) + (f' and {len(names) - most} more' if len(names) > most else '')
