"""MobileNet v1: depthwise separable convolutions (Howard et al. 2017, table 1)."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from ssljax.models import layers
from ssljax.settings.fields import WIDEST, choice, whole_or_usual

OPTIONS = dict(
    stem=layers.STEM,
    # Features of conv1, all others in proportion: the paper's width multiplier is width / 32.
    width=whole_or_usual(32, 1, WIDEST // 32),
    activation=choice('auto', 'auto', 'relu', 'relu6'),  # relu is the paper's, relu6 timm's
)
# (features over those of conv1, stride) of conv2 .. conv14
_SEPARABLE = (2, 1), (4, 2), (4, 1), (8, 2), (8, 1), (16, 2), *((16, 1),) * 5, (32, 2), (32, 1)


class Stem(nn.Module):
    """3x3 convolution to `width` features; stride 2 ('imagenet') or 1 ('cifar'); 'auto' is 'cifar' below 64 pixels."""

    stem: str
    width: int
    relu6: bool
    dtype: jnp.dtype
    mode: str

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        small = self.stem == 'cifar' or (self.stem == 'auto' and min(x.shape[1:3]) < 64)
        block = layers.ConvBlock(self.width, 3, 1 if small else 2, dtype=self.dtype, mode=self.mode, name='block')
        return _ended(block(x, train), self.relu6)


class Separable(nn.Module):
    """3x3 depthwise, then 1x1 convolution, both with BatchNorm and ReLU -> [B, h, w, features]."""

    features: int
    stride: int
    relu6: bool
    dtype: jnp.dtype
    mode: str

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        block, channels = functools.partial(layers.ConvBlock, dtype=self.dtype, mode=self.mode), x.shape[-1]
        x = block(channels, 3, self.stride, groups=channels, name='depthwise')(x, train)
        x = _ended(x, self.relu6)
        return _ended(block(self.features, 1, name='pointwise')(x, train), self.relu6)


def _ended(x: jax.Array, relu6: bool) -> jax.Array:
    return jnp.minimum(x, 6) if relu6 else x


def make(config) -> layers.Backbone:
    """conv1 .. conv14, pool [B, 32 width]; images of 8 pixels and more."""
    kw = dict(relu6=config.activation == 'relu6', **layers.common(config))
    separable = [
        (f'conv{i}', functools.partial(Separable, times * config.width, stride, **kw))
        for i, (times, stride) in enumerate(_SEPARABLE, 2)
    ]
    stem = functools.partial(Stem, config.stem, config.width, **kw)
    return layers.Backbone('mobilenet', (('conv1', stem), *separable, ('pool', layers.GlobalPool)), min_size=8)
