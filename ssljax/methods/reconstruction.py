"""What the tasks that reconstruct an image from a corrupted copy share."""

import jax
import jax.numpy as jnp

from ssljax.core import Method
from ssljax.data import augment
from ssljax.methods import network
from ssljax.models import layers
from ssljax.models.decoder import Decoder


def make(net: network.Network, distort, corrupt) -> Method:
    """A method whose last head gives images, compared with the input before `corrupt` in squared error.

    Evaluation and pictures use a fixed key for `corrupt`. No embedding is compared, so `embed` is None.

    Args:
      net: a network with the head 'decoder'.
      distort: the augmentation (key, images [B, H, W, C] float32 in [0, 1]) -> images; they are the target.
      corrupt: (key, x [B, H, W, C] float32 in [-1, 1]) -> (input [B, H, W, C], weights [B, H, W, 1] of the error).
    """

    def run(params, state, key, x, train):
        given, weights = corrupt(key, x)
        outputs, state = network.apply(net, params, state, given, train=train)
        return weighted_error(outputs['decoder'], x, weights), state, given, outputs['decoder']

    def loss(params, state, ema, batch, key):
        k_aug, k_noise = jax.random.split(key)
        x = augment.normalize(distort(k_aug, augment.to_float(batch['image'])))
        losses, state, *_ = run(params, state, k_noise, x, True)
        return losses.mean(), (state, network.means({'loss': losses}))

    def measure(params, state, batch):
        losses = run(params, state, jax.random.key(0), network.to_input(batch['image']), False)[0]
        return network.means({'loss': losses}, batch['mask'])

    def show(params, state, images):
        x = network.to_input(images)
        *_, given, made = run(params, state, jax.random.key(0), x, False)
        return {'original': picture(x), 'input': picture(given), 'reconstruction': picture(made)}

    return Method(
        init=lambda key, batch: network.init(net, key, batch['image']),
        loss=loss,
        measure=measure,
        show=show,
        per_image=True,
    )


def decoder(config, name: str, shape, pool: str = 'flatten') -> Decoder:
    """The convolutional decoder to images of `shape` with the options `width` and, where there is one, `bottleneck`
    of config.pretrain.<name>. Raises ValueError for widths out of range."""
    options = config.pretrain[name]
    width, bottleneck = options.width, options.get('bottleneck', 0)
    if width < 1 or bottleneck < 0:
        raise ValueError(
            f'pretrain.{name}.width is {width} and bottleneck {bottleneck}: the decoder needs a width of 1 or more, '
            'and a bottleneck of 1 or more, or 0 for none.'
        )
    return Decoder(tuple(shape), width, pool, bottleneck, **layers.common(config.backbone))


def weighted_error(made, x, weights):
    """Squared error of made and x [B, H, W, C], averaged over each image with `weights` [B, H, W, 1]: [B] float32."""
    error = jnp.square(made - x).mean(axis=3, keepdims=True)
    return jnp.sum(weights * error, axis=(1, 2, 3)) / jnp.maximum(jnp.sum(weights, axis=(1, 2, 3)), 1e-6)


def picture(x):
    """Float32 in [-1, 1] to [0, 1], clipped."""
    return jnp.clip((x + 1) / 2, 0.0, 1.0)
