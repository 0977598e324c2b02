"""One trunk for several tiles of an image: tiles are folded into the batch, their features concatenated for a head."""

import jax
import jax.numpy as jnp

from ssljax.core import split
from ssljax.methods import network
from ssljax.models.heads import pool_features


def init(net: network.Network, head, key, shape, pool: str) -> dict:
    """Variables with the parts 'backbone' and 'head'. shape: (T, h, w, C) of an image's tiles."""
    k_trunk, k_head = jax.random.split(key)
    variables = network.init(net, k_trunk, jnp.zeros(shape))
    x, _ = _features(net, *split(variables), jnp.zeros((1, *shape)), pool, train=False)
    return network.add_part(variables, 'head', head, k_head, x)


def apply(net: network.Network, head, params, state, tiles, pool: str, *, train: bool):
    """Logits [B, K] float32 and the new state for tiles [B, T, h, w, C] float32, concatenated in this order."""
    x, state = _features(net, params, state, tiles, pool, train=train)
    logits, own = network.part(head, 'head', params, state, x, train=train)
    return logits, network.put(state, 'head', own)


def _features(net, params, state, tiles, pool, *, train):
    outputs, state = network.apply(net, params, state, tiles.reshape(-1, *tiles.shape[2:]), train=train)
    return pool_features(outputs['backbone'], pool).reshape(len(tiles), -1), state
