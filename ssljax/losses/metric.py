"""Losses on distances between embeddings."""

import jax.numpy as jnp


def squared_distances(a, b):
    """[A, B] float32 squared Euclidean distances between the rows of a [A, D] and b [B, D]."""
    products = a @ b.T
    return jnp.maximum(jnp.sum(a**2, 1)[:, None] - 2 * products + jnp.sum(b**2, 1)[None], 0)


def triplet(anchor, positive, margin: float, *, mining: str = 'random'):
    """max(0, |a - p|^2 - |a - n|^2 + margin) (FaceNet, Schroff et al. 2015, arXiv:1503.03832, equation 2).

    Args:
      anchor, positive: [B, D] float32, B at least 2; row i of both is image i. The negatives are rows of `positive`.
      margin: above 0.
      mining: 'random' takes the next image of the batch, whose order is random; 'semi_hard' the nearest image that is
        farther than the positive, or where there is none the farthest (section 3.2).

    Returns:
      (losses [B] float32, right [B] float32: 1 where the positive is nearer than the negative).
    """
    distances = squared_distances(anchor, positive)
    own = jnp.diagonal(distances)
    if mining == 'random':
        negative = jnp.diagonal(jnp.roll(distances, -1, axis=1))
    else:
        others = jnp.where(jnp.eye(len(anchor), dtype=bool), jnp.nan, distances)
        farther = jnp.where(others > own[:, None], others, jnp.inf).min(1)
        negative = jnp.where(jnp.isfinite(farther), farther, jnp.nanmax(others, axis=1))
    return jnp.maximum(own - negative + margin, 0), (own < negative).astype(jnp.float32)
