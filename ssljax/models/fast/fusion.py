"""Where one loop of a compiled program ends and the next begins."""

import jax
from jax.experimental.xla_metadata import set_xla_metadata


def apart(f, *arrays):
    """f(*arrays), computed on its own: XLA does not fuse its loops with those around it.

    Otherwise, XLA computes what the arrays come from once for each use, pixel by pixel in the order of that use, which
    can be ten times as slow. A barrier is removed before XLA fuses; a call that is kept is not looked into.
    """

    def alone(*arrays):
        with set_xla_metadata(inlineable=None):  # what f itself calls, such as jnp.where, is fused
            return f(*arrays)

    with set_xla_metadata(inlineable='false'):
        return jax.jit(alone)(*arrays)
