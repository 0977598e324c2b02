"""Losses that keep the dimensions of an embedding apart rather than the images."""

import jax
import jax.numpy as jnp


def barlow_twins(a, b, off_diagonal: float):
    """sum_i (1 - C_ii)^2 + off_diagonal * sum_{i != j} C_ij^2 of the cross-correlation C over the batch (Barlow Twins,
    Zbontar et al. 2021, arXiv:2103.03230, equations 1 and 2).

    Args:
      a, b: [B, D] float32, the embeddings of the two views. As in the authors' code each dimension is standardised
        by its mean and biased variance (+ 1e-5) over the batch.
      off_diagonal: lambda, the weight of redundancy reduction.

    Returns:
      float32 scalar.
    """
    c = _standard(a).T @ _standard(b) / len(a)
    diagonal = jnp.diagonal(c)
    return jnp.sum((1 - diagonal) ** 2) + off_diagonal * (jnp.sum(c * c) - jnp.sum(diagonal**2))


def vicreg(a, b):
    """The three terms of VICReg (Bardes, Ponce & LeCun 2022, arXiv:2105.04906, equations 1 to 5), unweighted.

    a, b: [B, D] float32, the embeddings of the two views, B at least 2. As in the authors' code, and unlike the text,
    the invariance is divided by D too, and the variance term is the mean over both views, not their sum.

    Returns:
      (invariance, variance, covariance), float32 scalars: the mean squared difference; the mean of max(0, 1 - std)
      with std = sqrt(var + 1e-4); and the sum over both views of the squared off-diagonal covariances, divided by D.
    """
    n, d = a.shape

    def terms(z):
        z = z - z.mean(axis=0)
        cov = z.T @ z / (n - 1)
        var = jnp.diagonal(cov)
        return jnp.mean(jax.nn.relu(1 - jnp.sqrt(var + 1e-4))), (jnp.sum(cov**2) - jnp.sum(var**2)) / d

    (variance_a, covariance_a), (variance_b, covariance_b) = terms(a), terms(b)
    return jnp.mean((a - b) ** 2), (variance_a + variance_b) / 2, covariance_a + covariance_b


def _standard(z):
    return (z - z.mean(axis=0)) * jax.lax.rsqrt(z.var(axis=0) + 1e-5)
