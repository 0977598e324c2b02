"""Where one loop of a compiled program ends and the next begins."""

import jax
from jax.experimental.xla_metadata import set_xla_metadata


def apart(f, *arrays):
    """f(*arrays), computed on its own: XLA does not merge its loops with those around it.

    Where it does, it computes what the arrays come from once for each use, and pixel by pixel in the order of the use,
    which can be ten times as slow. A barrier is gone before it merges; it does not look into a call that is kept.
    """

    def alone(*arrays):
        with set_xla_metadata(inlineable=None):  # what f itself calls, such as jnp.where, is merged
            return f(*arrays)

    with set_xla_metadata(inlineable='false'):
        return jax.jit(alone)(*arrays)
