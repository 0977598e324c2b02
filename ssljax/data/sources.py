"""Where images come from: one function a kind of source, each returning a Source."""

import difflib
import re
from typing import NamedTuple

import numpy as np
from absl import logging
from PIL import Image

from ssljax import paths
from ssljax.data import cache, decode, folder, layout, npz, readable, toy
from ssljax.data import span as spans
from ssljax.data.encoded import FileImages
from ssljax.data.memory import available_memory, empty_images, fits, parallel
from ssljax.data.partition import carve_test
from ssljax.data.split import ArrayImages, Split, concat


class Source(NamedTuple):
    """Images with their classes.

    Attributes:
      name: config.data.source as it was given.
      classes: names of the classes; label i is classes[i].
      shape: (H, W, C) of every image.
      train: Split; validation is carved from it later (partition.py).
      val: Split, where the source brings its own besides a test split, else None.
      test: Split.
      unlabeled: Split of images that came without labels, else None.
      listed: {'val', 'test': Split}, with the images that cannot be decoded and those without a known label, which
        `val` and `test` lack. `train` and `unlabeled` have theirs: a partition does not depend on them.
      unknown: {split: images left out for want of a label}.
      range: (low, high), the values of files of more than 8 bits a channel that became 0 and 255; None where there
        were none, or each filled the range of its type.
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


_CLASSES = 10_000  # of synthetic images, at most


def load(config):
    """Loads config.data.source.

    'digits'                scikit-learn's 1,797 digits, 8x8x1
    'circles'               7,000 points of two rings in the plane, as images of 1x1x2 (toy.py)
    'tfds:NAME'             a builder of TensorFlow Datasets with `image` and `label`; needs TensorFlow
    'folder:PATH'           a folder, .zip or .tar of class folders, with or without train, val and test above
    'npz:PATH'              MedMNIST's layout: train_images, train_labels, val_*, test_*, unlabeled_images
    'synthetic:HxWxC:K'     patterns made on the spot, for tests, such as 'synthetic:32x32x3:10'

    A split called unlabeled, unlabelled or unsupervised is the unlabelled set, and config.data.unlabeled, a
    'folder:PATH' or 'npz:PATH' of images whose labels are ignored, adds to it. Where there is no test split,
    the validation split is it; where there is neither, config.data.test says how much of the training split
    is, chosen with a fixed seed. Image files are decoded here, in parallel, when config.data.path is not
    'stream' and they fit a quarter of the free memory; otherwise when they are read. Corrupt ones are left out of
    validation, test and labelled images (readable.py); of unlabelled ones they are left out in the first case and
    replaced by another in the second (encoded.FileImages). With config.data.cache they are decoded into a file
    there, or taken from it, in either case (cache.py). Validation and test have images with a known label alone.
    Values of more than 8 bits a channel become 0 to 255 by one range for the whole data set, config.data.range
    (span.py).

    Args:
      config: config.data.

    Returns:
      Source.

    Raises:
      FileNotFoundError: there is no such path.
      ValueError: the source is not known, or its content is not as it should be.
      ImportError: a 'tfds:' source without TensorFlow.
      OSError: the disk of config.data.cache is full.
    """
    for field, allowed in (
        ('channels', (0, 1, 3, 4)),
        ('corrupt', ('skip', 'refuse')),
        ('path', ('auto', 'resident', 'stream')),
    ):
        if config[field] not in allowed:
            raise ValueError(f'config.data.{field}={config[field]!r} is not one of {allowed}.')
    if config.image_size < 0:
        raise ValueError(f'config.data.image_size={config.image_size} must be a number of pixels, or 0 to keep sizes.')
    if config.max_pixels < 1:
        raise ValueError(f'config.data.max_pixels={config.max_pixels} must be at least 1.')
    if config.image_size**2 > config.max_pixels:
        raise ValueError(
            f'config.data.image_size={config.image_size} makes images of {config.image_size**2:,} pixels, more than '
            f'config.data.max_pixels={config.max_pixels}.'
        )
    spans.parsed(config.range)
    kind, _, rest = config.source.partition(':')
    if kind not in _SOURCES or (kind not in _WITHOUT_ARGUMENT and not rest):
        known = "'digits', 'circles', 'tfds:NAME', 'folder:PATH', 'npz:PATH' or 'synthetic:HxWxC:K'"
        near = difflib.get_close_matches(kind, _SOURCES, 1)
        raise ValueError(
            f'config.data.source={config.source!r} is not known'
            + (f' (did you mean {near[0]!r}?)' if near and near[0] != kind else '')
            + f': use {known}.'
        )
    if rest and kind in _WITHOUT_ARGUMENT:
        raise ValueError(f'config.data.source={config.source!r}: {kind!r} takes no argument.')
    classes, splits = _SOURCES[kind](rest, config)
    if not len(splits['train']):
        raise ValueError(f'config.data.source={config.source!r} has no training images.')
    span = getattr(splits['train'].images, 'span', 'full' if config.range == 'full' else None)
    if config.range not in ('auto', 'full') and span is None:
        raise ValueError(f"config.data.range={config.range!r} does not go with {config.source!r}: leave it at 'auto'.")
    if config.unlabeled:
        extra = _extra(config, span)
        splits['unlabeled'] = concat([splits['unlabeled'], extra]) if 'unlabeled' in splits else extra
    _drop_unlabelled_test(splits, config.source)
    if 'test' not in splits:
        rows = carve_test(splits['train'].labels, config.test, classes)
        splits['test'] = splits['train'].take(rows)
        splits['train'] = splits['train'].take(np.setdiff1d(np.arange(len(splits['train'])), rows))
    shape = splits['train'].shape
    for name, split in splits.items():
        if split.shape != shape:
            raise ValueError(
                f'The {name} images are {_by(split.shape)}, the training images {_by(shape)}: set '
                'config.data.image_size and config.data.channels to make them equal.'
            )
    listed = {name: splits[name] for name in ('val', 'test') if name in splits}
    shown, unknown = {}, {}
    for name, split in listed.items():
        shown[name] = evaluable(split, name, config.source)
        if count := int(np.sum(split.labels < 0)):
            unknown[name] = count
    return Source(
        config.source,
        tuple(classes),
        shape,
        splits['train'],
        shown.get('val'),
        shown['test'],
        splits.get('unlabeled'),
        listed,
        unknown,
        span if isinstance(span, tuple) else None,
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
        raise ValueError(f'None of the {len(split)} {name} images of {given!r} {why}: mend or remove that split.')
    return good


def _drop_unlabelled_test(splits, given):
    """A test split without one known label, such as ImageNet's, gives way to validation, or to a part of training."""
    if 'test' in splits and len(splits['test']) and not np.any(splits['test'].labels >= 0):
        logging.warning('The test images of %r have no known labels; %s instead.', given,
                        'validation is the test split' if 'val' in splits else 'a part of training is')  # fmt: skip
        splits.pop('test')
        if 'val' in splits:
            splits['test'] = splits.pop('val')


def _by(shape):
    return 'x'.join(map(str, shape))


def _digits(rest, config):
    from sklearn.datasets import load_digits  # it takes a second to import

    images, labels = load_digits(return_X_y=True)
    images = np.round(images.reshape(-1, 8, 8, 1) * (255 / 16)).astype(np.uint8)
    return tuple('0123456789'), {'train': _in_memory(images, labels, config)}


def _circles(rest, config):
    for field in ('image_size', 'channels'):
        if config[field]:
            raise ValueError(
                f"config.data.{field}={config[field]} does not go with 'circles': a point's two coordinates are no "
                f'picture to be resized or coloured. Leave it at 0.'
            )
    splits = {name: toy.circles(n, seed) for seed, (name, n) in enumerate((('train', 5000), ('test', 2000)))}
    return tuple(toy.RINGS), {name: _in_memory(*points, config) for name, points in splits.items()}


def _synthetic(rest, config):
    """Each class is a smooth random pattern, shifted by up to an eighth, of varying contrast, under noise."""
    form = re.fullmatch(r'([0-9]{1,9})x([0-9]{1,9})x([1-4]):([0-9]{1,9})', rest)
    if not form or min(map(int, form.groups())) < 1 or not 2 <= int(form[4]) <= _CLASSES:
        raise ValueError(
            f"config.data.source={config.source!r} is not of the form 'synthetic:HxWxC:K' with 1 to 4 "
            f"channels and 2 to {_CLASSES:,} classes, such as 'synthetic:32x32x3:10'."
        )
    h, w, c, k = map(int, form.groups())
    if h * w > config.max_pixels:
        raise ValueError(
            f'config.data.source={config.source!r}: images of {h:,} x {w:,} pixels are more than '
            f'config.data.max_pixels={config.max_pixels}.'
        )
    _check_memory(h * w * c * (2 * 25 * max(k, 100) + 4 * 8 * 3 * k), config)  # images twice; waves, as they are added
    random = np.random.Generator(np.random.Philox(np.random.SeedSequence((h, w, c, k))))
    y, x = np.mgrid[:h, :w] / np.array([h, w])[:, None, None]
    waves, phases = random.integers(-2, 3, (2, k, c, 4)), random.uniform(0, 2 * np.pi, (k, c, 4))
    patterns = (
        np.sin(2 * np.pi * (waves[0][..., None, None] * y + waves[1][..., None, None] * x) + phases[..., None, None])
        .mean(2)
        .transpose(0, 2, 3, 1)
    )
    patterns /= np.abs(patterns).max((1, 2, 3), keepdims=True)

    def draw(n):
        labels = np.arange(n) % k
        images = np.empty((n, h, w, c), np.uint8)
        dy, dx = random.integers(-(h // 8), h // 8 + 1, n), random.integers(-(w // 8), w // 8 + 1, n)
        contrast = random.uniform(50, 100, n)
        for i in range(n):
            pattern = np.roll(patterns[labels[i]], (dy[i], dx[i]), (0, 1))
            images[i] = np.clip(127.5 + contrast[i] * pattern + random.normal(0, 25, (h, w, c)), 0, 255)
        return _in_memory(images, labels, config)

    return tuple(map(str, range(k))), {'train': draw(max(2000, 20 * k)), 'test': draw(max(500, 5 * k))}


def _npz(path, config):
    file = npz.Npz(path, config.source)
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
                    raise ValueError(f'{path!r} has train_images: 0 images, so there is nothing to train on.')
                logging.warning('%r has %s: 0 images, which counts as none. %s', path, images, _INSTEAD[split])
                continue
            wanted.append(images)
            if split == 'unlabeled':
                continue
            if labels not in file.declared:
                raise ValueError(f'{path!r} has {images} but no {labels}.')
            npz.check_labels(*file.declared[labels], file.declared[images][0][0], labels, path)
            wanted.append(labels)
    content = file.read(wanted)
    train = npz.labels(content['train_labels'], None, 'train_labels', path)
    if not np.any(train >= 0):
        raise ValueError(f'{path!r}: all train_labels are -1, unknown: give those of some training images.')
    count, splits = 1 + int(train.max(initial=-1)), {'train': _in_memory(_nhwc(content['train_images']), train, config)}
    for split in ('val', 'test'):
        if f'{split}_images' in content:
            labels = npz.labels(content[f'{split}_labels'], count, f'{split}_labels', path)
            splits[split] = _in_memory(_nhwc(content[f'{split}_images']), labels, config)
    if 'val' in splits and 'test' not in splits:
        splits['test'] = splits.pop('val')
    if 'unlabeled_images' in content:
        images = _nhwc(content['unlabeled_images'])
        splits['unlabeled'] = _in_memory(images, np.full(len(images), -1), config)
    return tuple(map(str, range(count))), splits


_INSTEAD = {
    'val': 'For validation a part of the training images is set aside (config.data.val).',
    'test': 'The validation images are the test split or, without any, a part of the training images '
    '(config.data.test).',
}


def _nhwc(images):
    return images[..., None] if images.ndim == 3 else images


def _in_memory(images, labels, config):
    """A Split of an array, uint8 [N, H, W, C], resized and converted as the config says."""
    size, channels = config.image_size, config.channels
    h, w, c = images.shape[1:]
    changed = (size and (h, w) != (size, size)) or (channels and c != channels)
    _check_memory(len(images) * (size or h) * (size or w) * (channels or c), config)
    target = empty_images(len(images), (size or h, size or w, channels or c))

    def run(start, stop):
        for i in range(start, stop):
            image = images[i]
            target[i] = decode.fit(Image.fromarray(image[..., 0] if c == 1 else image), size, channels)

    if changed:
        parallel(run, len(images), 256, title='resizing images')
    else:
        target[...] = images
    return Split(ArrayImages(target), labels)


def _check_memory(size, config):
    """Raises ValueError where `size` bytes do not fit the free memory."""
    free = available_memory()
    if free is not None and size > 0.8 * free:
        raise ValueError(
            f'The images of {config.source!r} take {size / 2**30:,.1f} GiB, and {free / 2**30:,.1f} GiB of memory are '
            'free: make them fewer or smaller (config.data.image_size).'
        )


def _folder(path, config):
    path = paths.expand(path)
    files = folder.listing(path)
    classes, splits = layout.layout(files, path)
    return classes, _encoded({name: (files, *rest) for name, rest in splits.items()}, config)


def _encoded(splits, config, *span):
    """Splits of encoded images: from {name: (Files, numbers int64 [n], labels int32 [n])} to {name:
    Split}. span: that of the training images, where these are others."""
    files, numbers, _ = splits['train'] if 'train' in splits else splits['unlabeled']
    if span:
        spans.agrees(*span, splits, f'config.data.unlabeled={config.unlabeled!r}', config.max_pixels)
    span = span[0] if span else spans.decide(splits, config.range, config.max_pixels)
    fit = decode.Fit(config.image_size, config.channels, span, config.max_pixels)
    shape, like = decode.probe(files, numbers, fit)
    result = {}
    for name, (files, numbers, labels) in splits.items():
        images = FileImages(
            files,
            numbers,
            labels,
            shape=shape,
            fit=fit,
            like=like,
            corrupt=config.corrupt,
        )
        if config.cache and len(labels):
            images.use(cache.decoded(images, config.cache))
        result[name] = Split(images, labels)
        if config.path != 'stream' and fits(result[name].nbytes, 0.8 if config.path == 'resident' else 0.25):
            images.decode_all()
        if name == 'unlabeled':
            result[name] = result[name].hide()
    return result


def _extra(config, span):
    """The Split of config.data.unlabeled; span: of the training images."""
    kind, _, path = config.unlabeled.partition(':')
    if kind == 'folder' and path:
        path = paths.expand(path)
        files = folder.listing(path)
        if not files.names:
            raise ValueError(f'config.data.unlabeled={config.unlabeled!r} holds no image.')
        n = len(files.names)
        return _encoded({'unlabeled': (files, np.arange(n), np.full(n, -1, np.int32))}, config, span)['unlabeled']
    if kind == 'npz' and path:
        file = npz.Npz(path, config.unlabeled)
        name = 'unlabeled_images' if 'unlabeled_images' in file.declared else 'train_images'
        if name not in file.declared:
            raise ValueError(f'{path!r} has neither unlabeled_images nor train_images, only {sorted(file.declared)}.')
        npz.check_images(*file.declared[name], name, path, config.max_pixels)
        if not file.declared[name][0][0]:
            raise ValueError(f'config.data.unlabeled={config.unlabeled!r} holds no image: {name} has 0.')
        images = _nhwc(file.read([name])[name])
        if isinstance(span, tuple):
            spans.mixture(name, '', f'config.data.unlabeled={config.unlabeled!r}')
        return _in_memory(images, np.full(len(images), -1), config)
    raise ValueError(f"config.data.unlabeled={config.unlabeled!r} must be 'folder:PATH', 'npz:PATH' or ''.")


def _tfds(name, config):
    """A builder of TensorFlow Datasets, whose encoded images go the way of image files.

    Data prepared here is written as ArrayRecord, which has random access. Data that was prepared earlier as
    TFRecord has none, so its encoded images are held in memory.
    """
    try:
        import tensorflow as tf
        import tensorflow_datasets as tfds
    except ImportError as e:
        raise ImportError(
            f"config.data.source='tfds:{name}' needs TensorFlow and its Datasets ({e}): pip "
            "install tensorflow tensorflow-datasets importlib_resources, or use a 'folder:' or 'npz:' "
            'source.'
        ) from e
    try:
        tf.config.set_visible_devices([], 'GPU')
    except RuntimeError:  # too late: the caller has used TensorFlow before
        pass
    try:
        builder = tfds.builder(name, data_dir=paths.expand(config.data_dir) or None)
    except (tfds.core.DatasetNotFoundError, AssertionError) as e:
        near = difflib.get_close_matches(name.split('/')[0], tfds.list_builders(), 1)
        raise ValueError(
            f'TensorFlow Datasets has no builder {name!r}'
            + (f'; did you mean {near[0]!r}?' if near else f': {str(e).splitlines()[0]}')
        ) from e
    features = builder.info.features
    kinds = tfds.features.Image, tfds.features.ClassLabel
    if not all(k in features and isinstance(features[k], t) for k, t in zip(('image', 'label'), kinds)):
        raise ValueError(
            f"The builder {name!r} needs the features 'image' (Image) and 'label' (ClassLabel), but has "
            f'{dict(features.items())}.'
        )
    if np.dtype(features['image'].np_dtype) != np.uint8:
        raise ValueError(f'The images of the builder {name!r} are {features["image"].np_dtype}, not uint8.')
    manual = paths.expand(config.manual_dir) or None
    try:
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(manual_dir=manual), file_format='array_record'
        )
    except (OSError, AssertionError) as e:
        raise ValueError(
            f'TensorFlow Datasets could not prepare {name!r} in {builder.data_dir!r} ({e}): give '
            'config.data.data_dir with prepared data, or config.data.manual_dir with its original files.'
        ) from e
    have = {}
    for split in builder.info.splits:
        kind = _TFDS_SPLITS.get(split.lower())
        if kind:
            have[kind] = _tfds_split(tfds, builder, split)
    if 'train' not in have:
        raise ValueError(f'The builder {name!r} has no train split, only {sorted(builder.info.splits)}.')
    if 'test' in have and not np.any(have['test'][2] >= 0):  # ImageNet's test labels are not public
        have.pop('test')
    if 'val' in have and 'test' not in have:
        have['test'] = have.pop('val')
    if 'unlabeled' in have:
        have['unlabeled'] = *have['unlabeled'][:2], np.full_like(have['unlabeled'][2], -1)
    return tuple(features['label'].names), _encoded(have, config)


def _tfds_split(tfds, builder, split):
    """(Files, numbers, labels) of one split. Reading the labels keeps the encoded images, up to 1 GiB."""
    skip = {'image': tfds.decode.SkipDecoding()}
    try:
        data = builder.as_data_source(split=split, decoders=skip)
        starts = range(0, len(data), 1024)
        items = (item for i in starts for item in data.__getitems__(range(i, min(i + 1024, len(data)))))
    except NotImplementedError:  # the data was prepared earlier, as TFRecord
        data = None
        rows = builder.as_dataset(split=split, decoders=skip)
        rows = rows.map(lambda item: {'image': item['image'], 'label': item['label']}).batch(1024)
        items = (dict(zip(b, row)) for b in rows.as_numpy_iterator() for row in zip(*b.values()))
    labels, sizes, held, total = [], [], [], 0
    for item in items:
        labels.append(int(item['label']))
        sizes.append(len(item['image']))
        total += sizes[-1]
        if data is None or total <= 2**30:
            held.append(item['image'])
    n = len(labels)

    def read(number):
        return held[number] if number < len(held) else data[int(number)]['image']

    names = [f'{builder.info.full_name} {split}[{i}]' for i in range(n)]
    where = {'keys': held, 'reader': bytes} if len(held) == n else {'keys': range(n), 'reader': read, 'portable': False}
    return folder.Files(names, sizes, [None] * n, **where), np.arange(n), np.array(labels, np.int32)


_TFDS_SPLITS = {'train': 'train', 'test': 'test'}
_TFDS_SPLITS |= dict.fromkeys(('val', 'valid', 'validation'), 'val')
_TFDS_SPLITS |= dict.fromkeys(('unlabeled', 'unlabelled', 'unsupervised'), 'unlabeled')
_WITHOUT_ARGUMENT = ('digits', 'circles')
_SOURCES = {
    'digits': _digits,
    'circles': _circles,
    'tfds': _tfds,
    'folder': _folder,
    'npz': _npz,
    'synthetic': _synthetic,
}
