"""Losses that tell the other view of an image from views of other images."""

import jax.numpy as jnp

from ssljax.losses.classification import cross_entropy, top_k
from ssljax.losses.regression import unit


def nt_xent(a, b, temperature: float):
    """NT-Xent: each view's positive is the other view, its negatives all other views of the batch (SimCLR, Chen et al.
    2020, arXiv:2002.05709, equation 1).

    Args:
      a, b: [B, D] float32, the embeddings of the first and of the second views; row i of both is image i.
      temperature: above 0.

    Returns:
      (losses [2B] float32, right [2B] float32: 1 where the positive is nearer than every negative), first the rows
      of a, then those of b.
    """
    n = len(a)
    z = unit(jnp.concatenate([a, b]))
    logits = jnp.where(jnp.eye(2 * n, dtype=bool), -jnp.inf, z @ z.T / temperature)
    labels = (jnp.arange(2 * n) + n) % (2 * n)
    return cross_entropy(logits, labels), top_k(logits, labels, 1)


def info_nce(query, key, temperature: float):
    """InfoNCE with the other keys of the batch as negatives (van den Oord et al. 2018, arXiv:1807.03748, equation 4; as
    in MoCo v3, Chen et al. 2021, arXiv:2104.02057, equation 1 and algorithm 1).

    Args:
      query, key: [B, D] float32; row i of both is image i. Gradients reach both: stop the key's.
      temperature: above 0.

    Returns:
      (losses [B] float32, right [B] float32: 1 where a query's own key is nearer than every other).
    """
    logits = unit(query) @ unit(key).T / temperature
    labels = jnp.arange(len(query))
    return cross_entropy(logits, labels), top_k(logits, labels, 1)
