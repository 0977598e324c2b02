"""Weighted k-nearest-neighbour classification of features (Wu et al. 2018, section 3.4; as in DINO)."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from ssljax import preempt


def predict(train, train_labels, queries, *, k: int, classes: int, temperature: float = 0.07, block: int = 1000):
    """Class scores by cosine similarity to the k nearest of `train`, each weighted by exp(similarity / temperature).

    Args:
      train: [N, D] float32.
      train_labels: [N] int32 in [-1, classes); a neighbour with -1, unknown, has no vote.
      queries: [M, D] float32.
      k: neighbours; at most N are used.
      classes: K.
      temperature: of the weights.
      block: queries in one product.

    Returns:
      (scores [M, K] float32, indices of the neighbours [M, k] int32, nearest first).
    """
    k = min(k, len(train))
    train, labels = _unit(jnp.asarray(train)), jnp.asarray(train_labels)
    parts = []
    for i in range(0, len(queries), block):
        preempt.check()
        parts.append(_block(train, labels, jnp.asarray(queries[i : i + block]), k, classes, temperature))
    return tuple(np.concatenate([np.asarray(p[i]) for p in parts]) for i in (0, 1))


def accuracy(scores, labels) -> float:
    """Share of the rows of scores, [M, K], that are right, of those whose label, [M] int, is known (not -1)."""
    labels = np.asarray(labels)
    return float((scores.argmax(1) == labels)[labels >= 0].mean())


def _unit(x):
    return x / jnp.maximum(jnp.linalg.norm(x, axis=1, keepdims=True), 1e-12)


@functools.partial(jax.jit, static_argnums=(3, 4))
def _block(train, labels, queries, k, classes, temperature):
    similarity, nearest = jax.lax.top_k(_unit(queries) @ train.T, k)
    weights = jnp.exp((similarity - 1) / temperature)
    return (jax.nn.one_hot(labels[nearest], classes) * weights[..., None]).sum(1), nearest
