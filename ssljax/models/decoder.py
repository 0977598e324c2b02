"""Convolutional decoders: from an activation, a code or noise back to an image, after DCGAN's generator (Radford et
al. 2016, arXiv:1511.06434, section 3 and figure 1)."""

import functools
import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ssljax.models import layers
from ssljax.models.heads import dense_layers, pool_features

_DENSE_BELOW = 4  # pixels a side of the image, below which a generator has no convolutions
_VECTOR_SIDE = 7  # a vector is first spread over a map of at most this many pixels on its shorter side


def grids(size: tuple[int, int], start: tuple[int, int] | None) -> list[tuple[int, int]]:
    """Sizes of the maps up to the image `size`, each half the next, rounded up.

    The first is the one nearest to the given map, `start`, in the number of doublings or, for a vector (None), the
    largest of at most 7 pixels on its shorter side.
    """
    if start is None:
        steps = next(n for n in range(32) if -(-min(size) // 2**n) <= _VECTOR_SIDE)
    else:
        steps = max(0, round(math.log2(math.sqrt(math.prod(size) / math.prod(start)))))
    return [tuple(-(-side // 2**n) for side in size) for n in range(steps, -1, -1)]


class Decoder(nn.Module):
    """[B, h, w, c] or [B, d] -> an image [B, *shape] float32.

    Every doubling is a transposed 4x4 convolution of stride 2 with BatchNorm and ReLU, the last one without them; a map
    one pixel too large is cropped, and one of another size (odd pooling) is resized before the first. A vector is first
    spread over a small map by a dense layer; so is a map that is pooled, by `pool` other than 'flatten', or passed
    through a linear code of `bottleneck` features.

    Args:
        shape: (H, W, C) of the image, of any size.
        width: features of the last hidden map; each map before it has twice as many as the next.
        pool: as in `heads.pool_features`; 'flatten' leaves a map as it is.
        bottleneck: features of the code; 0: no code.
        final: function applied to the output, such as jnp.tanh; None: none.
        kernel_init: of the convolutions and the dense layer before them.
        weight_norm: weight normalisation of the last convolution; its outputs begin with a standard deviation of about
            0.1.
    """

    shape: tuple[int, int, int]
    width: int = 32
    pool: str = 'flatten'
    bottleneck: int = 0
    final: Callable | None = None
    dtype: jnp.dtype = jnp.float32
    mode: str = 'auto'
    kernel_init: Callable = layers.fan_out_normal
    weight_norm: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        sides = grids(self.shape[:2], (x.shape[1], x.shape[2]) if x.ndim == 4 else None)
        widths = [self.width * 2**i for i in range(max(len(sides) - 2, 0), -1, -1)]
        common: dict[str, Any] = dict(dtype=self.dtype, mode=self.mode, kernel_init=self.kernel_init)
        batch_norm = functools.partial(layers.BatchNorm, train, slope=0.0, dtype=self.dtype, mode=self.mode)
        norm = lambda x, name: batch_norm(name=f'{name}_norm')(x)
        dense = functools.partial(nn.Dense, dtype=self.dtype)
        if self.pool != 'flatten' or self.bottleneck:
            x = pool_features(x, self.pool)
        if self.bottleneck:
            x = dense(self.bottleneck, name='code')(x)
        if x.ndim == 2:
            x = dense(math.prod(sides[0]) * widths[0], False, kernel_init=self.kernel_init, name='spread')(x)
            x = norm(x.reshape(-1, *sides[0], widths[0]), 'spread')
        elif x.shape[1:3] != sides[0]:
            x = jax.image.resize(x, (x.shape[0], *sides[0], x.shape[3]), 'linear')
        for i, (h, w) in enumerate(sides[1:-1], 1):
            x = layers.ConvTranspose(widths[i], **common, name=f'up{i}')(x)
            x = norm(x[:, :h, :w], f'up{i}')
        kind: Callable = layers.ConvTranspose if len(sides) > 1 else functools.partial(layers.Conv, kernel=3)
        last = kind(self.shape[2], use_bias=True, **common, name='pixels')
        if self.weight_norm:  # an output of a transposed convolution of stride 2 sees a quarter of its kernel
            axis, length = (-2, 0.1 * 8**0.5) if len(sides) > 1 else (-1, 0.1 * 2**0.5)
            last = _weight_norm(last, length, axis)
        x = last(x)
        x = x[:, : self.shape[0], : self.shape[1]].astype(jnp.float32)
        return self.final(x) if self.final else x


class DenseGenerator(nn.Module):
    """Noise [B, z] -> images [B, *shape] float32 in [-1, 1]: two dense layers of `width` features with BatchNorm and
    ReLU, and one with tanh, all He normal. `weight_norm` normalises the last one's weights."""

    shape: tuple[int, int, int]
    width: int
    weight_norm: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        x = dense_layers(x.astype(jnp.float32), (self.width, self.width), train)
        last: Any = nn.Dense(math.prod(self.shape), kernel_init=nn.initializers.he_normal(), name='pixels')
        if self.weight_norm:
            last = _weight_norm(last, 2**0.5)
        return jnp.tanh(last(x)).reshape(-1, *self.shape)


def generator(
    shape: tuple[int, int, int], width: int, dtype=jnp.float32, mode: str = 'auto', weight_norm: bool = False
) -> nn.Module:
    """A generator of images of `shape` (H, W, C): noise [B, z] -> [B, *shape] float32 in [-1, 1].

    From 4 pixels a side it is DCGAN's, with kernels normal(0, 0.02) and `width` features in the last hidden map; below,
    as for points in the plane, a `DenseGenerator` of 4 `width` features, always computed in float32. `weight_norm`
    normalises the last layer's weights, as in the CIFAR-10 generator of Salimans et al. 2016 (arXiv:1606.03498).
    """
    if min(shape[:2]) < _DENSE_BELOW:
        return DenseGenerator(shape, 4 * width, weight_norm)
    init = nn.initializers.normal(0.02)
    return Decoder(shape, width, final=jnp.tanh, dtype=dtype, mode=mode, kernel_init=init, weight_norm=weight_norm)


class Encoder(nn.Module):
    """Images [B, H, W, C] in [-1, 1] -> [B, features] float32: the mirror image of a generator. Each 5x5 convolution of
    stride 2, with BatchNorm and ReLU, halves the map and doubles the features, which begin with `width`; a dense layer
    with weight normalisation follows. Below 4 pixels a side there are two dense layers in place of convolutions.
    """

    features: int
    width: int
    dtype: jnp.dtype = jnp.float32
    mode: str = 'auto'

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        if min(x.shape[1:3]) < _DENSE_BELOW:
            x = dense_layers(x.astype(jnp.float32).reshape(len(x), -1), (4 * self.width,) * 2, train)
        else:
            for i in range(len(grids((x.shape[1], x.shape[2]), None)) - 1):
                kw: dict[str, Any] = dict(dtype=self.dtype, mode=self.mode)
                x = layers.ConvBlock(self.width * 2**i, 5, 2, 2, **kw, name=f'down{i + 1}')(x, train)
        last = nn.Dense(self.features, name='code')
        init = nn.initializers.constant(0.1)
        x = x.astype(jnp.float32).reshape(len(x), -1)
        return nn.WeightNorm(last, scale_init=init, name='code_norm')(x)


def _weight_norm(layer: nn.Module, length: float, axis: int = -1) -> nn.Module:
    """`layer` with weight normalisation: each output's kernel, along `axis`, is a learnt length, initially `length`,
    times a direction."""
    init = nn.initializers.constant(length)
    return nn.WeightNorm(layer, scale_init=init, feature_axes=axis, name='pixels_norm')


class Channelwise(nn.Module):
    """Every channel's own dense layer over its pixels, then a 1x1 convolution: [B, h, w, c] -> the same; a vector is
    returned as it is.

    It carries the context into a hole that no receptive field spans, with c (h w)^2 instead of (c h w)^2 weights
    (Pathak et al. 2016, section 3.1).
    """

    dtype: jnp.dtype = jnp.float32
    mode: str = 'auto'

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        if x.ndim == 2:
            return x
        b, h, w, c = x.shape
        near_he = nn.initializers.variance_scaling(2.0, 'fan_in', 'normal', in_axis=1, out_axis=2, batch_axis=0)
        kernel = self.param('kernel', near_he, (c, h * w, h * w)).astype(self.dtype)
        y = jnp.einsum('bpc,cpq->bqc', x.reshape(b, h * w, c).astype(self.dtype), kernel).reshape(b, h, w, c)
        return layers.ConvBlock(c, 1, dtype=self.dtype, mode=self.mode, name='mix')(y, train)
