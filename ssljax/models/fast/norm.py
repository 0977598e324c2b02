"""Batch normalisation (Ioffe & Szegedy 2015, arXiv:1502.03167) and layer normalisation (Ba et al. 2016,
arXiv:1607.06450) with few passes over the map, forward and backward."""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from ssljax.models.fast.fusion import apart
from ssljax.models.fast.sums import channel_sums


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def batch_norm(x, scale, bias, epsilon, slope):
    """Normalises over all axes but the last, then multiplies by `slope` what is below zero (1: nothing changes).

    x: [B, ..., C] float32 or bfloat16, with at least one axis in between. scale, bias: [C] float32. Returns (y like x,
    mean [C] float32, variance [C] float32). The derivatives are the well-known closed form: they recompute y's sign
    rather than read it, and take two sums in one pass and the result in another.
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


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def layer_norm(x, scale, bias, epsilon):
    """Normalises over the last axis. x: [B, ..., C] float32 or bfloat16, with at least one axis in between. scale,
    bias: [C] float32. The result is like x.

    Sums over C are matrix products, which are fast; they round as C successive additions do.
    """
    return _layer_forward(x, scale, bias, epsilon)[0]


def _layer_forward(x, scale, bias, epsilon):
    mean = _row_sums(x.astype(jnp.float32), jnp.ones_like(scale)) / x.shape[-1]
    square = _row_sums(apart(lambda x, mean: jnp.square(x - mean), x, mean), jnp.ones_like(scale))
    deviation = lax.rsqrt(square / x.shape[-1] + epsilon)
    y = ((x - mean) * deviation * scale + bias).astype(x.dtype)
    return y, (x, scale, mean, deviation)


def _layer_backward(epsilon, residuals, g):
    x, scale, mean, deviation = residuals
    g = g.astype(jnp.float32)
    moments = apart(lambda g, x, mean, deviation: g * ((x - mean) * deviation), g, x, mean, deviation)
    first, second = (_row_sums(a, scale) / x.shape[-1] for a in (g, moments))
    dx = deviation * (g * scale - first - (x - mean) * deviation * second)
    total, moment = channel_sums(lambda *arrays: arrays, [g, moments])
    return dx.astype(x.dtype), moment, total


layer_norm.defvjp(_layer_forward, _layer_backward)


def _row_sums(x, weights):
    """The weighted sums of x [..., C] over its last axis, [..., 1] float32."""
    return (x.reshape(-1, x.shape[-1]) @ weights[:, None]).reshape(*x.shape[:-1], 1)
