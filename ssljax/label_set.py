"""The images of a seed that are labelled, unlabelled and for validation: drawn once, and kept in its folder."""

import functools
import sys
from pathlib import Path

from ssljax import checkpoint, evaluate, files
from ssljax.data import names as naming
from ssljax.data import partition as partitions
from ssljax.data import pick
from ssljax.evals import embed
from ssljax.transfer import held_layers


def rows(config, source, represent, seed: int, directory: Path) -> partitions.Partition:
    """The Partition of one seed, with the label set that `represent`, of `representative`, chooses. `directory` gets it
    as partition.npz and, where images have names, those of the labelled ones as labels.txt, which
    --config.data.labels=list:PATH can read.

    Raises:
      ValueError, FileNotFoundError: as `partition.partition`; or the backbone of data.features saw other images.
    """
    path = directory / 'partition.npz'
    if path.exists():
        return partitions.load(path)[0]
    names = source.train.names()
    found = partitions.partition(
        source.train.labels, len(source.classes), budget=config.data.labels,
        val='0' if source.val is not None else config.data.val, seed=seed, classes=source.classes, names=names,
        represent=represent and functools.partial(represent, seed=seed), pool=config.data.pool,
    )  # fmt: skip
    if names:
        lines = [naming.to_line(names[row]) + '\n' for row in found.labeled]
        files.write_atomically(directory / 'labels.txt', ''.join(lines))
    partitions.save(path, found, train=source.train.digest(), seed=seed)
    return found


def representative(config, source, mesh):
    """(rows, count, seed) -> those of the training rows that represent the others, or None where config.data.choose
    is 'random'. The features, of the last layer of the backbone in config.data.features, are computed at the first
    call."""
    if config.data.choose == 'random':
        return None
    features = functools.cache(lambda: _features(config, source, mesh))
    return lambda rows, count, seed: rows[pick.typical(features()[rows], count, seed)]


def _features(config, source, mesh):
    variables, meta = checkpoint.load_variables(config.data.features)
    if meta['data']['shape'] != list(source.shape):
        raise ValueError(
            f'data.features={config.data.features} was trained on images of {meta["data"]["shape"]}, these are '
            f'{list(source.shape)}: set data.image_size and data.channels as they were there, or give another.'
        )
    like = config.backbone.copy_and_resolve_references()
    like.update(meta['config']['backbone'])
    backbone = held_layers(like, source.shape, variables['params']['backbone'])
    layer = meta['config']['pretrain']['layer'] or backbone.layers[-1][0]
    print(f'features of {len(source.train)} images, to choose the labelled ones', file=sys.stderr)
    layers = evaluate.pooled_layers(backbone, 'avg')
    return embed.outputs(layers, variables, source.train, batch_size=config.evaluate.batch_size, mesh=mesh)[layer]
