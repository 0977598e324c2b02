import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.models.decoder import Channelwise, Decoder, DenseGenerator, generator, grids

KEY = jax.random.key(0)


def init(module, *shape):
    return jax.jit(lambda x: module.init(KEY, x, train=False))(jnp.zeros(shape))


def test_grids_halve_the_image():
    assert grids((28, 28), (7, 7)) == [(7, 7), (14, 14), (28, 28)]
    assert grids((13, 20), (3, 5)) == [(4, 5), (7, 10), (13, 20)]  # odd sizes are rounded up
    assert grids((28, 28), (28, 28)) == grids((28, 28), (30, 30)) == [(28, 28)]
    assert [grids((n, n), None)[0] for n in (8, 28, 32, 64, 224)] == [(4, 4), (7, 7), (4, 4), (4, 4), (7, 7)]


@pytest.mark.parametrize('shape', [(8, 8, 1), (13, 20, 2), (28, 28, 1), (32, 32, 3), (64, 64, 3)])
@pytest.mark.parametrize('given', [(7, 7, 16), (3, 4, 16), (64, 64, 4), (1, 1, 8), (24,)])
@pytest.mark.parametrize('bottleneck', [0, 5])
def test_any_activation_becomes_an_image_of_any_size(shape, given, bottleneck):
    decoder = Decoder(shape, 8, bottleneck=bottleneck)
    x = jax.ShapeDtypeStruct((2, *given), jnp.bfloat16)
    image, variables = jax.eval_shape(lambda x: decoder.init_with_output(KEY, x, train=True), x)
    assert image.shape == (2, *shape) and image.dtype == jnp.float32
    assert ('code' in variables['params']) == bool(bottleneck)


def test_everything_passes_the_bottleneck():
    decoder = Decoder((8, 8, 1), 4, bottleneck=1)
    variables = init(decoder, 1, 4, 4, 3)
    code = variables['params']['code']['kernel'][:, 0]
    a = jax.random.normal(KEY, (48,))
    b = a - code * jnp.vdot(a, code) / jnp.vdot(code, code)  # of code 0, as zeros are
    x = jnp.stack([a, b, jnp.zeros(48)]).reshape(3, 4, 4, 3)
    images = jax.jit(decoder.apply)(variables, x)
    np.testing.assert_allclose(images[1], images[2], atol=1e-5)
    assert not np.allclose(images[0], images[2], atol=1e-3)


def test_a_pooled_map_is_all_that_is_decoded():
    decoder = Decoder((8, 8, 1), 4, 'grid2')
    variables = init(decoder, 1, 4, 4, 3)
    assert variables['params']['spread']['kernel'].shape[0] == 2 * 2 * 3
    x = jax.random.normal(KEY, (1, 4, 4, 3))
    cells = x.reshape(1, 2, 2, 2, 2, 3).mean((2, 4)).repeat(2, 1).repeat(2, 2)  # each cell's mean in its place
    images = jax.jit(decoder.apply)(variables, jnp.concatenate([x, cells]))
    np.testing.assert_allclose(images[0], images[1], atol=1e-5)


def test_widths_double_towards_the_code():
    module = generator((64, 64, 3), 8)
    params = jax.eval_shape(module.init, KEY, jnp.zeros((1, 10)))['params']
    assert params['spread']['kernel'].shape == (10, 4 * 4 * 64)  # DCGAN's 4x4, 8 times the last width
    assert [params[f'up{i}']['kernel'].shape[2] for i in (1, 2, 3)] == [32, 16, 8]
    assert params['pixels']['kernel'].shape[2] == 3 and params['pixels']['bias'].shape == (3,)


def test_generated_values_are_in_range():
    module = generator((12, 12, 1), 4)
    images = jax.jit(module.apply)(init(module, 1, 6), 1e3 * jax.random.normal(KEY, (4, 6)))
    assert images.shape == (4, 12, 12, 1) and jnp.abs(images).max() <= 1


@pytest.mark.parametrize('side', [4, 28, 32, 48, 64, 96, 224])
@pytest.mark.parametrize('channels', [1, 3])
@pytest.mark.parametrize('weight_norm', [False, True])
def test_generators_of_usual_sizes(side, channels, weight_norm):
    module = generator((side, side, channels), 4, weight_norm=weight_norm)
    image, variables = jax.eval_shape(lambda z: module.init_with_output(KEY, z, train=True), jnp.zeros((2, 10)))
    assert image.shape == (2, side, side, channels)
    start, doublings = {4: (4, 0), 28: (7, 2), 32: (4, 3), 48: (6, 3), 64: (4, 4), 96: (6, 4), 224: (7, 5)}[side]
    first = 4 * 2 ** max(doublings - 1, 0)
    params = variables['params']
    assert params['spread']['kernel'].shape == (10, start * start * first)
    assert sum(name in params for name in ('up1', 'up2', 'up3', 'up4', 'up5')) == max(doublings - 1, 0)
    assert ('pixels_norm' in params) == weight_norm


@pytest.mark.parametrize('shape', [(4, 4, 3), (16, 16, 3)])
def test_weight_normalised_pixels(shape):
    module = generator(shape, 64, weight_norm=True).clone(final=None)
    noise = jax.random.normal(KEY, (64, 10))
    variables = jax.jit(lambda z: module.init(KEY, z))(noise)
    pixels = jax.jit(lambda v: module.apply(v, noise, True, mutable=['batch_stats'])[0])
    before = pixels(variables)
    inner = before[:, 1:-1, 1:-1]  # the border's outputs see less of the kernel
    assert 0.07 < inner.std() < 0.13
    params = variables['params']
    scaled = params['pixels'] | {'kernel': 7 * params['pixels']['kernel']}
    np.testing.assert_allclose(pixels(variables | {'params': params | {'pixels': scaled}}), before, atol=1e-5)
    (name, length), *none = params['pixels_norm'].items()
    longer = {'pixels_norm': {name: length * jnp.array([1.0, 2.0, 3.0])}}  # one length a channel
    after = pixels(variables | {'params': params | longer})
    np.testing.assert_allclose(after, before * jnp.array([1.0, 2.0, 3.0]), atol=1e-5)
    assert not none


@pytest.mark.parametrize('weight_norm', [False, True])
def test_points_are_generated_by_dense_layers(weight_norm):
    module = generator((1, 1, 2), 16, weight_norm=weight_norm)
    assert isinstance(module, DenseGenerator) and isinstance(generator((3, 5, 1), 16), DenseGenerator)
    noise = jax.random.normal(KEY, (256, 8))
    variables = jax.jit(lambda z: module.init(KEY, z))(noise)
    kernels = [variables['params'][name]['kernel'].shape for name in ('dense1', 'dense2', 'pixels')]
    assert kernels == [(8, 64), (64, 64), (64, 2)]
    points, _ = jax.jit(lambda v: module.apply(v, noise, True, mutable=['batch_stats']))(variables)
    assert points.shape == (256, 1, 1, 2) and points.dtype == jnp.float32 and jnp.abs(points).max() <= 1
    assert (points.std(0) > 0.3).all()  # from the start they spread over the square


def test_channelwise_joins_the_pixels_of_a_channel():
    module = Channelwise()
    variables = init(module, 1, 2, 2, 2)
    kernel = jnp.stack([jnp.full((4, 4), 0.25), jnp.eye(4)[::-1]])  # the mean; the pixels in reverse
    variables['params']['kernel'] = kernel
    variables['params']['mix']['conv']['kernel'] = jnp.eye(2)[None, None]
    x = jnp.arange(8.0).reshape(1, 2, 2, 2)
    y = jax.jit(module.apply)(variables, x) * np.sqrt(1 + 1e-5)  # less the initial BatchNorm's epsilon
    np.testing.assert_allclose(y[0, :, :, 0], 3 * np.ones((2, 2)), rtol=1e-5)
    np.testing.assert_allclose(y[0, :, :, 1], [[7, 5], [3, 1]], rtol=1e-5)
    vector = jnp.ones((2, 3))
    assert module.apply(module.init(KEY, vector), vector) is vector
