"""The layers that backbones are made of. How a convolution is computed is `conv.py`'s business."""

import collections
import functools
import math
from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ssljax.models import conv as conv_ops
from ssljax.models.fast.dense import dense
from ssljax.models.fast.norm import batch_norm, layer_norm
from ssljax.settings.fields import choice

STEM = choice('auto', 'auto', 'cifar', 'imagenet')  # options that several backbones take
NORM = choice('batch', 'batch', 'weight', 'none')
PIXELS = {  # (mean, standard deviation) of each channel in [0, 1], by which a backbone normalises its input
    'unit': ((0.5,) * 3, (0.5,) * 3),  # [-1, 1], as they come
    'imagenet': ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    'clip': ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
}
SLOPE = 0.2  # of leaky ReLU below zero (Radford et al. 2016, section 3)

fan_out_normal = nn.initializers.variance_scaling(2.0, 'fan_out', 'normal')  # normal(0, sqrt(2 / (k * k * out)))


class Conv(nn.Module):
    """2-D convolution, [B, H, W, C] -> [B, h, w, features], square kernel, symmetric zero padding.

    `padding=None` pads by `kernel // 2`. `groups` equal to C makes it depthwise. Parameters are float32;
    the product is computed in `dtype`. `mode`: 'auto' | 'xla' | 'fast', see `conv.is_fast`.
    """

    features: int
    kernel: int
    stride: int = 1
    padding: int | None = None
    groups: int = 1
    use_bias: bool = False
    dtype: jnp.dtype = jnp.float32
    mode: str = 'auto'
    kernel_init: Callable = fan_out_normal

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.kernel, self.kernel, x.shape[-1] // self.groups, self.features)
        kernel = self.param('kernel', self.kernel_init, shape, jnp.float32)
        padding = self.kernel // 2 if self.padding is None else self.padding
        y = conv_ops.conv2d(
            x.astype(self.dtype),
            kernel.astype(self.dtype),
            self.stride,
            padding,
            groups=self.groups,
            mode=self.mode,
        )
        if self.use_bias:
            y += self.param('bias', nn.initializers.zeros, (self.features,), jnp.float32).astype(self.dtype)
        return y


class ConvTranspose(nn.Module):
    """Transposed 2-D convolution, [B, h, w, C] -> [B, (h - 1) stride + kernel - 2 padding, ..., features]."""

    features: int
    kernel: int = 4
    stride: int = 2
    padding: int = 1
    use_bias: bool = False
    dtype: jnp.dtype = jnp.float32
    mode: str = 'auto'
    kernel_init: Callable = nn.initializers.variance_scaling(2.0, 'fan_out', 'normal')

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.kernel, self.kernel, self.features, x.shape[-1])
        kernel = self.param('kernel', self.kernel_init, shape, jnp.float32)
        x, kernel = x.astype(self.dtype), kernel.astype(self.dtype)
        y = conv_ops.conv_transpose2d(x, kernel, self.stride, self.padding, mode=self.mode)
        if self.use_bias:
            y += self.param('bias', nn.initializers.zeros, (self.features,), jnp.float32).astype(self.dtype)
        return y


class Norm(nn.BatchNorm):
    """Flax's BatchNorm, then leaky ReLU of `slope` below zero: 0 is ReLU, 1 nothing. `mode` as in `Conv`; the fast form
    is for training on maps."""

    slope: float = 1.0
    mode: str = 'auto'

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:  # type: ignore[override]
        if self.use_running_average or x.ndim < 3 or not conv_ops.is_fast(self.mode):
            y = super().__call__(x)
            return y if self.slope == 1 else nn.leaky_relu(y, self.slope) if self.slope else nn.relu(y)
        shape = (x.shape[-1],)
        mean = self.variable('batch_stats', 'mean', jnp.zeros, shape)
        variance = self.variable('batch_stats', 'var', jnp.ones, shape)
        scale = self.param('scale', self.scale_init, shape) if self.use_scale else jnp.ones(shape)
        bias = self.param('bias', self.bias_init, shape) if self.use_bias else jnp.zeros(shape)
        y, *found = batch_norm(x, scale, bias, self.epsilon, self.slope)
        if not self.is_initializing():
            for running, new in zip((mean, variance), found):
                running.value = self.momentum * running.value + (1 - self.momentum) * new
        return y.astype(self.dtype or jnp.float32)


def BatchNorm(train: bool, **fields) -> nn.Module:
    """Batch normalisation over all axes but the last; the statistics are float32 and, under a mesh, global.

    momentum 0.9 (PyTorch's 0.1) and epsilon 1e-5, unless `fields`, those of `Norm`, say otherwise. `train=False` uses
    the running statistics.
    """
    return Norm(use_running_average=not train, **{'momentum': 0.9, 'epsilon': 1e-5} | fields)


class LayerNorm(nn.LayerNorm):
    """Flax's LayerNorm over the last axis, with a scale and a bias; `mode` as in `Conv`; the fast form is for maps and
    sequences."""

    mode: str = 'auto'

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:  # type: ignore[override]
        if x.ndim < 3 or not conv_ops.is_fast(self.mode):
            return super().__call__(x)
        scale = self.param('scale', self.scale_init, x.shape[-1:])
        bias = self.param('bias', self.bias_init, x.shape[-1:])
        return layer_norm(x, scale, bias, self.epsilon).astype(self.dtype or jnp.float32)


class Dense(nn.Module):
    """A dense layer over all axes of x [B, n, ...] after the first two -> [B, n, *features], with a bias.

    kernel: [..., *features], drawn by `kernel_init` as a matrix; bias: features. `mode` as in `Conv`.
    """

    features: tuple[int, ...]
    dtype: jnp.dtype = jnp.float32
    mode: str = 'auto'
    kernel_init: Callable = nn.initializers.lecun_normal()

    def __call__(self, x: jax.Array) -> jax.Array:
        y = affine(x.reshape(*x.shape[:2], -1), *self.weights(x.shape[2:]), self.dtype, self.mode)
        return y.reshape(*x.shape[:2], *self.features)

    @nn.compact
    def weights(self, axes: tuple[int, ...]) -> tuple[jax.Array, jax.Array]:
        """The kernel as a matrix [C, D] and the bias [D], for inputs with these axes after the first two."""
        matrix = math.prod(axes), math.prod(self.features)
        draw = lambda key, shape: self.kernel_init(key, matrix).reshape(shape)
        kernel = self.param('kernel', draw, (*axes, *self.features)).reshape(matrix)
        return kernel, self.param('bias', nn.initializers.zeros, self.features).reshape(-1)


def affine(x: jax.Array, kernel: jax.Array, bias: jax.Array, dtype: jnp.dtype, mode: str) -> jax.Array:
    """x [B, n, C], kernel [C, D], bias [D] -> [B, n, D] of `dtype`. `mode` as in `Conv`."""
    x, kernel, bias = (a.astype(dtype) for a in (x, kernel, bias))
    return dense(x, kernel, bias) if conv_ops.is_fast(mode) else x @ kernel + bias


class ConvBlock(nn.Module):
    """Convolution, BatchNorm, ReLU: [B, H, W, C] -> [B, h, w, features]. `activate=False` drops the ReLU."""

    features: int
    kernel: int
    stride: int = 1
    padding: int | None = None
    groups: int = 1
    use_bias: bool = False
    activate: bool = True
    scale_init: Callable = nn.initializers.ones
    dtype: jnp.dtype = jnp.float32
    mode: str = 'auto'

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        x = Conv(
            self.features,
            self.kernel,
            self.stride,
            self.padding,
            self.groups,
            self.use_bias,
            self.dtype,
            self.mode,
            name='conv',
        )(x)
        slope = 0.0 if self.activate else 1.0
        norm = BatchNorm(train, scale_init=self.scale_init, slope=slope, dtype=self.dtype, mode=self.mode, name='norm')
        return norm(x)


def normalized(make: Callable, x: jax.Array, norm: str, train: bool, dtype: jnp.dtype, mode: str = 'auto') -> jax.Array:
    """leaky_relu(layer(x)), the layer normalised as `norm` says; its parts are submodules of the caller.

    Args:
        make: `make(use_bias=..., kernel_init=..., dtype=...)` is a convolution or dense layer with a name.
        x: the layer's input, float32 or bfloat16.
        norm: 'batch' (BatchNorm, which has the bias), 'weight' (each output's kernel is a learnt length times a
            direction, Salimans & Kingma 2016, equation 2) or 'none'.
        mode: BatchNorm's, as in `Conv`.

    The kernels are He normal for leaky ReLU, and the initial length agrees, sqrt(2 / (1 + slope^2)), in place of the
    paper's section 3, where it depends on a first batch.
    """
    gain = 2 / (1 + SLOPE**2)
    init = nn.initializers.variance_scaling(gain, 'fan_in', 'normal')
    layer = make(use_bias=norm != 'batch', kernel_init=init, dtype=dtype)
    if norm == 'weight':
        layer = nn.WeightNorm(layer, scale_init=nn.initializers.constant(gain**0.5), name='norm')
    x = layer(x)
    if norm == 'batch':
        return BatchNorm(train, slope=SLOPE, dtype=dtype, mode=mode, name='norm')(x)
    return nn.leaky_relu(x, SLOPE)


class MaxPool(nn.Module):
    """Max pooling as a named layer; the window never exceeds the map, so the result is never empty."""

    window: int
    stride: int
    padding: int = 0
    mode: str = 'auto'

    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        window = min(self.window, x.shape[1] + 2 * self.padding, x.shape[2] + 2 * self.padding)
        return conv_ops.max_pool(x, window, self.stride, self.padding, mode=self.mode)


class GlobalPool(nn.Module):
    """Global average pooling, [B, H, W, C] -> [B, C]."""

    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        return jnp.mean(x, axis=(1, 2))


class Backbone(nn.Module):
    """Layers applied one after the other; returns every activation by the layer's name, in order.

    Args:
        family: name of the backbone, for messages.
        layers: (name, make) pairs; `make(name=name)` is a module called with (x, train).
        min_size: smallest image side that leaves a map to work on.
        pixels: how they are normalised before the first layer, a key of PIXELS.
        remat: whether training recomputes each layer for its gradient instead of keeping what is inside.

    `module.apply(variables, x, train)` takes x [B, H, W, C] float32 and returns {name: [B, h, w, c] or [B,
    d]} in the compute dtype. Raises ValueError if x is not 4-D or is smaller than `min_size`.
    """

    family: str
    layers: tuple[tuple[str, Callable], ...]
    min_size: int
    pixels: str = 'unit'
    remat: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> dict[str, jax.Array]:
        if x.ndim != 4:
            raise ValueError(
                f'backbone {self.family!r} takes images [B, H, W, C], not an array of shape {x.shape}: '
                'add the missing axis or drop the extra one'
            )
        if min(x.shape[1:3]) < self.min_size:
            raise ValueError(
                f'images of {x.shape[1]}x{x.shape[2]} are too small for backbone {self.family!r}, which '
                f'needs {self.min_size} pixels a side: set data.image_size or choose another backbone'
            )
        x, activations = pixels(x, self.pixels), collections.OrderedDict()  # unlike a dict's, its order survives jit
        for name, make in self.layers:
            x = activations[name] = call(make(name=name), x, train, remat=self.remat)
        return activations


def call(module: nn.Module, x: jax.Array, train: bool, *args, remat: bool = False) -> jax.Array:
    """module(x, train, *args). With `remat`, in training, only x is kept for the gradient, and what is inside is
    recomputed (Chen et al. 2016, arXiv:1604.06174); a module with a `remat` of its own does so for its parts."""
    if not (remat and train) or getattr(module, 'remat', False):
        return module(x, train, *args)
    return nn.remat(lambda module, x: module(x, train, *args))(module, x)


def pixels(x: jax.Array, name: str) -> jax.Array:
    """x [..., C] float32 in [-1, 1], normalised by the mean and standard deviation of PIXELS[name]. Raises ValueError
    if C is not 3, unless the name is 'unit'."""
    if name == 'unit':
        return x
    if x.shape[-1] != 3:
        raise ValueError(
            f'backbone.pixels={name} normalises three channels and the images have {x.shape[-1]}: set data.channels=3, '
            'or backbone.pixels=unit'
        )
    mean, deviation = (np.asarray(v, np.float32) for v in PIXELS[name])
    return ((x + 1) / 2 - mean) / deviation


def common(config) -> dict:
    """What every layer with a convolution takes from config.backbone: compute dtype and mode."""
    return {'dtype': jnp.dtype(config.dtype), 'mode': config.conv}


def sequence(blocks: Sequence[nn.Module], x: jax.Array, train: bool, remat: bool = False) -> jax.Array:
    """Applies blocks (x, train) -> x one after the other; `remat` as for `call`."""
    return functools.reduce(lambda y, block: call(block, y, train, remat=remat), blocks, x)


max_pool, avg_pool = conv_ops.max_pool, conv_ops.avg_pool
