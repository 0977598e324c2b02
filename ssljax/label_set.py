"""The images of a seed that are labelled, unlabelled and for validation: drawn once, and kept in its folder."""

import sys
from pathlib import Path

from ssljax import checkpoint, evaluate, files
from ssljax.data import partition as partitions
from ssljax.data import pick
from ssljax.evals import embed
from ssljax.transfer import held_layers


def rows(config, source, mesh, seed: int, directory: Path) -> partitions.Partition:
    """The Partition of one seed. `directory` gets it as partition.npz and, where images have names, those of the
    labelled ones as labels.txt, which --config.data.labels=list:PATH can read.

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
        represent=_typical(config, source, mesh, seed) if config.data.choose == 'typical' else None,
    )  # fmt: skip
    if names:
        files.write_atomically(directory / 'labels.txt', ''.join(f'{names[row]}\n' for row in found.labeled))
    partitions.save(path, found, train=source.train.digest(), seed=seed)
    return found


def _typical(config, source, mesh, seed: int):
    """`represent` of partition.choose, by the last layer of the backbone in config.data.features."""
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
    layers = evaluate.pooled_layers(backbone, 'avg')

    def represent(rows, count: int):
        print(f'seed {seed} · features of {len(rows)} images, to choose {count}', file=sys.stderr)
        images = source.train.take(rows)
        seen = embed.outputs(layers, variables, images, batch_size=config.evaluate.batch_size, mesh=mesh)[layer]
        return rows[pick.typical(seen, count, seed)]

    return represent
