"""Losses of logits against labels or against a distribution, and their accuracy."""

import jax
import jax.numpy as jnp


def cross_entropy(logits, labels, *, smoothing: float = 0.0):
    """Softmax cross-entropy, per row.

    Args:
      logits: [B, K] float32.
      labels: [B] int32 in [0, K).
      smoothing: weight of the uniform distribution (Szegedy et al. 2016, section 7), in [0, 1).

    Returns:
      [B] float32.
    """
    logp = jax.nn.log_softmax(logits)
    hard = -jnp.take_along_axis(logp, labels[:, None], axis=1)[:, 0]
    return (1 - smoothing) * hard - smoothing * logp.mean(axis=1) if smoothing else hard


def soft_cross_entropy(logits, targets):
    """-sum_k targets_k log softmax(logits)_k, per row. logits: [B, K] float32; targets: [B, K] float32, each row a
    distribution; returns [B] float32."""
    return -jnp.sum(targets * jax.nn.log_softmax(logits), axis=1)


def top_k(logits, labels, k: int):
    """1.0 where the label is among the k largest logits. logits: [B, K], labels: [B]; returns [B] float32.

    A tie counts against the row: with equal logits nothing is known, so nothing is right; nor is it with NaN."""
    own = jnp.take_along_axis(logits, jnp.maximum(labels, 0)[:, None], axis=1)
    return ((~(logits < own)).sum(axis=1) <= k).astype(jnp.float32)
