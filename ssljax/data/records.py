"""Classes and splits of images whose labels are given one by one, not by the folders that they are in."""

from collections import Counter
from typing import NamedTuple

import numpy as np
from absl import logging

from ssljax.targets import multilabel
from ssljax.text.literal import clean
from ssljax.text.wording import shown

FEW = 5  # images that may each have a class of its own: more are a mistake
_UNKNOWN = frozenset('nan na n/a null none unknown ? -1'.split())  # what may be meant as no label


class Record(NamedTuple):
    """An image.

    number: of its file. where: what names it in messages, such as 'line 3'. label: '' if there is none; for multi-label
    images as multilabel.parsed reads it, such as 'a;b', or ';', none of the classes. split: 'train', 'val',
    'test' or 'unlabeled'. group: a name shared by images that must not be in different splits, such as that of a
    patient; '' if it is alone.
    """

    number: int
    where: str
    label: str
    split: str = 'train'
    group: str = ''


def splits_of(records, path: str, several: bool = False):
    """As `layout.layout`, and the sets that labels stand for: (classes, {split: (files int64 [n], labels int32 [n],
    groups)}, sets uint8 [S, K] or None), files in ascending order; groups as `group_ids`.

    A training image without a label is unlabelled; one of another split keeps its place there, with the label -1.

    Args:
      records: of Record.
      path: where they are from, for messages.
      several: whether a label may name several classes.

    Raises:
      ValueError: no training image has a label, a class has none, or a group is in several splits; the message names
        one of the images.
    """
    records = sorted(r if r.label or r.split != 'train' else r._replace(split='unlabeled') for r in records)
    named = [(multilabel.parsed(r.label) if several else (r.label,)) if r.label else None for r in records]
    counts = Counter(name for r, names in zip(records, named) if r.split == 'train' for name in names or ())
    if not counts:
        raise ValueError(
            f'No training image in {path!r} has a {"class" if several else "label"}: give some of them one.'
        )
    classes = sorted(counts)
    if len(classes) == sum(counts.values()) > FEW:
        raise ValueError(
            f'Each of the {len(classes):,} labelled training images in {path!r} has a class of its own, such as '
            f'{_some(classes, 3)}: is the class in this part of the name, or in this column?'
        )
    for r, names in zip(records, named):
        for name in names or () if r.split in ('val', 'test') else ():
            if name not in counts:
                raise ValueError(
                    f'{path}, {r.where}: the class {shown(name)} of the {r.split} split has no training images; those '
                    f'that do are {_some(classes)}.'
                )
    check_groups([(r.group, r.split, r.where) for r in records], path)
    groups = group_ids([r.group for r in records])
    _warn(classes, path)
    shown_ = [None if r.split == 'unlabeled' else names for r, names in zip(records, named)]
    labels, sets = multilabel.table(shown_, classes)
    if not several:
        number_of = {name: i for i, name in enumerate(classes)}
        labels = np.array([-1 if names is None else number_of[names[0]] for names in shown_], np.int32)
    splits = {}
    for split in ('train', 'val', 'test', 'unlabeled'):
        places = [i for i, r in enumerate(records) if r.split == split]
        if places or split == 'unlabeled':
            numbers = np.array([records[i].number for i in places], np.int64)
            splits[split] = numbers, labels[places], None if groups is None else groups[places]
    if 'val' in splits and 'test' not in splits:
        logging.warning('%r: there is no test split, so val is used as the test split.', path)
        splits['test'] = splits.pop('val')
    return tuple(map(clean, classes)), splits, sets if several else None


def group_ids(names):
    """int64 [n], a number for each name of a group, -1 if it is ''; None if all are."""
    number_of = {name: i for i, name in enumerate(sorted(set(names) - {''}))}
    return np.array([number_of.get(name, -1) for name in names], np.int64) if number_of else None


def check_groups(images, path: str) -> None:
    """Raises ValueError if a group is in several of the splits train, val and test. images: (group, split, what names
    the image)."""
    first: dict = {}
    apart: dict = {}
    for group, split, where in images:
        if group and split != 'unlabeled':
            other = first.setdefault(group, (split, where))
            if other[0] != split:
                apart.setdefault(group, (*other, split, where))
    if apart:
        group, (split, where, other, there) = next(iter(apart.items()))
        also = f' (one of {len(apart):,} such groups: {_some(list(apart))})' if len(apart) > 1 else ''
        raise ValueError(
            f'{path}: the group {shown(group)} is in two splits, {split} ({where}) and {other} ({there}){also}, so '
            'training images would also be tested: keep each group in one split, or remove the groups or splits.'
        )


def _warn(classes, path) -> None:
    folded: dict = {}
    for name in classes:
        other = folded.setdefault(' '.join(name.casefold().split()), name)
        if other != name:
            logging.warning('%r: the classes %r and %r differ only in case or spaces.', path, other, name)
        if name.casefold() in _UNKNOWN:
            logging.warning('%r: %r is treated as a class; leave the label of an unlabelled image empty.',
                            path, name)  # fmt: skip


def _some(names, most: int = 8) -> str:
    return ', '.join(map(repr, names[:most])) + (f' and {len(names) - most} more' if len(names) > most else '')
