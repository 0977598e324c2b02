"""AlexNet with BatchNorm as RotNet uses it on ImageNet (Krizhevsky et al. 2012; Gidaris et al. 2018)."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from ssljax.models import layers
from ssljax.settings.fields import WIDEST, whole_or_usual

OPTIONS = dict(
    stem=layers.STEM,
    width=whole_or_usual(64, 1, WIDEST // 64),  # features of conv1; all other layers in proportion
)
KEEPS_AUTO = True


class Stem(nn.Module):
    """11x11 convolution to `width` features, padding 2, with a stride set by `stem` and the image size.

    'imagenet' has stride 4 and 'cifar' 1; 'auto' has 4 from 128 pixels, 2 from 64 and 1 below. The parameters do not
    depend on the stride.
    """

    stem: str
    width: int
    dtype: jnp.dtype
    mode: str

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        size = min(x.shape[1:3])
        auto = 4 if size >= 128 else 2 if size >= 64 else 1
        stride = {'imagenet': 4, 'cifar': 1, 'auto': auto}[self.stem]
        block = functools.partial(layers.ConvBlock, self.width, 11, stride, 2, dtype=self.dtype, mode=self.mode)
        return block(use_bias=True, name='block')(x, train)


class FullyConnected(nn.Module):
    """Flatten, then twice: dense without bias, BatchNorm, ReLU. [B, h, w, c] -> [B, width]."""

    width: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        x = x.reshape(x.shape[0], -1)
        for i in (1, 2):
            dense = nn.Dense(
                self.width, use_bias=False, kernel_init=layers.fan_out_normal, dtype=self.dtype, name=f'dense{i}'
            )
            x = dense(x)
            x = layers.BatchNorm(train, slope=0.0, dtype=self.dtype, name=f'norm{i}')(x)
        return x


def make(config) -> layers.Backbone:
    """conv1, pool1, conv2, pool2, conv3, conv4, conv5, pool5, fc_block; images of 16 pixels and more.

    At 224 pixels this is RotNet's network (pool5 is 6 x 6 x 256). On small maps, a pooling window shrinks to the map.
    The size of fc_block's first layer depends on the image size.
    """
    kw, width = layers.common(config), config.width
    block = functools.partial(layers.ConvBlock, use_bias=True, **kw)
    pool = functools.partial(layers.MaxPool, 3, 2, mode=config.conv)
    return layers.Backbone(
        'alexnet',
        (
            ('conv1', functools.partial(Stem, config.stem, width, **kw)),
            ('pool1', pool),
            ('conv2', functools.partial(block, 3 * width, 5)),
            ('pool2', pool),
            ('conv3', functools.partial(block, 6 * width, 3)),
            ('conv4', functools.partial(block, 4 * width, 3)),
            ('conv5', functools.partial(block, 4 * width, 3)),
            ('pool5', pool),
            ('fc_block', functools.partial(FullyConnected, 64 * width, kw['dtype'])),
        ),
        min_size=16,
    )
