"""DCGAN: is this image real or generated? Radford, Metz & Chintala, ICLR 2016 (arXiv:1511.06434).

Published: a linear SVM on all layers of a discriminator trained on ImageNet-1k, pooled to 4 x 4, reaches 82.8% on
CIFAR-10.
"""

import jax
import optax

from ssljax.core import Method
from ssljax.data import augment
from ssljax.methods import network, reconstruction
from ssljax.models import layers
from ssljax.models.decoder import generator
from ssljax.models.heads import Head
from ssljax.settings.fields import WIDEST, whole

OPTIONS = dict(
    noise=whole(100, 1, WIDEST),  # dimensions of the generator's input, uniform in [-1, 1]
    width=whole(32, 1, WIDEST),  # features of the generator's last hidden map; the paper's has 128
)
REMEDY = 'lower optim.lr: the discriminator no longer distinguishes images'


def make(config, shape) -> Method:
    """The backbone with a linear head distinguishes real images from those of a generator that tries to fool it.

    The non-saturating losses of Goodfellow et al. 2014 (section 3). Both players are updated in the same step, each
    against the other's weights from before it (in the paper, one after the other). The sum of their losses is the
    method's loss, and `stop_gradient` keeps each part of it to its own player: 'backbone' and 'head' get the gradient
    of the discriminator's loss alone, 'generator' that of its own. BatchNorm sees real and generated images as separate
    batches; the running statistics of the backbone, which transfer needs, are those of real images.
    `pretrain.label_smoothing` e makes the target of real images 1 - e (one-sided, Salimans et al. 2016, section 3.4).
    The discriminator is whatever the backbone is, not the paper's strided convolutions with leaky ReLU.

    Raises:
      ValueError: noise or a width below 1.
    """
    cfg, options = config.pretrain, config.pretrain.gan
    if options.noise < 1 or options.width < 1:
        raise ValueError(f'pretrain.gan has noise={options.noise}, width={options.width}: both must be 1 or more.')
    net = network.build(config, shape, ('head', Head(1, tuple(cfg.hidden), cfg.pool)))
    make_images = generator(tuple(shape), options.width, **layers.common(config.backbone))
    distort = network.augmentation(config, 'gan')

    def noise(key, count):
        return jax.random.uniform(key, (count, options.noise), minval=-1.0)

    def judge(params, state, x, train):
        outputs, state = network.apply(net, params, state, x, train=train)
        return outputs['head'][:, 0], state

    def play(params, state, real, z, smoothing, train):
        """Rows of each metric, the loss among them, and the new state."""
        hold, cross_entropy = jax.lax.stop_gradient, optax.sigmoid_binary_cross_entropy
        made, own = network.part(make_images, 'generator', params, state, z, train=train)
        on_real, new = judge(params, state, real, train)
        on_made = judge(params, state, hold(made), train)[0]
        passed = judge(hold(params), state, made, train)[0]
        discriminator = cross_entropy(on_real, 1 - smoothing) + cross_entropy(on_made, 0.0)
        rows = {
            'loss': discriminator + cross_entropy(passed, 1.0),
            'discriminator': discriminator,
            'generator': cross_entropy(passed, 1.0),
            'd_real': jax.nn.sigmoid(on_real),
            'd_fake': jax.nn.sigmoid(on_made),
        }
        return rows, network.put(new, 'generator', own)

    def loss(params, state, ema, batch, key):
        k_aug, k_noise = jax.random.split(key)
        real = augment.normalize(distort(k_aug, augment.to_float(batch['image'])))
        rows, state = play(params, state, real, noise(k_noise, len(real)), cfg.label_smoothing, True)
        return rows['loss'].mean(), (state, network.means(rows))

    def measure(params, state, batch):
        real = network.to_input(batch['image'])
        rows, _ = play(params, state, real, noise(jax.random.key(0), len(real)), 0.0, False)
        return network.means(rows, batch['mask'])

    def show(params, state, images):
        z = noise(jax.random.key(0), len(images))
        made = network.part(make_images, 'generator', params, state, z, train=False)[0]
        return {'generated': reconstruction.picture(made)}

    def init(key, batch):
        k_net, k_made = jax.random.split(key)
        return network.add_part(
            network.init(net, k_net, batch['image']), 'generator', make_images, k_made, noise(key, 1)
        )

    return Method(init=init, loss=loss, measure=measure, show=show)
