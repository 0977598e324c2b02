"""The nine-layer discriminator for 32x32 pixels of Salimans et al. 2016 (arXiv:1606.03498, section 6.2, in the authors'
code), which Dai et al. 2017 (arXiv:1705.09783) took over; its convolutions are VAT's "conv-small" (Miyato et al. 2018)
with strides in place of pooling."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from ssljax.models import layers

# (widths of conv1, kernel, stride, padding, share of the input's features that are dropped) of conv1 .. conv9
_LAYERS = (
    (1, 3, 1, 1, 0.2),
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

    Features are dropped in training, and only where a random stream 'dropout' is given.
    """

    width: int
    kernel: int
    stride: int
    padding: int
    dropped: float
    norm: str
    dtype: jnp.dtype
    mode: str

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        if self.dropped:
            x = nn.Dropout(self.dropped, deterministic=not (train and self.has_rng('dropout')))(x)
        conv = functools.partial(
            layers.Conv, self.width, self.kernel, self.stride, self.padding, mode=self.mode, name='conv'
        )
        return layers.normalized(conv, x, self.norm, train, self.dtype)


def conv9(config) -> layers.Backbone:
    """conv1 .. conv9 for images of 9 pixels and more; at 32 pixels the last is [B, 6, 6, 192].

    config.width (0: 96) features in the first three layers, twice as many in the others; config.norm 'batch', 'weight'
    (the papers') or 'none'. With config.dropout a fifth of the image's values and half of the input of conv4 and conv7
    are dropped, see `Block`. The papers' pooling over all pixels is the head's. Raises ValueError for a width below 0
    or an unknown norm.
    """
    width = config.width or 96
    if width < 0:
        raise ValueError(f'backbone.width={width} is not possible: it must be 0 (the default) or more')
    common = dict(norm=layers.check_norm(config), **layers.common(config))
    named = [
        (f'conv{i}', functools.partial(Block, width * times, *shape, dropped if config.dropout else 0.0, **common))
        for i, (times, *shape, dropped) in enumerate(_LAYERS, 1)
    ]
    return layers.Backbone('conv9', tuple(named), min_size=9)
