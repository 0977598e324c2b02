"""Weighted k-nearest-neighbour classification of features (Wu et al. 2018, section 3.4; as in DINO)."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from ssljax.processes import preempt


def predict(train, votes, queries, *, k: int, temperature: float = 0.07, block: int = 1000):
    """Class scores: the mean of the votes of the k nearest of `train` by cosine similarity, each weighted by
    exp(similarity / temperature).

    Args:
      train: [N, D] float32.
      votes: [N, K] float32, the classes of each, 1 or 0; all 0 if the label is unknown.
      queries: [M, D] float32.
      k: neighbours; at most N are used.
      temperature: of the weights.
      block: queries in one product.

    Returns:
      (scores [M, K] float32, indices of the neighbours [M, k] int32, nearest first).
    """
    k = min(k, len(train))
    train, votes = _unit(jnp.asarray(train)), jnp.asarray(votes)
    parts = []
    for i in range(0, len(queries), block):
        preempt.check()
        parts.append(_block(train, votes, jnp.asarray(queries[i : i + block]), k, temperature))
    return tuple(np.concatenate([np.asarray(p[i]) for p in parts]) for i in (0, 1))


def _unit(x):
    return x / jnp.maximum(jnp.linalg.norm(x, axis=1, keepdims=True), 1e-12)


@functools.partial(jax.jit, static_argnums=3)
def _block(train, votes, queries, k, temperature):
    similarity, nearest = jax.lax.top_k(_unit(queries) @ train.T, k)
    weights = jnp.exp((similarity - 1) / temperature)
    scores = (votes[nearest] * weights[..., None]).sum(1)
    return scores / jnp.maximum(weights.sum(1, keepdims=True), 1e-30), nearest
