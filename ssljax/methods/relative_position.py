"""Context prediction: on which side of a patch does its neighbour lie? Doersch, Gupta & Efros, ICCV 2015
(arXiv:1505.05192).

Two patches, one trunk, and a head on the two concatenated features that predicts which of the eight neighbours the
second is. A gap and jitter keep lines across the border from giving the answer away, and dropping two of three
colours keeps chromatic aberration from doing so. The first patch lies anywhere that lets both fit into the image, so
that its place says little. Deviations: patches are a share of the image (96 pixels of some 500 there), images are not
resampled at random, and the authors' head has two hidden layers of 4096; here they are pretrain.hidden, by default
none.
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
    tile=whole(0, 0, 2**14),  # pixels a side of a patch; 0: 0.3 of the image's
    gap=whole(-1, -1, 2**14),  # pixels between the two; -1: half a patch, as in the paper
    # Pixels by which the second moves either way; -1: 7/96 of a patch, as in the paper, and at least 1.
    jitter=whole(-1, -1, 2**14),
    drop=True,  # keep one random colour of a patch and replace the others by noise (RGB only)
)
REMEDY = 'lower optim.lr, set optim.clip or optim.warmup, or make the augmentation weaker'
_NEIGHBOURS = np.delete(np.stack(np.divmod(np.arange(9, dtype=np.int32), 3), 1) - 1, 4, 0)  # [8, 2], reading order


def make(config, shape) -> Method:
    """Predicts which of 8 neighbours, in reading order, the second patch is.

    Raises:
      ValueError: patches too small for the backbone or too large for the image, or an option out of range.
    """
    cfg, options = config.pretrain, config.pretrain.relative_position
    net = network.build(config, shape)
    side = min(shape[:2])
    tile = options.tile or round(0.3 * side)
    gap = tile // 2 if options.gap < 0 else options.gap
    jitter = max(1, round(tile * 7 / 96)) if options.jitter < 0 else options.jitter
    choices = (
        ('tile', options.tile == 0, tile, '0.3 of a side of the image'),
        ('gap', options.gap < 0, gap, 'half a patch'),
        ('jitter', options.jitter < 0, jitter, '7 of 96 of a patch'),
    )
    decided = tuple((f'pretrain.relative_position.{name}', v, why) for name, left, v, why in choices if left)
    if tile < net.backbone.min_size:
        raise ValueError(
            f'relative_position would cut patches of {tile} pixels from images of {shape[0]}x{shape[1]}; the backbone '
            f'needs {net.backbone.min_size}: set data.image_size to {-(-10 * net.backbone.min_size // 3)} or more, or '
            'pretrain.relative_position.tile, or choose another pretext task.'
        )
    if 2 * tile + gap + jitter > side:
        raise ValueError(
            f'relative_position: two patches of {tile} pixels with a gap of {gap} and jitter {jitter} take '
            f'{2 * tile + gap + jitter} pixels, but the images have {side}: make pretrain.relative_position.tile, gap '
            'or jitter smaller.'
        )
    shapes.check_weights(net, (tile, tile, shape[2]), shape, 'relative_position')
    head = Head(8, tuple(cfg.hidden))
    distort = network.augmentation(config, 'relative_position')

    def pairs(key, images):
        k_pair, k_drop = jax.random.split(key)
        corners, labels = places(k_pair, len(images), images.shape[1:], tile, gap, jitter)
        tiles = patches.cut(images, corners, tile)
        return (drop_colours(k_drop, tiles) if options.drop and shape[2] == 3 else tiles), labels

    def solve(params, state, tiles, train):
        return siamese.apply(net, head, params, state, augment.normalize(tiles), cfg.pool, train=train)

    def loss(params, state, ema, batch, key):
        k_aug, k_pair = jax.random.split(key)
        tiles, labels = pairs(k_pair, distort(k_aug, augment.to_float(batch['image'])))
        logits, state = solve(params, state, tiles, train=True)
        losses = cross_entropy(logits, labels, smoothing=cfg.label_smoothing)
        return losses.mean(), (state, network.classification_metrics(logits, labels, losses))

    def measure(params, state, batch):
        tiles, labels = pairs(jax.random.key(0), augment.to_float(batch['image']))
        logits, _ = solve(params, state, tiles, train=False)
        return network.classification_metrics(logits, labels, mask=batch['mask'])

    def show(params, state, images):
        images = augment.to_float(images)
        tiles, labels = pairs(jax.random.key(0), images)
        guess = solve(params, state, tiles, train=False)[0].argmax(1)
        return {
            'original': images,
            'patch and neighbour': patches.assemble(around(tiles, labels), line=1),
            'neighbour as predicted': patches.assemble(around(tiles, guess), line=1),
        }

    return Method(
        init=lambda key, batch: siamese.init(net, head, key, (2, tile, tile, shape[2]), cfg.pool),
        loss=loss,
        measure=measure,
        show=show,
        per_image=True,
        views=2,
        decided=decided,
    )


def places(key, batch: int, shape, tile: int, gap: int, jitter: int):
    """Top left corners [batch, 2, 2] int32 of pairs of patches in images of `shape` (H, W, C); labels [batch] int32."""
    k_label, k_jitter, k_first = jax.random.split(key, 3)
    labels = jax.random.randint(k_label, (batch,), 0, 8)
    moved = jax.random.randint(k_jitter, (batch, 2), -jitter, jitter + 1)
    step = jnp.asarray(_NEIGHBOURS)[labels] * (tile + gap) + moved
    low, room = jnp.maximum(-step, 0), jnp.array(shape[:2]) - tile - jnp.abs(step)
    first = low + jax.random.randint(k_first, (batch, 2), 0, room + 1)
    return jnp.stack([first, first + step], 1), labels


def drop_colours(key, tiles):
    """Keeps one random colour of each tile [B, T, h, w, 3]; the others become mid-gray with Gaussian noise of 1 / 100
    of the kept one's standard deviation."""
    k_keep, k_noise = jax.random.split(key)
    kept = jax.random.randint(k_keep, (*tiles.shape[:2], 1, 1, 1), 0, 3) == jnp.arange(3)
    spread = jnp.sum(tiles.std((2, 3), keepdims=True) * kept, -1, keepdims=True)
    return jnp.where(kept, tiles, 0.5 + 0.01 * spread * jax.random.normal(k_noise, tiles.shape))


def around(tiles, labels):
    """Pairs [B, 2, h, w, C] as 3 x 3 tiles [B, 9, h, w, C], the second on the side that `labels` [B] say, gray
    elsewhere."""
    place = jnp.where(labels < 4, labels, labels + 1)[:, None] == jnp.arange(9)
    second = jnp.where(place[:, :, None, None, None], tiles[:, 1:], 0.5)
    return second.at[:, 4].set(tiles[:, 0])
