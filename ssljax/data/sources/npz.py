"""An .npz in MedMNIST's layout: train_images, train_labels, val_*, test_*, unlabeled_images."""

import numpy as np
from absl import logging

from ssljax.data import npz
from ssljax.data.sources.asked import Arrays

FORM = 'npz:PATH'
TAKES = ('multilabel',)
_INSTEAD = {
    'val': 'For validation, a part of the training images is set aside (config.data.val).',
    'test': 'The validation images are the test split or, without any, a part of the training images '
    '(config.data.test).',
}


def read(asked, config):
    """As sources.__init__ says; raises FileNotFoundError, or ValueError for a file that is not an .npz or holds other
    arrays."""
    file = npz.Npz(asked.rest, asked.text)
    path = file.path
    for name in ('train_images', 'train_labels'):
        if name not in file.declared:
            raise ValueError(
                f'{path!r} has no array {name!r}, only {sorted(file.declared)}: it needs train_images and '
                'train_labels, and may have val_*, test_* and unlabeled_images.'
            )
    wanted = []
    for split in ('train', 'val', 'test', 'unlabeled'):
        if f'{split}_images' in file.declared:
            images, labels = f'{split}_images', f'{split}_labels'
            npz.check_images(*file.declared[images], images, path, config.max_pixels)
            if not file.declared[images][0][0] and split != 'unlabeled':
                if split == 'train':
                    raise ValueError(f'{path!r} has 0 train_images, so there is nothing to train on.')
                logging.warning('%r has 0 %s, which counts as none. %s', path, images, _INSTEAD[split])
                continue
            wanted.append(images)
            if split == 'unlabeled':
                continue
            if labels not in file.declared:
                raise ValueError(f'{path!r} has {images} but no {labels}.')
            npz.check_labels(*file.declared[labels], file.declared[images][0][0], labels, path)
            wanted.append(labels)
    content = file.read(wanted)
    labelled = {name: content[name] for name in wanted if name.endswith('_labels')}
    if config.multilabel == 'yes' or config.multilabel == 'auto' and npz.are_sets(labelled.values()):
        return _multilabel(content, labelled, path)
    train = npz.labels(content['train_labels'], None, 'train_labels', path)
    if not np.any(train >= 0):
        raise ValueError(f'{path!r}: all train_labels are -1, unknown: give those of some training images.')
    count, splits = 1 + int(train.max(initial=-1)), {'train': Arrays(_nhwc(content['train_images']), train)}
    for split in ('val', 'test'):
        if f'{split}_images' in content:
            labels = npz.labels(content[f'{split}_labels'], count, f'{split}_labels', path)
            splits[split] = Arrays(_nhwc(content[f'{split}_images']), labels)
    return tuple(map(str, range(count))), _complete(splits, content)


def _multilabel(content: dict, labelled: dict, path: str):
    """As `read`, for images with several classes each."""
    found, sets = npz.sets(labelled, path)
    if not sets[found['train_labels'][found['train_labels'] >= 0]].any():
        raise ValueError(f'{path!r}: no row of train_labels has a 1: give the classes of some training images.')
    logging.warning('%r: multi-label, with %d classes.', path, sets.shape[1])
    names = {name.removesuffix('_labels'): labels for name, labels in found.items()}
    splits = {split: Arrays(_nhwc(content[f'{split}_images']), labels, sets) for split, labels in names.items()}
    return tuple(map(str, range(sets.shape[1]))), _complete(splits, content)


def _complete(splits: dict, content: dict) -> dict:
    """`splits` with the test split and the unlabelled images."""
    if 'val' in splits and 'test' not in splits:
        splits['test'] = splits.pop('val')
    if 'unlabeled_images' in content:
        images = _nhwc(content['unlabeled_images'])
        splits['unlabeled'] = Arrays(images, np.full(len(images), -1))
    return splits


def unlabeled(asked, config):
    """As sources.__init__ says: the unlabelled images, or else the training images, without looking at labels."""
    file = npz.Npz(asked.rest, asked.text)
    name = 'unlabeled_images' if 'unlabeled_images' in file.declared else 'train_images'
    if name not in file.declared:
        raise ValueError(f'{file.path!r} has neither unlabeled_images nor train_images, only {sorted(file.declared)}.')
    npz.check_images(*file.declared[name], name, file.path, config.max_pixels)
    if not file.declared[name][0][0]:
        raise ValueError(f'{asked} has no images: {name} has 0.')
    images = _nhwc(file.read([name])[name])
    return Arrays(images, np.full(len(images), -1))


def _nhwc(images):
    return images[..., None] if images.ndim == 3 else images
