"""Jigsaw puzzle: in which order do the tiles of an image stand? Noroozi & Favaro, ECCV 2016 (arXiv:1603.09246).

A context-free network: one trunk sees each tile by itself, and the head the concatenated features of all tiles in the
order shown. It predicts which of a set of permutations shuffled them. Gaps between tiles, their jitter, and one mean
and deviation for all tiles of an image keep edges and lighting from giving the answer away. On colour images the
authors also train on gray ones: --config.pretrain.jigsaw.augment="grayscale(p=0.3)". Their head has a layer of 512 for
each tile and two of 4096; pretrain.hidden gives layers after the concatenation, by default none.

Published with AlexNet on ImageNet, 1000 permutations: 67.6 (classification, mAP in percent) on PASCAL VOC 2007.
"""

import jax
import jax.numpy as jnp
import numpy as np

from ssljax.core import Method
from ssljax.data import augment, patches
from ssljax.losses import cross_entropy
from ssljax.methods import network, shapes, siamese
from ssljax.models.heads import Head
from ssljax.settings.fields import whole

OPTIONS = dict(
    grid=whole(3, 2, 10),  # tiles a side
    tile=whole(0, 0, 2**14),  # pixels a side of a tile; 0: what the gaps leave
    gap=whole(-1, -1, 2**14),  # pixels between tiles; -1: about a seventh of a cell, as in the paper
    jitter=whole(-1, -1, 2**14),  # pixels by which a tile moves either way; -1: half the gap
    permutations=whole(100, 2, 10**4),  # size of the set to tell apart
)
REMEDY = 'lower optim.lr, set optim.clip or optim.warmup, or make the augmentation weaker'


def make(config, shape) -> Method:
    """Predicts one of `permutations` orders from the concatenated, pooled features of grid x grid tiles.

    Raises:
      ValueError: tiles too small for the backbone or too many for the image, or an option out of range.
    """
    cfg, options = config.pretrain, config.pretrain.jigsaw
    net = network.build(config, shape)
    where = (options.grid, options.tile, options.gap, options.jitter)
    grid = patches.fit(shape, *where, smallest=net.backbone.min_size, task='jigsaw')
    shapes.check_weights(net, (grid.tile, grid.tile, shape[2]), shape, 'jigsaw')
    orders = jnp.asarray(permutations(options.permutations, grid.tiles**2))
    head = Head(len(orders), tuple(cfg.hidden))
    distort = network.augmentation(config, 'jigsaw')

    def solve(params, state, tiles, train):
        return siamese.apply(
            net, head, params, state, augment.normalize(patches.equalize(tiles)), cfg.pool, train=train
        )

    def loss(params, state, ema, batch, key):
        k_aug, k_puzzle = jax.random.split(key)
        tiles, labels = puzzle(k_puzzle, distort(k_aug, augment.to_float(batch['image'])), grid, orders)
        logits, state = solve(params, state, tiles, train=True)
        losses = cross_entropy(logits, labels, smoothing=cfg.label_smoothing)
        return losses.mean(), (state, network.classification_metrics(logits, labels, losses))

    def measure(params, state, batch):
        tiles, labels = puzzle(jax.random.key(0), augment.to_float(batch['image']), grid, orders)
        logits, _ = solve(params, state, tiles, train=False)
        return network.classification_metrics(logits, labels, mask=batch['mask'])

    def show(params, state, images):
        images = augment.to_float(images)
        tiles, _ = puzzle(jax.random.key(0), images, grid, orders)
        guess = orders[solve(params, state, tiles, train=False)[0].argmax(1)]
        back = patches.take(tiles, jnp.argsort(guess, axis=1))
        return {
            'original': images,
            'shuffled tiles': patches.assemble(tiles, line=1),
            'put back as predicted': patches.assemble(back, line=1),
        }

    return Method(
        init=lambda key, batch: siamese.init(net, head, key, (grid.tiles**2, grid.tile, grid.tile, shape[2]), cfg.pool),
        loss=loss,
        measure=measure,
        show=show,
        per_image=True,
        views=grid.tiles**2,
        decided=patches.decided('jigsaw', options, grid),
    )


def puzzle(key, images, grid: patches.Grid, orders):
    """Shuffled tiles [B, T, t, t, C] of images [B, H, W, C], and their labels [B] int32, rows of `orders` [P, T].

    Place s shows tile orders[label, s], so that argsort(orders[label]) puts the tiles back.
    """
    k_place, k_order = jax.random.split(key)
    tiles = patches.scatter(k_place, images, grid)
    labels = jax.random.randint(k_order, (len(images),), 0, len(orders))
    return patches.take(tiles, orders[labels]), labels


def permutations(count: int, tiles: int, candidates: int = 50_000) -> np.ndarray:
    """`count` different permutations [count, tiles] int32, each far from all others; always the same ones.

    Greedy, like algorithm 1 of the paper: the next one has the largest Hamming distance to those chosen. Two
    deviations: the smallest distance decides and the mean breaks ties (the mean alone, as there, leaves pairs 2 apart),
    and the choice is from 50,000 random permutations, not all. With 9 tiles, 100 permutations are at least 6 apart and
    8.08 on average.
    """
    most = int(np.prod(np.arange(1.0, tiles + 1)).clip(max=candidates // 10))
    if not 2 <= count <= most:
        raise ValueError(f'pretrain.jigsaw.permutations is {count}; with {tiles} tiles it can be 2 to {most}.')
    rng = np.random.default_rng(0)
    columns = rng.permuted(np.tile(np.arange(tiles, dtype=np.uint8), (candidates, 1)), axis=1).T.copy()
    chosen, least, total = [0], np.full(candidates, tiles, np.int64), np.zeros(candidates, np.int64)
    while len(chosen) < count:
        distance = sum((column != column[chosen[-1]]).astype(np.uint8) for column in columns)
        least, total = np.minimum(least, distance), total + distance
        chosen.append(int((least * (tiles * count + 1) + total).argmax()))
    return columns[:, chosen].T.astype(np.int32)
