"""Dense layers, for points in the plane (images of 1x1 pixels and two channels) and other tiny images."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from ssljax.models import layers


class Block(nn.Module):
    """Dense layer and leaky ReLU, normalised as config.backbone.norm says: [B, ...] -> [B, width]."""

    width: int
    norm: str
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        dense = functools.partial(nn.Dense, self.width, name='dense')
        return layers.normalized(dense, x.reshape(x.shape[0], -1), self.norm, train, self.dtype)


def mlp(config) -> layers.Backbone:
    """dense1 .. denseN [B, width] for config.depth = N (0: 3), config.width (0: 128) and images of any size.

    The weights of dense1 follow the image size. Raises ValueError for a width or depth below 0 or an unknown norm.
    """
    width, depth = config.width or 128, config.depth or 3
    if width < 0 or depth < 0:
        raise ValueError(f'backbone.width={width} and backbone.depth={depth}: both must be 0 (the default) or more')
    block = functools.partial(Block, width, layers.check_norm(config), layers.common(config)['dtype'])
    return layers.Backbone('mlp', tuple((f'dense{i}', block) for i in range(1, depth + 1)), min_size=1)
