"""What every augmentation shares: which images it takes, their colour and alpha, their luma, and choosing by a coin."""

import jax
import jax.numpy as jnp
import numpy as np

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in PIL's convert('L')


def check(images):
    if images.ndim != 4 or images.dtype != jnp.float32 or not 1 <= images.shape[3] <= 4:
        raise ValueError(
            f'images are {images.dtype} {list(images.shape)}; augmentation takes float32 '
            '[B, H, W, C] in [0, 1] with 1 to 4 channels: use to_float first.'
        )
    return images.shape


def choose(key, p, changed, images):
    if not 0 <= p <= 1:
        raise ValueError(f'the probability p is {p}; it must be in [0, 1].')
    if p == 1:
        return changed
    coin = jax.random.bernoulli(key, p, images.shape[:1] + (1,) * (images.ndim - 1))
    return jnp.where(coin, changed, images)


def split_alpha(images):
    n = {1: 1, 2: 1, 3: 3, 4: 3}[images.shape[-1]]
    return images[..., :n], images[..., n:]


def join_alpha(colour, alpha):
    return jnp.concatenate([colour, alpha], axis=-1) if alpha.shape[-1] else colour


def luma(colour):
    if colour.shape[-1] == 1:
        return colour
    return sum(weight * colour[..., i : i + 1] for i, weight in enumerate(LUMA))


def mean_luma(colour):
    """[B, H, W, 1 or 3] -> [B, 1, 1, 1]; one sum over a flat axis, which XLA's CPU backend vectorises."""
    batch, height, width, channels = colour.shape
    weights = np.tile(np.float32(LUMA if channels == 3 else (1.0,)), height * width) / (height * width)
    return (colour.reshape(batch, -1) * weights).sum(1)[:, None, None, None]
