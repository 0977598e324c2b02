"""Muon: momentum, orthogonalised, for kernels (Jordan et al. 2024; arXiv:2502.16982).

Like optax.contrib.muon, but with the products of Newton-Schulz in another order. A convolution's kernel is a tall
matrix M, and every iterate is M times a polynomial in the small M'M: iterating on that leaves two products with M
instead of ten. On a CPU an update of a narrow ResNet takes a third of the time.
"""

import jax
import jax.numpy as jnp
import optax

from ssljax.rules import path_name

COEFFICIENTS = 3.4445, -4.775, 2.0315  # of a Newton-Schulz step, from the source
STEPS = 5


def kinds(params):
    """A tree like `params`: 'kernel' for those so named with two axes or more, 'other' for the rest."""

    def kind(path, x):
        return 'kernel' if path_name(path).endswith('kernel') and x.ndim > 1 else 'other'

    return jax.tree_util.tree_map_with_path(kind, params)


def scale_by_muon(momentum: float, nesterov: bool) -> optax.GradientTransformation:
    """Momentum, then for each kernel, as the matrix [everything else, outputs], `orthogonal` of it times 0.2 sqrt(the
    larger side): the root mean square of Adam's updates, so that Adam's learning rates can be used (arXiv:2502.16982,
    2.2)."""

    def turned(update, _):
        return orthogonal(update) * (0.2 * max(update.size // update.shape[-1], update.shape[-1]) ** 0.5)

    return optax.chain(optax.trace(momentum, nesterov), optax.stateless_with_tree_map(turned))


def orthogonal(x: jax.Array) -> jax.Array:
    """The matrix [everything else, outputs] of x with the same singular vectors and singular values between about 0.7
    and 1.2, except those far below the root mean square of all. Shape and dtype are those of x."""
    rows = x.reshape(-1, x.shape[-1])
    wide = rows.shape[0] < rows.shape[1]
    tall = rows.T if wide else rows
    tall = tall / (jnp.linalg.norm(tall) + 1e-8)
    with jax.default_matmul_precision('float32'):
        unit = jnp.eye(tall.shape[1], dtype=x.dtype)
        gram, total = tall.T @ tall, unit
        for _ in range(STEPS):
            first, second, third = COEFFICIENTS
            step = first * unit + second * gram + third * gram @ gram
            gram, total = step @ gram @ step, total @ step
        tall = tall @ total
    return (tall.T if wide else tall).reshape(x.shape)
