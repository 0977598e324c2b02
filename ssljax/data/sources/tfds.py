"""A builder of TensorFlow Datasets with `image` and `label`, whose encoded images are handled as image files are; it
needs TensorFlow.

Data prepared here is written as ArrayRecord, which has random access; data that was prepared earlier as TFRecord gets
it by an index, which is read once (shard_index.py). If the images do not fit in memory, those of TFRecord files are
streamed by tf.data (native.py), those of ArrayRecord as image files are. config.data.data_dir may be on a bucket.
"""

import difflib
import os

import numpy as np

from ssljax.data import folder, remote, shard_index
from ssljax.data.shards import ARRAY_RECORD, TFRECORD, Names, Shard
from ssljax.data.sources.asked import Encoded, without_labels
from ssljax.storage import paths

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
    builder = _prepared(asked, config, {'image': 'Image', 'label': 'ClassLabel'})
    have = {KINDS[s.lower()]: _split(builder, s) for s in builder.info.splits if s.lower() in KINDS}
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
    builder = _prepared(asked, config, {'image': 'Image'})
    have = {KINDS.get(split.lower()): split for split in builder.info.splits}
    split = have.get('unlabeled') or have.get('train')
    if not split:
        raise ValueError(f'The builder {asked.rest!r} has no train split, only {sorted(builder.info.splits)}.')
    return _split(builder, split)


def _prepared(asked, config, wanted: dict):
    """The builder, its data prepared. wanted: {feature: its type} that it must have."""
    name = asked.rest
    try:
        import tensorflow as tf
        import tensorflow_datasets as tfds
    except ImportError as e:
        raise ImportError(
            f'{asked} needs TensorFlow and TensorFlow Datasets ({e}), the tfds extra of ssljax: pip install '
            "tensorflow tensorflow-datasets importlib_resources, or use a 'folder:' or 'npz:' source."
        ) from e
    try:
        tf.config.set_visible_devices([], 'GPU')
    except RuntimeError:  # too late: the caller has used TensorFlow before
        pass
    place = _place(config.data_dir)
    try:
        builder = tfds.builder(name, data_dir=place)
    except (tfds.core.DatasetNotFoundError, AssertionError, ValueError) as e:
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
    return builder


def _split(builder, split):
    """The Encoded of one split, with the labels -1 if it has none."""
    info, format_ = builder.info, builder.info.file_format.value
    if format_ not in (TFRECORD, ARRAY_RECORD):
        raise ValueError(
            f'{info.full_name} in {str(builder.data_path)!r} is prepared as {format_}, which cannot be read: prepare '
            'it as array_record or tfrecord.'
        )
    parts = [Shard(os.fspath(i.filename), i.skip, i.take) for i in info.splits[split].file_instructions if i.take]
    table = shard_index.table(format_, parts, os.fspath(builder.data_path), split)
    names, sizes, crcs = Names(f'{info.full_name} {split}', len(table)), table.about.size, table.about.crc
    files = folder.Files(names, sizes.tolist(), crcs.tolist(), table, table.reader, table.portable)
    return Encoded(files, np.arange(len(table)), table.about.label)


def _place(given: str):
    """config.data.data_dir, a path or the URL of a bucket; None if it is empty. Raises ValueError for a URL that cannot
    be read."""
    if not remote.is_url(given):
        return paths.expand(given) or None
    remote.check(given, 'config.data.data_dir')
    return given
