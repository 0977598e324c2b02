"""Losses that spread embeddings: towards an isotropic Gaussian, or over as many directions as there are."""

import jax
import jax.numpy as jnp
import numpy as np

_KNOTS, _END = 17, 3.0  # of the quadrature over [0, 3], the authors'


def epps_pulley(x):
    """The Epps-Pulley statistic of samples against a standard normal distribution: N times the integral of |phi(t) -
    exp(-t^2 / 2)|^2 exp(-t^2 / 2) over t, where phi is the empirical characteristic function (LeJEPA, Balestriero &
    LeCun 2025, arXiv:2511.08544, section 4.2). The integrand is even; the trapezoidal rule has 17 knots.

    x: [N, M] float32, M sets of samples. Returns [M] float32, 0 or more.
    """
    t = np.linspace(0.0, _END, _KNOTS, dtype=np.float32)
    step = np.full(_KNOTS, 2 * t[1], np.float32)
    step[[0, -1]] /= 2
    normal = np.exp(-(t**2) / 2)
    angles = x[:, :, None] * t
    error = jnp.square(jnp.cos(angles).mean(0) - normal) + jnp.square(jnp.sin(angles).mean(0))
    return len(x) * error @ (step * normal)


def sigreg(key, z, directions: int):
    """Sketched isotropic Gaussian regularisation: the mean of `epps_pulley` over random directions (LeJEPA, section
    4.3).

    z: [B, D] float32; directions: how many are drawn, uniform on the sphere. Returns a float32 scalar.
    """
    drawn = jax.random.normal(key, (z.shape[1], directions))
    return epps_pulley(z @ (drawn / jnp.linalg.norm(drawn, axis=0))).mean()


def coding_rate(z, epsilon: float):
    """Total coding rate in nats: log det(I + D / (B epsilon) Z^T Z) / 2 (EMP-SSL, Tong et al. 2023, arXiv:2304.03977,
    equation 2; Yu et al. 2020, arXiv:2006.08558), from the smaller of Z Z^T and Z^T Z.

    z: [B, D] float32, rows of length 1; epsilon: above 0. Returns a float32 scalar.
    """
    rows, width = z.shape
    product = z @ z.T if rows < width else z.T @ z
    return jnp.linalg.slogdet(jnp.eye(len(product)) + width / (rows * epsilon) * product)[1] / 2
