"""A data set as a run takes it: its splits made complete, and of one shape."""

from typing import NamedTuple

import numpy as np
from absl import logging

from ssljax import targets
from ssljax.data import readable
from ssljax.data.partition import carve_test
from ssljax.data.split import Split, apart


class Source(NamedTuple):
    """Images with their classes.

    Attributes:
      name: config.data.source as it was given.
      classes: names of the classes; label i is classes[i] or, for multi-label images, the classes in sets[i].
      shape: (H, W, C) of every image.
      train: Split; validation is carved from it later (partition.py).
      val: Split, if the source brings its own besides a test split, else None.
      test: Split.
      unlabeled: Split of images that came without labels, else None.
      listed: {'val', 'test': Split}, with the images that cannot be decoded and those without a known label, which
        `val` and `test` lack. `train` and `unlabeled` have theirs: a partition does not depend on them.
      unknown: {split: images left out for want of a label}.
      range: (low, high), the values of files of more than 8 bits per channel that became 0 and 255; None if there were
        none, or each filled the range of its type.
      sets: for multi-label images, uint8 [S, K]: the different sets of classes that labels stand for; else None.
    """

    name: str
    classes: tuple
    shape: tuple
    train: Split
    val: Split | None
    test: Split
    unlabeled: Split | None
    listed: dict | None = None
    unknown: dict | None = None
    range: tuple | None = None
    sets: np.ndarray | None = None

    @property
    def targets(self) -> targets.Targets:
        """What the labels mean."""
        return targets.of(len(self.classes), self.sets)


def complete(name: str, classes: tuple, splits: dict, span, test: str, copies: str = 'together', sets=None) -> Source:
    """The Source from what was read.

    Args:
      name: config.data.source.
      splits: {'train' and any of 'val', 'test', 'unlabeled': Split}.
      span: as `depth.plain` takes it.
      test: config.data.test.
      copies: config.data.copies.
      sets: as in Source.

    Raises:
      ValueError: splits of several shapes, or one of which no image can be evaluated.
    """
    splits = dict(splits)
    _drop_unlabelled_test(splits, name)
    if 'test' not in splits:
        train = splits['train']
        copied = train.copied() if copies == 'together' and train.groups is None else None
        rows = carve_test(train.labels, test, classes, train.groups, copied, sets)
        splits['test'] = train.take(rows)
        splits['train'] = apart(train.without(rows), splits['test'])
    for part in ('val', 'test'):
        if 'unlabeled' in splits and part in splits:
            splits['unlabeled'] = apart(splits['unlabeled'], splits[part], f'groups of the {part} images, {name!r}')
    shape = splits['train'].shape
    for part, split in splits.items():
        if split.shape != shape:
            raise ValueError(
                f'The {part} images are {_by(split.shape)}, but the training images {_by(shape)}: set '
                'config.data.image_size and config.data.channels to make them equal.'
            )
    listed = {part: splits[part] for part in ('val', 'test') if part in splits}
    shown, unknown = {}, {}
    for part, split in listed.items():
        shown[part] = evaluable(split, part, name)
        if count := int(np.sum(split.labels < 0)):
            unknown[part] = count
    return Source(
        name,
        classes,
        shape,
        splits['train'],
        shown.get('val'),
        shown['test'],
        splits.get('unlabeled'),
        listed,
        unknown,
        span if isinstance(span, tuple) else None,
        sets,
    )


def evaluable(split, name, given):
    """The images of a split that can be evaluated: those that can be decoded and whose label is known.

    Raises:
      ValueError: none can.
    """
    known = np.flatnonzero(split.labels >= 0)
    if len(known) < len(split):
        logging.warning('%d of %d %s images have no known label and are left out.',
                        len(split) - len(known), len(split), name)  # fmt: skip
    labelled = split if len(known) == len(split) else split.take(known)
    good = readable.verified(labelled)
    if len(good) < len(labelled):
        logging.warning('%d of %d %s images cannot be decoded and are left out.',
                        len(labelled) - len(good), len(labelled), name)  # fmt: skip
    if len(split) and not len(good):
        why = 'has a known label' if not len(known) else 'can be decoded'
        raise ValueError(f'None of the {len(split)} {name} images of {given!r} {why}: repair or remove that split.')
    return good


def _drop_unlabelled_test(splits, given):
    """A test split without one known label, such as ImageNet's, gives way to validation, or to a part of training."""
    if 'test' in splits and len(splits['test']) and not np.any(splits['test'].labels >= 0):
        logging.warning('The test images of %r have no known labels; testing on %s instead.', given,
                        'the validation split' if 'val' in splits else 'a part of the training images')  # fmt: skip
        splits.pop('test')
        if 'val' in splits:
            splits['test'] = splits.pop('val')


def _by(shape):
    return 'x'.join(map(str, shape))
