"""Heads that turn an activation into logits or an embedding, and the pooling that makes it a feature vector."""

import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ssljax.losses import unit
from ssljax.models.layers import BatchNorm, ConvBlock


def pool_features(activation: jax.Array, pool: str) -> jax.Array:
    """One feature vector per image.

    Args:
        activation: [B, h, w, c], or [B, d], which is returned as it is.
        pool: 'avg' (-> [B, c]), 'flatten' (-> [B, h * w * c]) or 'gridN' (-> [B, N * N * c]: adaptive average
            pooling to N x N cells with PyTorch's cell borders, then flatten).

    Raises:
        ValueError: unknown `pool`.
    """
    grid = re.fullmatch(r'grid([1-9]\d*)', pool)
    if not grid and pool not in ('avg', 'flatten'):
        raise ValueError(f"pool={pool!r} is unknown: use 'avg', 'flatten' or 'gridN' with N cells a side, e.g. 'grid3'")
    if activation.ndim == 2:
        return activation
    if pool == 'avg':
        return jnp.mean(activation, axis=(1, 2))
    if grid:
        rows, cols = (_cells(side, int(grid[1])).astype(activation.dtype) for side in activation.shape[1:3])
        activation = jnp.einsum('nh,mw,bhwc->bnmc', rows, cols, activation)
    return activation.reshape(activation.shape[0], -1)


def _cells(side: int, cells: int) -> np.ndarray:
    """[cells, side] averaging matrix of adaptive pooling: cell i covers floor(i*s/n) .. ceil((i+1)*s/n)."""
    matrix = np.zeros((cells, side), np.float32)
    for i in range(cells):
        start, stop = i * side // cells, -(-(i + 1) * side // cells)
        matrix[i, start:stop] = 1 / (stop - start)
    return matrix


class Head(nn.Module):
    """Logits [B, num_classes] float32 from an activation [B, h, w, c] or [B, d].

    `hidden=()` is a linear head. With widths given, each is a dense layer without bias, BatchNorm and ReLU
    before the last one; two widths make RotNet's non-linear classifier (Gidaris et al. 2018). `pool` as in
    `pool_features`. `minibatch` is the number of kernels of `MinibatchFeatures`, which are appended to the pooled
    features before the hidden layers; an image's logits then depend on its batch. 0: none. `dropout` is the share of
    the last layer's input that is dropped in training, if a random stream 'dropout' is given. `norm` 'weight'
    normalises the last layer's weights: a learnt length, at first 1, times a direction (Salimans & Kingma 2016,
    equation 2). `conv` puts a block of a 3x3 and two 1x1 convolutions of this many features, with BatchNorm and ReLU,
    before the pooling: RotNet's convolutional classifier has 192.
    """

    num_classes: int
    hidden: tuple[int, ...] = ()
    pool: str = 'avg'
    minibatch: int = 0
    dropout: float = 0.0
    norm: str = 'none'
    conv: int = 0

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        x = x.astype(jnp.float32)
        for i, kernel in enumerate((3, 1, 1) if self.conv and x.ndim == 4 else (), 1):
            x = ConvBlock(self.conv, kernel, name=f'conv{i}')(x, train)
        x = pool_features(x, self.pool)
        if self.minibatch:
            x = MinibatchFeatures(self.minibatch, name='minibatch')(x)
        x = dense_layers(x, self.hidden, train)
        if self.dropout:
            x = nn.Dropout(self.dropout, deterministic=not (train and self.has_rng('dropout')))(x)
        if self.norm == 'weight':
            return nn.WeightNorm(nn.Dense(self.num_classes, name='logits'), name='norm')(x)
        return nn.Dense(self.num_classes, name='logits')(x)


class Projector(nn.Module):
    """Embedding [B, widths[-1]] float32 of an activation [B, h, w, c] or [B, d]: the MLP that joint-embedding methods
    use as projector and as predictor.

    Each width but the last is a dense layer without bias, BatchNorm and ReLU; the last is a dense layer without bias,
    followed by a BatchNorm without scale and shift where `last_norm` is set. `pool` as in `pool_features`.
    """

    widths: tuple[int, ...]
    pool: str = 'avg'
    last_norm: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        x = dense_layers(pool_features(x.astype(jnp.float32), self.pool), self.widths[:-1], train)
        x = nn.Dense(self.widths[-1], use_bias=False, name='embedding')(x)
        return BatchNorm(train, use_scale=False, use_bias=False, name='norm')(x) if self.last_norm else x


class Prototypes(nn.Module):
    """Cosines [B, count] float32 in [-1, 1] of x [B, D] with `count` learnt directions, the columns of 'kernel'.

    How far a step turns a direction depends on its length. By default, it is normalised in the forward pass, as in a
    layer with weight normalisation whose lengths are fixed at 1, and initialised like a linear layer of PyTorch, with a
    length of about 0.58 (DINO's last layer). With `on_sphere`, it starts with length 1 and is used as it is; the method
    restores that length after each step, with `unit_columns` (SwAV's prototypes).
    """

    count: int
    on_sphere: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        init = _unit_normal if self.on_sphere else nn.initializers.variance_scaling(1 / 3, 'fan_in', 'uniform')
        kernel = self.param('kernel', init, (x.shape[-1], self.count), jnp.float32)
        return unit(x) @ (kernel if self.on_sphere else unit_columns(kernel))


def unit_columns(kernel: jax.Array) -> jax.Array:
    """The columns of a matrix [D, N], each divided by its length."""
    return unit(kernel.T).T


def _unit_normal(key, shape, dtype) -> jax.Array:
    return unit_columns(nn.initializers.normal(1.0)(key, shape, dtype))


class MinibatchFeatures(nn.Module):
    """x [B, D] float32 -> [B, D + kernels]: how near each example is to the others of its batch, so that a
    discriminator can notice a generator that makes the same image again and again (Salimans et al. 2016,
    arXiv:1606.03498, section 3.2, minibatch discrimination).

    Kernel b of example i is the mean over the other examples j of exp(-|M_ib - M_jb|_1), in [0, 1], where M = x T with
    the learnt T [D, kernels, dims]; a single example gets 0. The paper sums, over j = i too; the mean does not grow
    with the batch, so batches of another size can be evaluated. Takes B * B * kernels * dims operations. Raises
    ValueError for less than one kernel or dimension.
    """

    kernels: int
    dims: int = 5

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        if self.kernels < 1 or self.dims < 1:
            raise ValueError(f'minibatch features: kernels={self.kernels}, dims={self.dims}; both must be 1 or more')
        m = nn.Dense(self.kernels * self.dims, use_bias=False, name='tensor')(x).reshape(-1, self.kernels, self.dims)
        near = jnp.exp(-jnp.abs(m[:, None] - m[None]).sum(-1))  # [B, B, kernels], 1 where an example meets itself
        return jnp.concatenate([x, (near.sum(1) - 1) / max(len(x) - 1, 1)], axis=1)


def dense_layers(x: jax.Array, widths, train: bool) -> jax.Array:
    """Dense layers without bias, each with BatchNorm and ReLU, as submodules of the caller; x [B, D]."""
    for i, width in enumerate(widths, 1):
        x = nn.Dense(width, use_bias=False, kernel_init=nn.initializers.he_normal(), name=f'dense{i}')(x)
        x = BatchNorm(train, slope=0.0, name=f'norm{i}')(x)
    return x
