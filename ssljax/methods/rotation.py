"""RotNet: which rotation was applied? Gidaris, Singh & Komodakis, ICLR 2018 (arXiv:1803.07728).

Published on CIFAR-10 (all labels, NIN with 4 blocks, 200 epochs): three dense layers on block 2 reach 89.06%.
"""

import jax
import jax.numpy as jnp

from ssljax.core import Method
from ssljax.data import augment
from ssljax.losses import cross_entropy
from ssljax.methods import network
from ssljax.models.heads import Head
from ssljax.settings.fields import choice

OPTIONS = dict(
    count=choice(4, 2, 4, 8),  # rotations: 2, 4 or 8
    views=choice('all', 'all', 'one'),  # all rotations of an image in the batch, or 'one' at random
)
REMEDY = 'lower optim.lr, set optim.clip or optim.warmup, or make the augmentation weaker'


def make(config, shape) -> Method:
    """Predicts one of `count` rotations from the last layer of the backbone.

    With views='all' each step sees every rotation of each image of the batch, as the paper does
    (section 3, "Implementation details"), with 'one' a random one.

    Raises:
      ValueError: images that are not square, or an option out of range.
    """
    cfg, options = config.pretrain, config.pretrain.rotation
    count = options.count
    if count not in (2, 4, 8):
        raise ValueError(f'pretrain.rotation.count is {count}; it can be 2, 4 or 8.')
    if options.views not in ('all', 'one'):
        raise ValueError(f"pretrain.rotation.views is {options.views!r}; it can be 'all' or 'one'.")
    if shape[0] != shape[1]:
        raise ValueError(
            f'rotation needs square images; these are {shape[0]}x{shape[1]}: set data.image_size, for example '
            f'--config.data.image_size={min(shape[:2])}.'
        )
    net = network.build(config, shape, ('head', Head(count, tuple(cfg.hidden), cfg.pool)))
    distort = network.augmentation(config, 'rotation')

    def loss(params, state, ema, batch, key):
        k_aug, k_rot = jax.random.split(key)
        x = distort(k_aug, augment.to_float(batch['image']))
        if options.views == 'all':
            x, labels = all_rotations(x, count)
        else:
            x, labels = one_rotation(k_rot, x, count)
        outputs, state = network.apply(net, params, state, augment.normalize(x), train=True)
        losses = cross_entropy(outputs['head'], labels, smoothing=cfg.label_smoothing)
        return losses.mean(), (state, network.classification_metrics(outputs['head'], labels, losses))

    def measure(params, state, batch):
        x, labels = all_rotations(augment.to_float(batch['image']), count)
        logits = network.apply(net, params, state, augment.normalize(x), train=False)[0]['head']
        losses = cross_entropy(logits, labels)
        return network.classification_metrics(logits, labels, losses, jnp.repeat(batch['mask'], count))

    return Method(
        init=lambda key, batch: network.init(net, key, batch['image']),
        loss=loss,
        measure=measure,
        per_image=True,
        views=count if options.views == 'all' else 1,
    )


def all_rotations(x, count: int):
    """[B, H, W, C] -> images [B * count, H, W, C], and their labels [B * count] int32.

    Ordered image by image, so that if a batch is split over devices, the rotations of an image stay on its device. If
    they were ordered rotation by rotation, XLA would gather the batch, and each device would train on all of it.
    """
    y = jnp.moveaxis(augment.rotations(x, count), 0, 1)
    return y.reshape(-1, *x.shape[1:]), jnp.tile(jnp.arange(count), len(x))


def one_rotation(key, x, count: int):
    """[B, H, W, C] -> each image under one random rotation, and its label [B] int32."""
    labels = jax.random.randint(key, (len(x),), 0, count)
    y = augment.rotations(x, count)
    return y[labels, jnp.arange(len(x))], labels
