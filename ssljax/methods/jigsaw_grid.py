"""Jigsaw puzzle on the whole picture: where does each tile of a shuffled image belong?

The direct variant of Noroozi & Favaro's task (ECCV 2016, arXiv:1603.09246; see `jigsaw`): the tiles are cut with gaps
and jitter, equalised, shuffled in any order and spread over a picture of the image's size, which the network sees. A
head predicts which tile each place shows. Any order can occur, as there is no fixed set of permutations, and the
network works on whole pictures, as it does after transfer; but features near the borders of tiles see what lies between
them, which the paper's context-free network avoids.
"""

import jax
import jax.numpy as jnp

from ssljax.core import Method
from ssljax.data import augment, patches
from ssljax.losses import cross_entropy
from ssljax.methods import network, shapes
from ssljax.models.heads import Head
from ssljax.settings.fields import whole

OPTIONS = dict(
    grid=whole(3, 2, 10),  # tiles a side
    tile=whole(0, 0, 2**14),  # pixels a side of a tile; 0: what the gaps leave
    gap=whole(-1, -1, 2**14),  # pixels between tiles; -1: about a seventh of a cell, as for jigsaw
    jitter=whole(-1, -1, 2**14),  # pixels by which a tile moves either way; -1: half the gap
)
REMEDY = 'lower optim.lr, set optim.clip or optim.warmup, or make the augmentation weaker'


def make(config, shape) -> Method:
    """Predicts [B, T, T] logits: for each of the T = grid x grid places, which of the T tiles it shows.

    If pretrain.pool is 'avg', which would lose the tiles' positions, the head pools the backbone's last map to two
    cells per tile on each axis, or takes the whole map if it has fewer. top1 and loss are means over tiles.

    Raises:
      ValueError: tiles below 4 pixels, or an option out of range.
    """
    cfg, options = config.pretrain, config.pretrain.jigsaw_grid
    where = (options.grid, options.tile, options.gap, options.jitter)
    grid = patches.fit(shape, *where, smallest=4, task='jigsaw_grid')
    total = grid.tiles**2
    net = shapes.last_map(network.build(config, shape), shape, 'jigsaw_grid')
    side = min(*shapes.map_size(net, shape)[:2], 2 * grid.tiles)
    head = Head(total**2, tuple(cfg.hidden), f'grid{side}' if cfg.pool == 'avg' else cfg.pool)
    net = net._replace(heads=(('head', head),))
    distort = network.augmentation(config, 'jigsaw_grid')

    def solve(params, state, tiles, train):
        whole = augment.normalize(patches.spread(patches.equalize(tiles), shape))
        outputs, state = network.apply(net, params, state, whole, train=train)
        return outputs['head'].reshape(-1, total, total), state

    def loss(params, state, ema, batch, key):
        k_aug, k_puzzle = jax.random.split(key)
        tiles, order = puzzle(k_puzzle, distort(k_aug, augment.to_float(batch['image'])), grid)
        logits, state = solve(params, state, tiles, train=True)
        logits, labels = logits.reshape(-1, total), order.ravel()
        losses = cross_entropy(logits, labels, smoothing=cfg.label_smoothing)
        return losses.mean(), (state, network.classification_metrics(logits, labels, losses))

    def measure(params, state, batch):
        tiles, order = puzzle(jax.random.key(0), augment.to_float(batch['image']), grid)
        logits, labels = solve(params, state, tiles, train=False)[0].reshape(-1, total), order.ravel()
        mask = jnp.repeat(batch['mask'], total)
        return network.classification_metrics(logits, labels, mask=mask)

    def show(params, state, images):
        """Each place shows the tile most likely to belong there; if that is wrong, a tile may appear twice."""
        images = augment.to_float(images)
        tiles, _ = puzzle(jax.random.key(0), images, grid)
        claims = jax.nn.log_softmax(solve(params, state, tiles, train=False)[0])
        return {
            'original': images,
            'shuffled tiles': patches.assemble(tiles, line=1),
            'put back as predicted': patches.assemble(patches.take(tiles, claims.argmax(1)), line=1),
        }

    return Method(
        init=lambda key, batch: network.init(net, key, batch['image']),
        loss=loss,
        measure=measure,
        show=show,
        per_image=True,
        decided=patches.decided('jigsaw_grid', options, grid),
    )


def puzzle(key, images, grid: patches.Grid):
    """Shuffled tiles [B, T, t, t, C] of images [B, H, W, C], and which tile each place shows, [B, T] int32."""
    k_place, k_order = jax.random.split(key)
    tiles = patches.scatter(k_place, images, grid)
    order = jnp.argsort(jax.random.uniform(k_order, tiles.shape[:2]), axis=1)
    return patches.take(tiles, order), order
