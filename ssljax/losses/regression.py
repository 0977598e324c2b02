"""Losses that pull one embedding towards another, without negatives."""

import math

import jax
import jax.numpy as jnp


def unit(x):
    """Rows of length 1, x / |x|. x: [..., D] float32; a row of zeros stays zeros."""
    return x * jax.lax.rsqrt(jnp.maximum(jnp.sum(x * x, axis=-1, keepdims=True), 1e-12))


def relative_std(x):
    """Standard deviation of the unit-length rows of x [N, D], averaged over dimensions and times sqrt(D): 0 for a
    constant, 1 for even spread over the sphere (Chen & He 2021, arXiv:2011.10566, section 4.1). Float32 scalar."""
    return jnp.mean(jnp.std(unit(x), axis=0)) * math.sqrt(x.shape[1])


def negative_cosine(prediction, target):
    """-cos(prediction, target), per row (SimSiam, Chen & He 2021, arXiv:2011.10566, equation 1).

    prediction, target: [B, D] float32. Returns [B] float32 in [-1, 1]. Gradients reach both: stop the target's."""
    return -jnp.sum(unit(prediction) * unit(target), axis=-1)


def byol(prediction, target):
    """|unit(prediction) - unit(target)|^2 = 2 - 2 cos, per row (BYOL, Grill et al. 2020, arXiv:2006.07733, equation 2).

    prediction, target: [B, D] float32. Returns [B] float32 in [0, 4]. Gradients reach both: stop the target's."""
    return 2 + 2 * negative_cosine(prediction, target)
