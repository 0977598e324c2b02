"""Gradient accumulation: the batch of a step passes through the network in parts, one after the other."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from ssljax import core

WHOLE = ('progress', 'unlabeled_count', 'class_counts')  # entries of a batch that do not have one row per image


def gradient(parts: int, unroll: bool, loss: Callable, own, others, state, ema, batch: dict, key: jax.Array) -> tuple:
    """Like core.gradient, for a method that is `per_image`, with the memory of one part of the batch.

    The gradient is the mean over the parts; each starts from the same state, and the new states are averaged. So
    BatchNorm normalises each part by its own statistics; the running mean becomes that of the whole batch, while the
    running variance lacks the variance between the parts' means. Part i has the images i, i + parts, ..., an equal
    share of each device's, and draws with fold_in(key, i).

    Args:
      parts: how many; they divide each batch.
      unroll: compile no loop; for CPUs, where convolutions in a loop are slow.
    """
    split = {k: jnp.moveaxis(v.reshape(-1, parts, *v.shape[1:]), 1, 0) for k, v in batch.items() if k not in WHOLE}
    whole = {k: v for k, v in batch.items() if k in WHOLE}

    def one(rows, i):
        return core.gradient(loss, own, others, state, ema, whole | rows, jax.random.fold_in(key, i))

    def add(total, item):
        if unroll:  # each part waits for the one before, so that they do not hold memory at once
            total, item = jax.lax.optimization_barrier((total, item))
        return jax.tree.map(jnp.add, total, one(*item)), None

    items = split, jnp.arange(parts)
    shapes = jax.eval_shape(one, *jax.tree.map(lambda a: a[0], items))
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
    (grads, new, found), _ = jax.lax.scan(add, zeros, items, unroll=unroll)
    return *jax.tree.map(lambda a: a / parts, (grads, new)), found
