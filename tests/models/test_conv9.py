import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax import models
from ssljax.config import base

KEY = jax.random.key(0)


def config(**fields):
    c = base().backbone
    c.update(name='conv9', **fields)
    return c


def shapes(cfg, size):
    return jax.eval_shape(lambda x: models.build(cfg).init_with_output(KEY, x, True), jnp.zeros((2, size, size, 3)))


def test_maps_of_the_papers_size():
    activations, variables = shapes(config(norm='none'), 32)
    sizes = [(32, 96), (32, 96), (16, 96), (16, 192), (16, 192), (8, 192), (6, 192), (6, 192), (6, 192)]
    assert [a.shape for a in activations.values()] == [(2, side, side, width) for side, width in sizes]
    assert list(activations) == [f'conv{i}' for i in range(1, 10)]
    kernels = (3 * 9 + 2 * 96 * 9) * 96 + (96 * 9 + 3 * 192 * 9 + 2 * 192) * 192
    assert sum(v.size for v in jax.tree.leaves(variables)) == kernels + 3 * 96 + 6 * 192


@pytest.mark.parametrize('size, last', [(9, 1), (16, 2), (28, 5)])
def test_other_sizes_and_widths(size, last):
    activations = shapes(config(width=8), size)[0]
    assert activations['conv3'].shape[-1] == 8 and activations['conv9'].shape == (2, last, last, 16)


@pytest.mark.parametrize(
    'norm, parts', [('batch', {'params', 'batch_stats'}), ('weight', {'params'}), ('none', {'params'})]
)
def test_parameters_of_each_normalisation(norm, parts):
    variables = shapes(config(norm=norm), 32)[1]
    assert set(variables) == parts
    first = jax.tree.map(jnp.shape, variables['params']['conv1'])
    expected = {
        'batch': {'conv': {'kernel': (3, 3, 3, 96)}, 'norm': {'scale': (96,), 'bias': (96,)}},
        'weight': {'conv': {'kernel': (3, 3, 3, 96), 'bias': (96,)}, 'norm': {'conv/kernel/scale': (96,)}},
        'none': {'conv': {'kernel': (3, 3, 3, 96), 'bias': (96,)}},
    }
    assert first == expected[norm]


@pytest.mark.parametrize('mode', ['fast', 'xla'])
def test_weight_norm_by_hand(mode):
    module = models.build(config(norm='weight', width=64, conv=mode), 'conv1')
    x = jax.random.normal(KEY, (2, 9, 9, 3))
    params = jax.jit(module.init)(KEY, x)['params']['conv1']
    kernel, bias, length = params['conv']['kernel'], jnp.linspace(-1, 1, 64), jnp.linspace(-1, 2, 64)
    given = {'conv1': {'conv': {'kernel': kernel, 'bias': bias}, 'norm': {'conv/kernel/scale': length}}}
    y = jax.jit(module.apply)({'params': given}, x)['conv1'][:, 4, 4]
    flat = np.asarray(kernel, np.float64).reshape(27, 64)
    z = np.asarray(x, np.float64)[:, 3:6, 3:6].reshape(2, 27) @ (flat / np.linalg.norm(flat, axis=0) * length) + bias
    np.testing.assert_allclose(y, np.where(z > 0, z, 0.2 * z), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(params['norm']['conv/kernel/scale'], np.sqrt(2 / 1.04), rtol=1e-6)
    np.testing.assert_allclose(kernel.std(), np.sqrt(2 / 1.04 / 27), rtol=0.1)


def test_dropout_only_in_training_and_with_a_stream():
    x = jax.random.normal(KEY, (2, 9, 9, 3))
    module = models.build(config(norm='none', width=4), 'conv1')
    variables = jax.jit(module.init)(KEY, x)
    apply = lambda key, module, train: module.apply(variables, x, train, rngs=key)
    plain = apply(None, module, False)
    keys = [{'dropout': jax.random.key(i)} for i in (1, 2)]
    jax.tree.map(np.testing.assert_array_equal, apply(None, module, True), plain)
    jax.tree.map(np.testing.assert_array_equal, apply(keys[0], module, False), plain)
    without = models.build(config(norm='none', width=4, dropout=False), 'conv1')
    jax.tree.map(np.testing.assert_array_equal, apply(keys[0], without, True), plain)
    first, again, second = (apply(key, module, True) for key in (keys[0], keys[0], keys[1]))
    jax.tree.map(np.testing.assert_array_equal, first, again)
    assert not np.allclose(first['conv1'], plain['conv1']) and not np.allclose(first['conv1'], second['conv1'])


@pytest.mark.parametrize('which, whole', [('none', ()), ('image', ('conv1',)), ('all', ('conv1', 'conv4', 'conv7'))])
def test_whole_channels_may_be_dropped(which, whole):
    layers = models.build(config(norm='none', width=8, dropped_channels=which, image_dropout=0.15)).layers
    made = {name: make(parent=None) for name, make in layers}
    assert tuple(name for name, m in made.items() if m.dropped and m.channels) == whole
    assert made['conv1'].dropped == 0.15
    x = jnp.ones((6, 16, 16, 8))
    variables = jax.jit(made['conv4'].init)(KEY, x)
    run = lambda x: made['conv4'].apply(variables, x, True, rngs={'dropout': KEY}).sum()
    dropped = (jax.jit(jax.grad(run))(x) == 0).mean((1, 2))  # of each channel
    assert bool(((dropped == 0) | (dropped == 1)).all()) == ('conv4' in whole)


def test_how_much_is_dropped():
    layers = {name: make(parent=None) for name, make in models.build(config(norm='none', width=8)).layers}
    assert {name: m.dropped for name, m in layers.items() if m.dropped} == {'conv1': 0.2, 'conv4': 0.5, 'conv7': 0.5}
    x = jnp.ones((4, 16, 16, 3))
    variables = jax.jit(layers['conv4'].init)(KEY, x)
    run = lambda x: layers['conv4'].apply(variables, x, True, rngs={'dropout': KEY}).sum()
    gradient = jax.jit(jax.grad(run))(x)  # 0 where a value is dropped
    assert abs(jnp.mean(gradient == 0) - 0.5) < 0.05
