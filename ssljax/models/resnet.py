"""ResNet-18, -34 and -50 (He et al. 2015), the last with the stride in the 3x3 convolution ("v1.5")."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from ssljax.models import layers
from ssljax.settings.fields import WIDEST, whole_or_usual

OPTIONS = dict(
    stem=layers.STEM,
    width=whole_or_usual(64, 1, WIDEST // 32),  # features of the stem and of block1, twice as many in each later block
    depth=whole_or_usual(0, 1, 1000),  # residual units in each block; usual: as many as the network's name says
)


class Stem(nn.Module):
    """'imagenet': 7x7 stride 2, then 3x3 stride-2 max pooling; 'cifar': 3x3 stride 1 (section 4.2).

    'auto' is 'cifar' below 64 pixels. The two have kernels of different sizes, so name the stem if a backbone is to be
    carried over between image sizes.
    """

    stem: str
    width: int
    dtype: jnp.dtype
    mode: str

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        block = functools.partial(layers.ConvBlock, self.width, dtype=self.dtype, mode=self.mode, name='block')
        if self.stem == 'cifar' or (self.stem == 'auto' and min(x.shape[1:3]) < 64):
            return block(kernel=3)(x, train)
        return layers.max_pool(block(kernel=7, stride=2)(x, train), 3, 2, 1, mode=self.mode)


class Residual(nn.Module):
    """Two 3x3 convolutions, or with `bottleneck` 1x1, 3x3, 1x1 to four times the width, plus the shortcut.

    The last BatchNorm's scale starts at zero, so a new block is the identity (Goyal et al. 2017, section
    5.1).
    """

    width: int
    stride: int
    bottleneck: bool
    dtype: jnp.dtype
    mode: str

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        block = functools.partial(layers.ConvBlock, dtype=self.dtype, mode=self.mode)
        last = functools.partial(block, activate=False, scale_init=nn.initializers.zeros)
        if self.bottleneck:
            branch = [
                block(self.width, 1, name='block1'),
                block(self.width, 3, self.stride, name='block2'),
                last(4 * self.width, 1, name='block3'),
            ]
        else:
            branch = [block(self.width, 3, self.stride, name='block1'), last(self.width, 3, name='block2')]
        y = layers.sequence(branch, x, train)
        if x.shape != y.shape:
            x = block(y.shape[-1], 1, self.stride, activate=False, name='shortcut')(x, train)
        return nn.relu(x + y)


class Stage(nn.Module):
    """`depth` residual units, the first with the stride -> [B, H / stride, W / stride, width (x 4)]."""

    depth: int
    width: int
    stride: int
    bottleneck: bool
    dtype: jnp.dtype
    mode: str
    remat: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        unit = functools.partial(Residual, self.width, bottleneck=self.bottleneck, dtype=self.dtype, mode=self.mode)
        units = [unit(stride=self.stride if i == 1 else 1, name=f'unit{i}') for i in range(1, self.depth + 1)]
        return layers.sequence(units, x, train, self.remat)


def make(family: str, depths: tuple[int, ...], bottleneck: bool, config) -> layers.Backbone:
    """stem, block1 .. block4, pool [B, 8 width] ([B, 32 width] with bottlenecks); images of 8 pixels and more."""
    kw, width = layers.common(config), config.width
    stage = functools.partial(Stage, bottleneck=bottleneck, remat=config.remat, **kw)
    stages = [
        (f'block{i + 1}', functools.partial(stage, config.depth or depth, width * 2**i, 1 if i == 0 else 2))
        for i, depth in enumerate(depths)
    ]
    stem = functools.partial(Stem, config.stem, width, **kw)
    return layers.Backbone(family, (('stem', stem), *stages, ('pool', layers.GlobalPool)), min_size=8)
