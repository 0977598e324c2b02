"""Batch normalisation (Ioffe & Szegedy 2015, arXiv:1502.03167) with few passes over the map, forward and backward."""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from ssljax.models.fast.fusion import apart
from ssljax.models.fast.sums import channel_sums


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def batch_norm(x, scale, bias, epsilon, slope):
    """Normalises over all axes but the last, then multiplies by `slope` what is below zero (1: nothing is).

    x: [B, ..., C] float32 or bfloat16, with at least one axis between. scale, bias: [C] float32. Returns (y like x,
    mean [C] float32, variance [C] float32). The derivatives are the well-known closed form: they compute y's sign
    again rather than read it, and take two sums in one pass and the result in another.
    """
    return _forward(x, scale, bias, epsilon, slope)[0]


def _forward(x, scale, bias, epsilon, slope):
    count = x.size // x.shape[-1]
    mean, square = (total / count for total in channel_sums(lambda x: (x, x * x), [x]))
    variance = jnp.maximum(square - mean * mean, 0.0)
    deviation = lax.rsqrt(variance + epsilon)
    y = (x - mean) * (deviation * scale) + bias
    y = jnp.where(_kept(y, slope), y, slope * y).astype(x.dtype)
    return (y, mean, variance), (x, scale, bias, mean, deviation)


def _kept(y, slope):
    """As in nn.relu and nn.leaky_relu, whose derivatives at zero differ."""
    return y > 0 if slope == 0 else y >= 0


def _backward(epsilon, slope, residuals, gradients):
    x, scale, bias, mean, deviation = residuals
    g, g_mean, g_variance = gradients
    count, factor = x.size // x.shape[-1], deviation * scale

    def inside(g, x, mean, factor, bias):
        return g if slope == 1 else jnp.where(_kept((x - mean) * factor + bias, slope), g, slope * g)

    def terms(g, x, mean, factor, bias):
        g = inside(g, x, mean, factor, bias)
        return g, g * (x - mean)

    total, moment = channel_sums(terms, [g, x], [mean, factor, bias])
    moment_x = (2 * g_variance - factor * deviation**2 * moment) / count
    constant = (g_mean - factor * total) / count

    def to_input(g, x, mean, factor, bias, moment_x, constant):
        centred = x - mean
        g = inside(g.astype(jnp.float32), x, mean, factor, bias)
        return (g * factor + centred * moment_x + constant).astype(x.dtype)

    dx = apart(to_input, g, x, mean, factor, bias, moment_x, constant)
    return dx, deviation * moment, total


batch_norm.defvjp(_forward, _backward)
