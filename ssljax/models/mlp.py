"""Dense layers, for points in the plane (images of 1x1 pixels and two channels) and other tiny images."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from ssljax.models import layers
from ssljax.settings.fields import WIDEST, whole_or_usual

OPTIONS = dict(
    width=whole_or_usual(128, 1, WIDEST),  # features of a layer
    depth=whole_or_usual(3, 1, 1000),  # layers
    norm=layers.NORM,
)


class Block(nn.Module):
    """Dense layer and leaky ReLU, normalised as config.backbone.norm says: [B, ...] -> [B, width]."""

    width: int
    norm: str
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        dense = functools.partial(nn.Dense, self.width, name='dense')
        return layers.normalized(dense, x.reshape(x.shape[0], -1), self.norm, train, self.dtype)


def make(config) -> layers.Backbone:
    """dense1 .. denseN [B, width] for config.depth = N and images of any size, on which dense1's shape depends."""
    block = functools.partial(Block, config.width, config.norm, layers.common(config)['dtype'])
    return layers.Backbone('mlp', tuple((f'dense{i}', block) for i in range(1, config.depth + 1)), min_size=1)
