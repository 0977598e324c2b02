import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax import models
from ssljax.config import base
from ssljax.models.vit import Block, PatchDecoder, patches, pick, positions, unpatches, unpick
from ssljax.transfer import take_backbone

KEY = jax.random.key(0)


@pytest.fixture
def config():
    c = base().backbone
    c.update(name='vit', width=16, depth=2, heads=2, patch=4)
    return c


def test_patches_in_reading_order():
    x = jnp.arange(2 * 4 * 6 * 3).reshape(2, 4, 6, 3)
    p = patches(x, 2)
    assert p.shape == (2, 6, 12)
    np.testing.assert_array_equal(p[1, 4].reshape(2, 2, 3), x[1, 2:4, 2:4])  # row 1, column 1
    np.testing.assert_array_equal(unpatches(p, (4, 6, 3), 2), x)


def test_positions_by_hand():
    p = positions(2, 3, 8)
    assert p.shape == (6, 8)
    np.testing.assert_allclose(p[0], [0, 0, 1, 1] * 2)  # row 0, column 0
    s, c = np.sin, np.cos
    expected = [s(1), s(0.01), c(1), c(0.01), s(2), s(0.02), c(2), c(0.02)]  # row 1, column 2
    np.testing.assert_allclose(p[5], expected, rtol=1e-6)
    with pytest.raises(ValueError, match='multiple of 4'):
        positions(2, 2, 6)


def test_unpick_restores_what_pick_took():
    x = jax.random.normal(KEY, (3, 5, 2))
    order = jnp.stack([jnp.array([3, 0, 4, 2, 1]), jnp.arange(5), jnp.arange(5)[::-1]])
    np.testing.assert_array_equal(unpick(pick(x, order), order, 5, jnp.zeros(2)), x)
    some = unpick(pick(x, order[:, :2]), order[:, :2], 5, jnp.array([7.0, 8.0]))
    np.testing.assert_array_equal(some[0], [x[0, 0], [7, 8], [7, 8], x[0, 3], [7, 8]])


def test_layers_are_maps_and_the_last_is_normalised(config):
    module = models.build(config)
    assert (module.family, module.min_size) == ('vit', 4)
    activations, variables = jax.jit(module.init_with_output)(KEY, jax.random.normal(KEY, (2, 8, 12, 1)))
    assert list(activations) == ['embed', 'block1', 'block2'] and set(variables) == {'params'}
    assert {a.shape for a in activations.values()} == {(2, 2, 3, 16)}
    last = activations['block2']
    np.testing.assert_allclose(last.mean(-1), 0, atol=1e-5)
    np.testing.assert_allclose(last.std(-1), 1, rtol=1e-3)
    assert variables['params']['embed']['kernel'].shape == (4, 4, 1, 16)  # filters, for the report


def test_embedding_is_a_strided_convolution_and_a_position(config):
    x = jax.random.normal(KEY, (2, 8, 12, 3))
    activations, variables = jax.jit(models.build(config, 'embed').init_with_output)(KEY, x)
    conv = nn.Conv(16, (4, 4), (4, 4), 'VALID')
    y = conv.apply({'params': variables['params']['embed']}, x)
    np.testing.assert_allclose(activations['embed'], y + positions(2, 3, 16).reshape(2, 3, 16), atol=1e-5)


def test_a_block_by_hand():
    x = jax.random.normal(KEY, (2, 3, 8))
    block = Block(2, jnp.float32)
    y, variables = jax.jit(block.init_with_output)(KEY, x)
    p = variables['params']
    norm = lambda x: (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    n, a = norm(x), p['attention']
    q, k, v = (jnp.einsum('bnd,dhe->bhne', n, a[name]['kernel']) for name in ('query', 'key', 'value'))
    weights = jax.nn.softmax(q @ k.swapaxes(2, 3) / 2.0)  # two heads of 4: the root is 2
    x = x + jnp.einsum('bhne,hed->bnd', weights @ v, a['out']['kernel'])
    expected = x + nn.gelu(norm(x) @ p['dense1']['kernel']) @ p['dense2']['kernel']
    np.testing.assert_allclose(y, expected, atol=1e-4)


def test_only_the_kept_patches_are_seen(config):
    module = models.build(config)
    x = jax.random.normal(KEY, (2, 8, 8, 1))
    variables, apply = jax.jit(module.init)(KEY, x), jax.jit(module.apply)
    whole = apply(variables, x, keep=jnp.tile(jnp.arange(4), (2, 1)))
    for name, activation in apply(variables, x).items():
        np.testing.assert_allclose(whole[name].reshape(activation.shape), activation, atol=1e-5)
    keep = jnp.array([[0, 3], [1, 2]])
    kept = apply(variables, x, keep=keep)
    assert {a.shape for a in kept.values()} == {(2, 2, 16)}
    hidden = unpatches(unpick(jnp.zeros((2, 2, 16)), keep, 4, jnp.ones(16)), (8, 8, 1), 4)  # 1 where hidden
    changed = apply(variables, x + 9 * hidden, keep=keep)
    jax.tree.map(np.testing.assert_array_equal, kept, changed)
    pixels = jax.jit(jax.grad(lambda x: module.apply(variables, x, keep=keep)['block2'][..., 0].sum()))(x)
    assert not jnp.any(pixels * hidden) and jnp.all(jnp.any(pixels != 0, axis=(1, 2, 3)))


def test_the_decoder_puts_tokens_in_place():
    decoder = PatchDecoder((2, 2), 3, width=8, depth=1, heads=2)
    x, keep = jax.random.normal(KEY, (2, 2, 5)), jnp.array([[0, 3], [2, 1]])
    y, variables = jax.jit(decoder.init_with_output)(KEY, x, keep)
    assert y.shape == (2, 4, 3) and y.dtype == jnp.float32
    apply = jax.jit(decoder.apply)
    swapped = apply(variables, x[:, ::-1], keep[:, ::-1])
    np.testing.assert_allclose(y, swapped, atol=1e-5)
    moved = apply(variables, x, keep[:, ::-1])
    assert not np.allclose(y, moved, atol=1e-3)
    whole = jax.eval_shape(decoder.apply, variables, jnp.zeros((1, 2, 2, 5)))  # a map of all patches
    assert whole.shape == (1, 4, 3)


def test_cut_and_transferred(config):
    x = jnp.zeros((1, 8, 8, 1))
    whole, half = models.build(config), models.build(config, 'block1')
    source, target = jax.jit(whole.init)(KEY, x), jax.jit(half.init)(jax.random.key(1), x)
    assert set(target['params']) == {'embed', 'block1'}
    taken = take_backbone({'params': {'backbone': source['params']}}, {'params': {'backbone': target['params']}}, 'x')
    image = jax.random.normal(KEY, x.shape)
    a, b = jax.jit(whole.apply)(source, image), jax.jit(half.apply)({'params': taken['params']['backbone']}, image)
    np.testing.assert_array_equal(a['block1'], b['block1'])


def test_bfloat16(config):
    config.dtype = 'bfloat16'
    module = models.build(config)
    activations, variables = jax.eval_shape(module.init_with_output, KEY, jnp.zeros((1, 8, 8, 1)))
    assert {a.dtype for a in activations.values()} == {jnp.dtype('bfloat16')}
    assert {v.dtype for v in jax.tree.leaves(variables)} == {jnp.dtype('float32')}


@pytest.mark.parametrize(
    'fields, said', [({'depth': -1}, 'number from 1'), ({'heads': 3}, 'multiple'), ({'width': 6}, 'multiple of')]
)
def test_wrong_settings_are_named(config, fields, said):
    config.update(fields)
    with pytest.raises(ValueError, match=said):
        models.build(config)


@pytest.mark.parametrize('shape', [(1, 10, 8, 1), (1, 2, 2, 1), (8, 8, 1)])
def test_images_that_cannot_be_cut_are_named(config, shape):
    with pytest.raises(ValueError, match='cannot be cut into patches of 4x4'):
        models.build(config).init(KEY, jnp.zeros(shape))
