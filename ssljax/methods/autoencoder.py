"""Autoencoder: what does the image look like, given its code, or given a noisy copy?

Plain: Hinton & Salakhutdinov, Science 2006. Denoising: Vincent, Larochelle, Bengio & Manzagol, ICML 2008. Theirs are
stacks of dense layers, first trained one by one; here a convolutional network is trained as a whole.
"""

import jax
import jax.numpy as jnp

from ssljax.core import Method
from ssljax.methods import network, reconstruction
from ssljax.settings.fields import WIDEST, choice, share, whole

OPTIONS = dict(
    noise=choice('none', 'none', 'gaussian', 'mask'),  # none | gaussian | mask: what is done to the input
    strength=share(0.5),  # gaussian: standard deviation, of values in [0, 1]; mask: share of the pixels that are hidden
    # Features of a dense code between backbone and decoder; 0: the backbone's layer, pooled, is the code.
    bottleneck=whole(0, 0, WIDEST),
    width=whole(32, 1, WIDEST),  # features of the decoder's last hidden map
)
REMEDY = 'lower optim.lr, widen the code, or corrupt less of the input'


def make(config, shape) -> Method:
    """Mean squared error, over all pixels, between the image and its reconstruction from the backbone's last layer.

    The code is that layer, pooled by `pretrain.pool`. With 'flatten' it is the whole map, which may hold a copy of the
    image, so that little is learnt: on Fashion-MNIST with cnn (one seed, about 800 steps of adamw, lr 0.003) nearest
    neighbours reached 73.8% with 'flatten', 76.8% with 'grid4' and 75.9% with 'grid2', random weights 72.9%. A hidden
    pixel is mid-gray in all channels, so that, unlike in the papers, black pixels are not taken for hidden ones.
    Augmentation comes first and is part of the target.

    Raises:
      ValueError: an unknown noise, a strength out of range or a width that is not positive.
    """
    options = config.pretrain.autoencoder
    noise, strength = options.noise, options.strength
    if noise not in ('none', 'gaussian', 'mask'):
        raise ValueError(f'pretrain.autoencoder.noise is {noise!r}; it can be none, gaussian or mask.')
    if strength < 0 or (noise == 'mask' and strength >= 1):
        raise ValueError(
            f'pretrain.autoencoder.strength is {strength}; it must be 0 or more, and for noise=mask, the share of '
            'hidden pixels, below 1.'
        )

    net = network.build(
        config, shape, ('decoder', reconstruction.decoder(config, 'autoencoder', shape, config.pretrain.pool))
    )
    distort = network.augmentation(config, 'autoencoder')

    def corrupt(key, x):
        return spoil(key, x, noise, strength), jnp.ones((*x.shape[:3], 1))

    return reconstruction.make(net, distort, corrupt)


def spoil(key, x, noise: str, strength: float):
    """x [B, H, W, C] float32 in [-1, 1] with the noise of `OPTIONS`."""
    if noise == 'gaussian':
        return x + 2 * strength * jax.random.normal(key, x.shape)  # [-1, 1] is twice as long as [0, 1]
    if noise == 'mask':
        return jnp.where(jax.random.bernoulli(key, strength, (*x.shape[:3], 1)), 0.0, x)
    return x
