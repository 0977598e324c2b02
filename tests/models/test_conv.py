import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.models import conv
from ssljax.models.fast import winograd

# kernel, stride, padding, image side: what the backbones use, also on images smaller than the kernel
CONVS = [
    (1, 1, 0, 5),
    (1, 2, 0, 5),
    (1, 2, 0, 8),
    (3, 1, 1, 1),
    (3, 1, 1, 2),
    (3, 1, 1, 8),
    (3, 2, 1, 1),
    (3, 2, 1, 2),
    (3, 2, 1, 7),
    (3, 2, 1, 8),
    (5, 1, 2, 2),
    (5, 1, 2, 4),
    (5, 1, 2, 9),
    (7, 2, 3, 8),
    (7, 2, 3, 13),
    (11, 1, 2, 14),
    (11, 2, 2, 16),
    (11, 4, 2, 8),
    (11, 4, 2, 23),
]
POOLS = [
    (2, 2, 0, 7),
    (2, 2, 0, 8),
    (3, 2, 0, 8),
    (3, 2, 0, 7),
    (3, 2, 1, 8),
    (3, 2, 1, 7),
    (3, 2, 1, 2),
    (1, 2, 0, 1),
]


def agree(function, *inputs):
    """Output and reverse gradients of function(*inputs, mode=...) are the same in both modes, to rounding."""

    def run(mode, *inputs):
        y, vjp = jax.vjp(lambda *a: function(*a, mode=mode), *inputs)
        return y, *vjp(jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape))

    for a, b in zip(*(jax.jit(run, static_argnums=0)(mode, *inputs) for mode in ('xla', 'fast'))):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * float(1 + jnp.abs(a).max()))


def normal(*shape):
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


@pytest.mark.parametrize('kernel, stride, padding, side', CONVS)
def test_convolution_equals_xla(kernel, stride, padding, side):
    function = lambda x, w, mode: conv.conv2d(x, w, stride, padding, mode=mode)
    agree(function, normal(3, side, side + 1, 4), normal(kernel, kernel, 4, 5))


@pytest.mark.parametrize('stride, padding, side', [(1, 0, 9), (1, 1, 8), (1, 1, 13), (1, 2, 4), (2, 1, 7), (2, 1, 8)])
@pytest.mark.parametrize('channels, features', [(32, 40), (64, 64)])
def test_convolution_of_many_channels_equals_xla(stride, padding, side, channels, features):
    x, w = normal(17, side, side + 1, channels), normal(3, 3, channels, features)
    agree(lambda x, w, mode: conv.conv2d(x, w, stride, padding, mode=mode), x, w)


def test_winograd_rounds_little():
    x, w = np.random.default_rng(0).normal(size=(8, 16, 16, 64)), np.random.default_rng(1).normal(size=(3, 3, 64, 48))
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (1, 2))
    exact = np.einsum('bhwckl,klcd->bhwd', windows, w, optimize=True)
    x, w, pads = jnp.asarray(x, jnp.float32), jnp.asarray(w, jnp.float32), ((0, 0), (0, 0))
    error = lambda y: np.sqrt(np.mean((y - exact) ** 2)) / exact.std()
    assert error(winograd.conv(x, w, pads)) < min(1e-6, 8 * error(conv.conv2d(x, w, mode='xla')))


@pytest.mark.parametrize('kernel, stride, padding, side', [(3, 1, 1, 8), (3, 2, 1, 7), (3, 1, 0, 5), (2, 2, 0, 6)])
def test_convolution_of_gray_images_equals_xla(kernel, stride, padding, side):
    function = lambda x, w, mode: conv.conv2d(x, w, stride, padding, mode=mode)
    agree(function, normal(3, side, side + 1, 1), normal(kernel, kernel, 1, 5))


@pytest.mark.parametrize('stride, side', [(1, 1), (1, 8), (2, 2), (2, 7), (2, 8)])
def test_depthwise_equals_xla(stride, side):
    function = lambda x, w, mode: conv.conv2d(x, w, stride, 1, groups=4, mode=mode)
    agree(function, normal(3, side, side + 1, 4), normal(3, 3, 1, 4))


@pytest.mark.parametrize(
    'kernel, stride, padding, side', [(4, 2, 1, 7), (3, 2, 1, 4), (5, 2, 2, 3), (4, 4, 0, 2), (3, 1, 1, 5)]
)
def test_transposed_convolution_equals_xla_and_the_gradient(kernel, stride, padding, side):
    function = lambda x, w, mode: conv.conv_transpose2d(x, w, stride, padding, mode=mode)
    x, w = normal(3, side, side + 1, 4), normal(kernel, kernel, 5, 4)
    agree(function, x, w)
    y = function(x, w, 'fast')
    down = lambda y: conv.conv2d(y, w, stride, padding, mode='xla')
    np.testing.assert_allclose(y, jax.vjp(down, jnp.zeros_like(y))[1](x)[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('pool', [conv.max_pool, conv.avg_pool])
@pytest.mark.parametrize('window, stride, padding, side', POOLS)
def test_pool_equals_xla_also_at_ties(pool, window, stride, padding, side):
    function = lambda x, mode: pool(x, window, stride, padding, mode=mode)
    agree(function, jax.nn.relu(normal(3, side, side + 1, 4)))


def test_average_pool_counts_padding():
    y = conv.avg_pool(jnp.ones((1, 4, 4, 1)), 3, 2, 1)
    np.testing.assert_allclose(y[0, :, :, 0], [[4 / 9, 6 / 9], [6 / 9, 1]], rtol=1e-6)


def test_second_order_and_vmap_equal_xla():
    x, w = normal(2, 6, 6, 3), normal(3, 3, 3, 3)

    def penalty(x, w, mode):  # a gradient penalty: the gradient of a gradient's norm
        def score(x):
            y = jnp.tanh(conv.conv2d(x, w, 2, 1, mode=mode))
            return jnp.sum(conv.max_pool(y, 3, 2, 1, mode=mode) ** 2)

        return jnp.sum(jax.grad(score)(x) ** 2)

    agree(penalty, x, w)
    mapped = lambda x, w, mode: jax.vmap(lambda w: conv.conv2d(x, w, 1, 1, mode=mode))(w)
    agree(mapped, x, normal(2, 3, 3, 3, 3))
    agree(mapped, normal(64, 4, 4, 64), normal(2, 3, 3, 64, 64) / 24)
    agree(lambda x, mode: jax.vmap(lambda x: conv.max_pool(x, 3, 2, 1, mode=mode))(x), normal(2, 2, 6, 6, 3))


@pytest.mark.parametrize('channels, stride', [(3, 1), (64, 1), (64, 2)])
def test_gradient_in_a_scan_equals_the_one_outside(channels, stride):
    x, w = normal(16, 8, 8, channels), normal(3, 3, channels, channels) / channels
    gradient = jax.grad(lambda w: jnp.sum(conv.conv2d(x, w, stride, 1, mode='fast') ** 2))
    scanned = jax.lax.scan(lambda w, _: (w - 1e-3 * gradient(w), None), w, None, 2)[0]
    plain = w - 1e-3 * gradient(w)
    np.testing.assert_allclose(scanned, plain - 1e-3 * gradient(plain), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('kernel, stride, channels', [(3, 2, 3), (3, 1, 32), (3, 2, 32), (1, 1, 8)])
def test_bfloat16_is_near_float32(kernel, stride, channels):
    x, w = normal(17, 8, 8, channels), normal(kernel, kernel, channels, 32)
    x, w = x.astype(jnp.bfloat16), w.astype(jnp.bfloat16)

    def run(mode, dtype):
        function = lambda x, w: conv.conv2d(x, w, stride, kernel // 2, mode=mode)
        y, vjp = jax.vjp(function, x.astype(dtype), w.astype(dtype))
        return y, *vjp(jnp.cos(jnp.arange(y.size)).reshape(y.shape).astype(jnp.bfloat16).astype(dtype))

    for exact, own in zip(run('xla', jnp.float32), run('fast', jnp.bfloat16)):
        assert own.dtype == jnp.bfloat16
        assert jnp.abs(own - exact).max() < 2**-6 * jnp.abs(exact).max()


def test_auto_is_fast_on_the_cpu_only():
    assert conv.is_fast('fast') and not conv.is_fast('xla')
    assert conv.is_fast('auto') == (jax.default_backend() == 'cpu')
