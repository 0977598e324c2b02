import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax import models
from ssljax.config import base

KEY = jax.random.key(0)


def config(name='mlp', **fields):
    c = base().backbone
    c.update(name=name, **fields)
    return c


def test_layers_and_widths():
    for fields, size, depth, width in (({}, (1, 1, 2), 3, 128), ({'width': 5, 'depth': 2}, (3, 4, 1), 2, 5)):
        cfg = config(**fields)
        y, variables = jax.eval_shape(models.build(cfg).init_with_output, KEY, jnp.zeros((7, *size)))
        assert list(y) == list(models.layer_names(cfg)) == [f'dense{i}' for i in range(1, depth + 1)]
        assert {a.shape for a in y.values()} == {(7, width)}
        assert variables['params']['dense1']['dense']['kernel'].shape == (np.prod(size), width)


def test_only_mlp_takes_single_pixels():
    for name in models.BACKBONES:
        init = lambda: jax.eval_shape(models.build(config(name)).init, KEY, jnp.zeros((1, 1, 1, 2)))
        if name == 'mlp':
            init()
        else:
            with pytest.raises(ValueError, match='1x1.* too small|cannot be cut'):
                init()


@pytest.mark.parametrize('norm', ['none', 'weight'])
def test_two_layers_by_hand(norm):
    x = jax.random.normal(KEY, (6, 1, 1, 2))
    y, variables = jax.jit(models.build(config(norm=norm, width=8, depth=2)).init_with_output)(KEY, x)
    assert set(variables) == {'params'}
    z = np.asarray(x, np.float64).reshape(6, 2)
    for name in ('dense1', 'dense2'):
        kernel = np.asarray(variables['params'][name]['dense']['kernel'], np.float64)
        if norm == 'weight':
            kernel *= np.sqrt(2 / 1.04) / np.linalg.norm(kernel, axis=0)
        z = z @ kernel
        z = np.where(z > 0, z, 0.2 * z)
        np.testing.assert_allclose(y[name], z, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('norm', ['weight', 'none'])
def test_the_signal_neither_fades_nor_explodes(norm):
    x = jax.random.normal(KEY, (64, 1, 1, 2))
    y, _ = jax.jit(models.build(config(norm=norm, width=256, depth=12)).init_with_output)(KEY, x)
    assert 0.5 < jnp.sqrt(jnp.mean(y['dense12'] ** 2)) < 2  # with a gain of 1 in place of 2 / 1.04 it is 0.02


def test_batch_norm_is_updated_in_training():
    x = 3 + jax.random.normal(KEY, (64, 1, 1, 2))
    module = models.build(config(width=8), 'dense1')
    variables = jax.jit(module.init)(KEY, x)
    y, update = jax.jit(lambda v: module.apply(v, x, True, mutable=['batch_stats']))(variables)
    z = np.where(y['dense1'] > 0, y['dense1'], y['dense1'] / 0.2)  # leaky ReLU undone
    np.testing.assert_allclose(z.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(z.std(0), 1, atol=1e-2)
    assert jnp.abs(update['batch_stats']['dense1']['norm']['mean']).max() > 0.05
