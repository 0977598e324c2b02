"""Convolution and pooling, NHWC with HWIO kernels, square windows and symmetric padding."""
import jax
import jax.numpy as jnp
from jax import lax

MODES = ('auto', 'xla', 'fast')
_LAYOUT = ('NHWC', 'HWIO', 'NHWC')


def is_fast(mode: str) -> bool:
    """Whether `mode` asks for the project's own forms: 'fast' always, 'auto' on the CPU backend, 'xla' never."""
    return mode == 'fast' or (mode == 'auto' and jax.default_backend() == 'cpu')


def conv2d(x: jax.Array, w: jax.Array, stride: int = 1, padding: int = 0, *, groups: int = 1,
           mode: str = 'auto') -> jax.Array:
    """Convolution of x [B, H, W, C] with w [k, k, C / groups, D] -> [B, h, w, D]."""
    pads = ((padding, padding), (padding, padding))
    return lax.conv_general_dilated(x, w, (stride, stride), pads, dimension_numbers=_LAYOUT,
                                    feature_group_count=groups)


def max_pool(x: jax.Array, window: int, stride: int, padding: int = 0, *, mode: str = 'auto') -> jax.Array:
    """Max pooling of x [B, H, W, C]; padding counts as -inf."""
    pads = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, window, window, 1), (1, stride, stride, 1), pads)


def avg_pool(x: jax.Array, window: int, stride: int, padding: int = 0, *, mode: str = 'auto') -> jax.Array:
    """Average pooling of x [B, H, W, C]; padding counts as zeros, divided by window^2 (PyTorch's default)."""
    pads = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    y = lax.reduce_window(x, 0., lax.add, (1, window, window, 1), (1, stride, stride, 1), pads)
    return y / window ** 2
