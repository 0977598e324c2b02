"""The nine-layer discriminator for 32x32 pixels of Salimans et al. 2016 (arXiv:1606.03498, section 6.2, in the authors'
code), which Dai et al. 2017 (arXiv:1705.09783) took over; its convolutions are VAT's "conv-small" (Miyato et al. 2018)
with strides in place of pooling."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ssljax.models import layers
from ssljax.settings.fields import WIDEST, below_one, choice, flag, whole_or_usual

OPTIONS = dict(
    width=whole_or_usual(96, 1, WIDEST),  # features of the first three layers, twice as many in the others
    norm=layers.NORM,  # 'weight' is the papers'
    dropout=flag(True),  # a share of the image's values and half of the input of conv4 and conv7, see `Block`
    image_dropout=below_one(0.2),  # that share; 0.15 in the code of Dai et al. for SVHN
    # Where whole channels are dropped, not single values: in the image (Dai et al., CIFAR-10) or everywhere (SVHN).
    dropped_channels=choice('none', 'none', 'image', 'all'),
)

# (width over that of conv1, kernel, stride, padding, dropout rate of the input, which is an option for conv1)
_LAYERS = (
    (1, 3, 1, 1, None),
    (1, 3, 1, 1, 0.0),
    (1, 3, 2, 1, 0.0),
    (2, 3, 1, 1, 0.5),
    (2, 3, 1, 1, 0.0),
    (2, 3, 2, 1, 0.0),
    (2, 3, 1, 0, 0.5),
    (2, 1, 1, 0, 0.0),
    (2, 1, 1, 0, 0.0),
)


class Block(nn.Module):
    """Dropout, convolution and leaky ReLU, normalised as config.backbone.norm says: [B, H, W, C] -> [B, h, w, width].

    Dropout is applied in training only, and only if a random stream 'dropout' is given; with `channels`, to whole maps.
    """

    width: int
    kernel: int
    stride: int
    padding: int
    dropped: float
    channels: bool
    norm: str
    dtype: jnp.dtype
    mode: str

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        if self.dropped:
            axes = (1, 2) if self.channels else ()
            x = nn.Dropout(self.dropped, axes, deterministic=not (train and self.has_rng('dropout')))(x)
        conv = functools.partial(
            layers.Conv, self.width, self.kernel, self.stride, self.padding, mode=self.mode, name='conv'
        )
        return layers.normalized(conv, x, self.norm, train, self.dtype, self.mode)


def make(config) -> layers.Backbone:
    """conv1 .. conv9 for images of 9 pixels and more; at 32 pixels the last is [B, 6, 6, 192].
    The papers' pooling over all pixels is left to the head.
    """
    common: dict[str, Any] = dict(norm=config.norm, **layers.common(config))
    kind: Any = Block
    named = []
    for i, (times, *shape, dropped) in enumerate(_LAYERS, 1):
        rate = config.dropout * (config.image_dropout if dropped is None else dropped)
        channels = config.dropped_channels in (('all', 'image') if dropped is None else ('all',))
        block = functools.partial(kind, config.width * times, *shape, rate, channels, **common)
        named.append((f'conv{i}', block))
    return layers.Backbone('conv9', tuple(named), min_size=9)
