"""Exemplar: which of the training images is this a distorted copy of? Dosovitskiy, Springenberg, Riedmiller & Brox,
NeurIPS 2014 (arXiv:1406.6909).

Each of `classes` images is a surrogate class of its own. Deviation: distortions are drawn anew in every step (the paper
draws some 150 for each image beforehand), and whole images take the place of patches of high gradient.
Published on CIFAR-10 (400 labels per class, their 64c5-128c5-256c5-512f network on STL-10 patches, linear SVM): 75.4%.
"""

import jax
import jax.numpy as jnp

from ssljax.core import Method
from ssljax.data import augment
from ssljax.losses import cross_entropy, nt_xent
from ssljax.methods import joint, network
from ssljax.models.heads import Head, pool_features
from ssljax.settings.fields import whole

OPTIONS = dict(
    classes=whole(2000, 2, 2**20),  # images, each a class; 8,000 to 16,000 did best in the paper (section 4.4)
)
REMEDY = 'lower optim.lr, set optim.clip or optim.warmup, or make the augmentation weaker'


def make(config, shape) -> Method:
    """Trains on `classes` images drawn at random from the unlabelled ones.

    Other images have no class, so validation asks whether two distorted copies of an image are nearer to each other
    than to those of the other images of the batch: loss is NT-Xent on the features, at a temperature of 0.1.

    Raises:
      ValueError: no augmentation, or fewer than 2 classes.
    """
    cfg, options = config.pretrain, config.pretrain.exemplar
    if options.classes < 2:
        raise ValueError(f'pretrain.exemplar.classes is {options.classes}; it must be 2 or more.')
    net = network.build(config, shape, ('head', Head(options.classes, tuple(cfg.hidden), cfg.pool)))
    views = joint.pipelines(config, 'exemplar')
    distort = network.augmentation(config, 'exemplar')

    def loss(params, state, ema, batch, key):
        x = augment.normalize(distort(key, augment.to_float(batch['image'])))
        outputs, state = network.apply(net, params, state, x, train=True)
        losses = cross_entropy(outputs['head'], batch['index'], smoothing=cfg.label_smoothing)
        return losses.mean(), (state, network.classification_metrics(outputs['head'], batch['index'], losses))

    def measure(params, state, batch):
        x, _ = views.draw(jax.random.key(0), joint.fill(batch['image'], batch['mask']))
        features = pool_features(
            network.apply(net, params, state, augment.normalize(x), train=False)[0]['backbone'], cfg.pool
        )
        losses, right = (v.reshape(2, -1).mean(0) for v in nt_xent(*jnp.split(features, 2), 0.1))
        return network.means({'loss': losses, 'top1': right}, batch['mask'])

    def show(params, state, images):
        x, _ = views.draw(jax.random.key(0), images)
        return {'original': augment.to_float(images), 'a copy': x[: len(images)], 'another': x[len(images) :]}

    return Method(
        init=lambda key, batch: network.init(net, key, batch['image']),
        loss=loss,
        measure=measure,
        show=show,
        per_image=True,
        images=options.classes,
    )
