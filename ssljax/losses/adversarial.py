"""Losses of generative adversarial networks whose discriminator is a classifier of K logits."""

import jax
import jax.numpy as jnp

from ssljax.losses.classification import soft_cross_entropy
from ssljax.losses.regression import unit


def real_loss(logits):
    """-log D(x) with D = Z / (Z + 1), Z = sum_k exp(logit_k) (Salimans et al. 2016, arXiv:1606.03498, section 5).

    Computed as softplus(-log Z) = -log Z + softplus(log Z), which is finite for all finite logits.
    logits: [B, K] float32. Returns [B] float32, above 0."""
    return jax.nn.softplus(-jax.nn.logsumexp(logits, axis=1))


def fake_loss(logits):
    """-log(1 - D(x)) = log(1 + Z) = softplus(log Z), D and Z as in `real_loss`. logits: [B, K]. Returns [B]."""
    return jax.nn.softplus(jax.nn.logsumexp(logits, axis=1))


def feature_matching(made, seen):
    """|mean(made) - mean(seen)|, averaged over features (Salimans et al. 2016, section 3.1; the authors' code has
    the absolute value where the paper's equation is squared).

    made: [G, D] float32; seen: [U, D] float32. Returns a float32 scalar."""
    return jnp.abs(made.mean(0) - seen.mean(0)).mean()


def pull_away(features):
    """Mean squared cosine between different rows (Zhao et al. 2017, arXiv:1609.03126, equation 7): low where rows point
    apart, a stand-in for high entropy. features: [B, D] float32, B above 1. Returns a float32 scalar in [0, 1]."""
    z, count = unit(features), len(features)
    return (jnp.sum(jnp.square(z @ z.T)) - jnp.sum(jnp.square(jnp.sum(z * z, axis=1)))) / (count * (count - 1))


def gaussian_nll(x, mean, log_deviation):
    """Negative log-likelihood of x under a Gaussian of independent dimensions, without the constant: the sum of log s +
    ((x - m) / s)^2 / 2 over them (Dai et al. 2017, arXiv:1705.09783, section 4.1.1, in the authors' code).

    x, mean, log_deviation: [B, D] float32. Returns [B] float32."""
    return jnp.sum(log_deviation + 0.5 * jnp.square((x - mean) * jnp.exp(-log_deviation)), axis=1)


def entropy(logits):
    """Entropy of the softmax of each row, in nats. logits: [B, K] float32. Returns [B] float32."""
    return soft_cross_entropy(logits, jax.nn.softmax(logits))
