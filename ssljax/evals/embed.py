"""Features and logits of whole splits, in one fixed batch shape."""

from collections.abc import Callable

import jax
import numpy as np

from ssljax.data.feed import eval_batches
from ssljax.devices.platform import compiler_options
from ssljax.devices.sharding import everywhere, fetch
from ssljax.processes import preempt


def compiled(function: Callable) -> Callable:
    """Compiles (variables, images) -> tree of [B, ...], to be used for every split and seed."""
    return jax.jit(function, compiler_options=compiler_options())


def outputs(function: Callable, variables, split, *, batch_size: int, mesh):
    """Applies a compiled function to every image of a split, in order; returns host arrays [N, ...]."""
    parts = []
    variables = everywhere(variables, mesh)
    for batch in eval_batches(split, batch_size=batch_size, mesh=mesh):
        preempt.check()
        parts.append(fetch(function(variables, batch['image'])))
    whole = jax.tree.map(lambda *a: np.concatenate(a), *parts)
    return jax.tree.map(lambda a: a[: len(split)], whole)
