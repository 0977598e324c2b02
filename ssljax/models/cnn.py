"""The two-convolution network with 16 features a layer, for images from 8 x 8 and for quick tests."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from ssljax.models import layers


class Block(nn.Module):
    """3x3 convolution to 16 features, ReLU, 2x2 max pooling: [B, H, W, C] -> [B, H // 2, W // 2, 16]."""

    dtype: jnp.dtype
    mode: str

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        x = layers.Conv(16, 3, use_bias=True, dtype=self.dtype, mode=self.mode, name='conv')(x)
        return layers.max_pool(nn.relu(x), 2, 2, mode=self.mode)


def cnn(config) -> layers.Backbone:
    """conv1 [B, H/2, W/2, 16], conv2 [B, H/4, W/4, 16]; no normalisation."""
    block = functools.partial(Block, **layers.common(config))
    return layers.Backbone('cnn', (('conv1', block), ('conv2', block)), min_size=4)
