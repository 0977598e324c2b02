"""Context encoder: what was in the hole? Pathak, Krahenbuhl, Donahue, Darrell & Efros, CVPR 2016 (arXiv:1604.07379).

Published with AlexNet trained on ImageNet: 56.5% mean average precision of Pascal VOC 2007 classification.
"""

import jax
import jax.numpy as jnp

from ssljax.core import Method
from ssljax.methods import network, reconstruction
from ssljax.models import layers
from ssljax.models.decoder import Channelwise
from ssljax.settings.fields import WIDEST, choice, real, whole

OPTIONS = dict(
    hole=choice('random', 'center', 'random'),  # center | random: one block in the middle, or several anywhere
    # Side of a square of the removed area, relative to the image's side: 0.5 is a quarter of the pixels.
    size=real(0.5, 0.01, 1.0),
    blocks=whole(4, 1, 1000),  # random: blocks, which have this area in total; they may overlap
    overlap=whole(1, 0, 1000),  # pixels around each hole that are seen but still reconstructed
    overlap_weight=10.0,  # weight of the error there; 1 inside the hole
    width=whole(32, 1, WIDEST),  # features of the decoder's last hidden map
)
REMEDY = 'lower optim.lr, widen the decoder, or remove less of the picture'


def make(config, shape) -> Method:
    """Squared error in the hole, which the backbone, a channel-wise dense layer and a decoder fill from the context.

    The network sees the hole filled with the mean colour of the rest of the image (in the paper, of all images). The
    band of `overlap` pixels around it, which the network sees as it is, has a weight of 10, so that the reconstruction
    fits its surroundings (section 4; 7 pixels of 128 there). The error is divided by the sum of the weights. The
    adversarial loss (section 3.2), which the paper uses for inpainting but not for the features that it transfers, is
    left out; so is its freely shaped "random region", which did as well there as random blocks.

    Raises:
      ValueError: an unknown kind of hole, or options that leave no hole or no context.
    """
    options = config.pretrain.context_encoder
    if options.hole not in ('center', 'random'):
        raise ValueError(f'pretrain.context_encoder.hole is {options.hole!r}; it can be center or random.')
    if not 0 < options.size < 1 or options.blocks < 1 or options.overlap < 0 or options.overlap_weight < 0:
        raise ValueError(
            f'pretrain.context_encoder has size={options.size}, blocks={options.blocks}, overlap={options.overlap}, '
            f'overlap_weight={options.overlap_weight}: the size must be between 0 and 1, the blocks 1 or more, the '
            'others 0 or more.'
        )
    count = options.blocks if options.hole == 'random' else 1
    sides = [round(options.size * side / count**0.5) for side in shape[:2]]
    if min(sides) < 1:
        raise ValueError(
            f'pretrain.context_encoder.size={options.size} in {count} blocks leaves no pixel to remove from images of '
            f'{shape[0]}x{shape[1]}: use a larger size, fewer blocks or larger images.'
        )

    def corrupt(key, x):
        last = [n - s for n, s in zip(shape, sides)]
        if options.hole == 'center':
            start = jnp.tile(jnp.array(last) // 2, (len(x), 1, 1))
        else:
            start = jax.random.randint(key, (len(x), count, 2), 0, jnp.array(last) + 1)
        hole = covered(start, sides, x.shape, 0)
        band = covered(start, sides, x.shape, options.overlap) - hole
        return remove(x, hole), hole + options.overlap_weight * band

    common = layers.common(config.backbone)
    decoder = reconstruction.decoder(config, 'context_encoder', shape)
    net = network.build(config, shape, ('channelwise', Channelwise(**common)), ('decoder', decoder))
    return reconstruction.make(net, network.augmentation(config, 'context_encoder'), corrupt)


def remove(x, hole):
    """x [B, H, W, C] with the mean colour of the rest of each image where hole [B, H, W, 1] is 1."""
    seen = 1 - hole
    mean = jnp.sum(seen * x, axis=(1, 2), keepdims=True) / jnp.maximum(jnp.sum(seen, (1, 2), keepdims=True), 1)
    return seen * x + hole * mean


def covered(start, sides, shape, margin: int):
    """[B, H, W, 1] float32, 1 in the blocks of `sides` (h, w) from `start` [B, n, 2] int32 and `margin` around them."""
    inside = []
    for axis in (0, 1):
        away = jnp.arange(shape[axis + 1]) - start[:, :, axis, None]
        inside.append((away >= -margin) & (away < sides[axis] + margin))
    both = inside[0][:, :, :, None] & inside[1][:, :, None, :]
    return both.any(axis=1)[..., None].astype(jnp.float32)
