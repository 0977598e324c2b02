"""A builder of TensorFlow Datasets with `image` and `label`, whose encoded images go the way of image files; it needs
TensorFlow.

Data prepared here is written as ArrayRecord, which has random access. Data that was prepared earlier as TFRecord has
none, so its encoded images are held in memory.
"""

import difflib

import numpy as np

from ssljax import paths
from ssljax.data import folder
from ssljax.data.sources.asked import Encoded, without_labels

FORM = 'tfds:NAME'
KINDS = {'train': 'train', 'test': 'test'}
KINDS |= dict.fromkeys(('val', 'valid', 'validation'), 'val')
KINDS |= dict.fromkeys(('unlabeled', 'unlabelled', 'unsupervised'), 'unlabeled')


def read(asked, config):
    """As sources.__init__ says.

    Raises:
      ValueError: there is no such builder, or it cannot be prepared or has no classes of images.
      ImportError: TensorFlow or its Datasets are not installed.
    """
    tfds, builder = _prepared(asked, config, {'image': 'Image', 'label': 'ClassLabel'})
    have = {KINDS[s.lower()]: _split(tfds, builder, s) for s in builder.info.splits if s.lower() in KINDS}
    if 'train' not in have:
        raise ValueError(f'The builder {asked.rest!r} has no train split, only {sorted(builder.info.splits)}.')
    if 'test' in have and not np.any(have['test'].labels >= 0):  # ImageNet's test labels are not public
        have.pop('test')
    if 'val' in have and 'test' not in have:
        have['test'] = have.pop('val')
    if 'unlabeled' in have:
        have['unlabeled'] = without_labels(have['unlabeled'])
    return tuple(builder.info.features['label'].names), have


def unlabeled(asked, config):
    """As sources.__init__ says: the unlabelled split, or else the training split; it needs no labels. Raises as
    `read`."""
    tfds, builder = _prepared(asked, config, {'image': 'Image'})
    have = {KINDS.get(split.lower()): split for split in builder.info.splits}
    split = have.get('unlabeled') or have.get('train')
    if not split:
        raise ValueError(f'The builder {asked.rest!r} has no train split, only {sorted(builder.info.splits)}.')
    return _split(tfds, builder, split)


def _prepared(asked, config, wanted: dict):
    """(tensorflow_datasets, the builder, its data prepared). wanted: {feature: its type} that it must have."""
    name = asked.rest
    try:
        import tensorflow as tf
        import tensorflow_datasets as tfds
    except ImportError as e:
        raise ImportError(
            f'{asked} needs TensorFlow and its Datasets ({e}), the extra tfds of the package: pip install tensorflow '
            "tensorflow-datasets importlib_resources, or use a 'folder:' or 'npz:' source."
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
    if not all(k in features and isinstance(features[k], getattr(tfds.features, t)) for k, t in wanted.items()):
        needs = ' and '.join(f'{k!r} ({t})' for k, t in wanted.items())
        raise ValueError(f'The builder {name!r} needs the features {needs}, but has {dict(features.items())}.')
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
    return tfds, builder


def _split(tfds, builder, split):
    """The Encoded of one split, with the labels -1 where it has none. Reading the labels keeps the encoded images, up
    to 1 GiB."""
    skip = {'image': tfds.decode.SkipDecoding()}
    try:
        data = builder.as_data_source(split=split, decoders=skip)
        starts = range(0, len(data), 1024)
        items = (item for i in starts for item in data.__getitems__(range(i, min(i + 1024, len(data)))))
    except NotImplementedError:  # the data was prepared earlier, as TFRecord
        data = None
        rows = builder.as_dataset(split=split, decoders=skip)
        rows = rows.map(lambda item: {k: item[k] for k in ('image', 'label') if k in item}).batch(1024)
        items = (dict(zip(b, row)) for b in rows.as_numpy_iterator() for row in zip(*b.values()))
    labels, sizes, held, total = [], [], [], 0
    for item in items:
        labels.append(int(item.get('label', -1)))
        sizes.append(len(item['image']))
        total += sizes[-1]
        if data is None or total <= 2**30:
            held.append(item['image'])
    n = len(labels)

    def read(number):
        return held[number] if number < len(held) else data[int(number)]['image']

    names = [f'{builder.info.full_name} {split}[{i}]' for i in range(n)]
    where = {'keys': held, 'reader': bytes} if len(held) == n else {'keys': range(n), 'reader': read, 'portable': False}
    return Encoded(folder.Files(names, sizes, [None] * n, **where), np.arange(n), np.array(labels, np.int32))
