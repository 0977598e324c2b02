"""Losses of logits against labels or against a distribution, and their accuracy."""

import math

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


def binary_cross_entropy(logits, targets):
    """Sigmoid cross-entropy, summed over the classes, per row: for independent classes what softmax cross-entropy is
    for mutually exclusive ones, with a gradient of the same size. logits, targets: [B, K] float32, targets in [0, 1];
    returns [B] float32."""
    return jnp.sum(jnp.logaddexp(0.0, logits) - targets * logits, axis=1)


def class_weights(counts, beta: float = 1.0):
    """Class weights for the loss on imbalanced labelled images.

    They are inversely proportional to the number n of images of a class or, with beta below 1, to the effective number
    (1 - beta^n) / (1 - beta) (Cui et al., CVPR 2019, arXiv:1901.05555, section 4). Unlike in the paper, where they sum
    to K over the classes, their mean over the images is 1, which leaves the scale of the loss as it is.

    Args:
      counts: [K] int32, the number of labelled images of each class.
      beta: in [0, 1]; 0 gives equal weights.

    Returns:
      [K] float32; 0 for a class without images.
    """
    counts = jnp.asarray(counts, jnp.float32)
    rate = math.log(beta) if beta else -math.inf
    number = jnp.maximum(counts, 1)
    weights = jnp.where(counts > 0, 1 / (number if beta == 1 else -jnp.expm1(number * rate)), 0)
    return weights * counts.sum() / (weights * counts).sum()


def log_prior(counts):
    """Log of the class frequencies plus log K, which is 0 for balanced classes. A class without images counts as if it
    had one. counts: [K] int32, images of each class; returns [K] float32."""
    counts = jnp.maximum(jnp.asarray(counts, jnp.float32), 1)
    return jnp.log(counts * len(counts) / counts.sum())


def top_k(logits, labels, k: int):
    """1.0 where the label is among the k largest logits. logits: [B, K], labels: [B]; returns [B] float32.

    A tie counts against the row: equal logits predict nothing, so they are not right; nor is NaN."""
    own = jnp.take_along_axis(logits, jnp.maximum(labels, 0)[:, None], axis=1)
    return ((~(logits < own)).sum(axis=1) <= k).astype(jnp.float32)
