"""MobileNet v1: depthwise separable convolutions (Howard et al. 2017, table 1)."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from ssljax.models import layers

OPTIONS = dict(stem=layers.STEM)
# (features, stride) of conv2 .. conv14
_SEPARABLE = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *((512, 1),) * 5,
    (1024, 2),
    (1024, 1),
)


class Stem(nn.Module):
    """3x3 convolution to 32 features: stride 2 ('imagenet'), 1 ('cifar'), or by 'auto' 1 below 64 pixels."""

    stem: str
    dtype: jnp.dtype
    mode: str

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        small = self.stem == 'cifar' or (self.stem == 'auto' and min(x.shape[1:3]) < 64)
        return layers.ConvBlock(32, 3, 1 if small else 2, dtype=self.dtype, mode=self.mode, name='block')(x, train)


class Separable(nn.Module):
    """3x3 depthwise, then 1x1 convolution, both with BatchNorm and ReLU -> [B, h, w, features]."""

    features: int
    stride: int
    dtype: jnp.dtype
    mode: str

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        block, channels = functools.partial(layers.ConvBlock, dtype=self.dtype, mode=self.mode), x.shape[-1]
        x = block(channels, 3, self.stride, groups=channels, name='depthwise')(x, train)
        return block(self.features, 1, name='pointwise')(x, train)


def make(config) -> layers.Backbone:
    """conv1 .. conv14, pool [B, 1024]; width multiplier 1; images of 8 pixels and more."""
    kw = layers.common(config)
    separable = [
        (f'conv{i}', functools.partial(Separable, features, stride, **kw))
        for i, (features, stride) in enumerate(_SEPARABLE, 2)
    ]
    stem = functools.partial(Stem, config.stem, **kw)
    return layers.Backbone('mobilenet', (('conv1', stem), *separable, ('pool', layers.GlobalPool)), min_size=8)
