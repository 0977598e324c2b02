"""WRN-28-2 (Zagoruyko & Komodakis 2016, arXiv:1605.07146) as semi-supervised learning uses it (Oliver et al. 2018;
FixMatch, Sohn et al. 2020, in the authors' code): leaky ReLU of slope 0.1, no dropout.

Among the units that change the number of features, the very first has the activated input on its shortcut, those of
group2 and group3 the plain one, as in FixMatch's code. Convolutions have no bias; padding is symmetric with a stride,
too, as in PyTorch.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ssljax.models import layers
from ssljax.settings.fields import WIDEST, below_one, real, whole_or_usual

OPTIONS = dict(
    # Features of group1, twice as many in group2 and four times in group3; a widening factor k is width 16 k.
    width=whole_or_usual(32, 1, WIDEST),
    depth=whole_or_usual(4, 1, 1000),  # units in each group; n of them make the paper's depth 6 n + 4
    # Of BatchNorm's running statistics, and its epsilon. FixMatch's code, TorchSSL and USB have 0.999 and 1e-3; in
    # fewer than some thousand steps, such statistics are still close to their initial values.
    norm_momentum=below_one(0.9),
    norm_epsilon=real(1e-5, 1e-12, 1.0),
)
_STEM = 16


class Activate(nn.Module):
    """BatchNorm, whose further fields are `norm`, and leaky ReLU of slope 0.1, [B, H, W, C] -> the same."""

    norm: tuple[tuple[str, float], ...]
    dtype: jnp.dtype
    mode: str

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        fields = dict(self.norm) | {'slope': 0.1, 'dtype': self.dtype, 'mode': self.mode}
        return layers.BatchNorm(train, **fields, name='norm')(x)


class Unit(nn.Module):
    """Twice BatchNorm, leaky ReLU and 3x3 convolution, plus the shortcut -> [B, H / stride, W / stride, width].

    The shortcut is a 1x1 convolution where the number of features changes; with `activated` its input is the
    activation, not x.
    """

    width: int
    stride: int
    activated: bool
    norm: tuple[tuple[str, float], ...]
    dtype: jnp.dtype
    mode: str

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        conv = functools.partial(layers.Conv, self.width, dtype=self.dtype, mode=self.mode)
        y = Activate(self.norm, self.dtype, self.mode, name='activate1')(x, train)
        shortcut = y if self.activated else x
        y = conv(3, self.stride, name='conv1')(y)
        y = conv(3, name='conv2')(Activate(self.norm, self.dtype, self.mode, name='activate2')(y, train))
        if shortcut.shape != y.shape:
            shortcut = conv(1, self.stride, name='shortcut')(shortcut)
        return shortcut + y


class Group(nn.Module):
    """`depth` units, the first with the stride; with `last` a BatchNorm and activation after them."""

    depth: int
    width: int
    stride: int
    first: bool
    last: bool
    norm: tuple[tuple[str, float], ...]
    dtype: jnp.dtype
    mode: str
    remat: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        kw: dict[str, Any] = dict(norm=self.norm, dtype=self.dtype, mode=self.mode)
        units = [
            Unit(self.width, self.stride if i == 1 else 1, self.first and i == 1, name=f'unit{i}', **kw)
            for i in range(1, self.depth + 1)
        ]
        x = layers.sequence(units, x, train, self.remat)
        return Activate(self.norm, self.dtype, self.mode, name='activate')(x, train) if self.last else x


class Stem(nn.Module):
    """3x3 convolution to 16 features, no stride and no activation."""

    dtype: jnp.dtype
    mode: str

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        return layers.Conv(_STEM, 3, dtype=self.dtype, mode=self.mode, name='conv')(x)


def make(config) -> layers.Backbone:
    """conv1, group1, group2, group3 [B, H / 4, W / 4, 4 width], the last normalised and activated; 4 pixels and more.
    The stem is the same at every image size."""
    width, depth, kw = config.width, config.depth, layers.common(config)
    norm = ('momentum', config.norm_momentum), ('epsilon', config.norm_epsilon)
    group = functools.partial(Group, norm=norm, remat=config.remat, **kw)
    groups = [
        (f'group{i + 1}', functools.partial(group, depth, width * 2**i, min(2, i + 1), i == 0, i == 2))
        for i in range(3)
    ]
    return layers.Backbone('wrn28_2', (('conv1', functools.partial(Stem, **kw)), *groups), min_size=4)
