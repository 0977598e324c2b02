"""Network in Network as RotNet uses it on CIFAR-10 (Lin et al. 2013; Gidaris et al. 2018, section 3.1)."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from ssljax.models import layers
from ssljax.settings.fields import WIDEST, whole, whole_or_usual

OPTIONS = dict(
    width=whole_or_usual(192, 2, WIDEST),  # features of every layer but the first block's last two: 5/6 and 1/2 of it
    blocks=whole(4, 3, 5),
)


class Block(nn.Module):
    """A k x k and two 1x1 convolutions, each with BatchNorm and ReLU, then 3x3 stride-2 pooling or none.

    [B, H, W, C] -> [B, ceil(H / 2), ceil(W / 2), widths[-1]], or H x W without pooling.
    """

    kernel: int
    widths: tuple[int, int, int]
    pool: str
    dtype: jnp.dtype
    mode: str

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        for i, (width, kernel) in enumerate(zip(self.widths, (self.kernel, 1, 1)), 1):
            x = layers.ConvBlock(width, kernel, dtype=self.dtype, mode=self.mode, name=f'layer{i}')(x, train)
        if self.pool == 'max':
            return layers.max_pool(x, 3, 2, 1, mode=self.mode)
        if self.pool == 'avg':
            return layers.avg_pool(x, 3, 2, 1, mode=self.mode)
        return x


def make(config) -> layers.Backbone:
    """conv1 .. convN for config.blocks = N; no biases; kernels normal(0, sqrt(2 / (k k out))).

    The third block has no pooling (`use_avg_on_conv3=False`, the paper's four- and five-block CIFAR-10
    setting).
    """
    block, width = functools.partial(Block, **layers.common(config)), config.width
    blocks = [
        functools.partial(block, 5, (width, width * 5 // 6, width // 2), 'max'),
        functools.partial(block, 5, (width,) * 3, 'avg'),
    ]
    blocks += [functools.partial(block, 3, (width,) * 3, 'none')] * (config.blocks - 2)
    return layers.Backbone('nin', tuple((f'conv{i}', b) for i, b in enumerate(blocks, 1)), min_size=4)
