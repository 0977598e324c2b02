import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax import models
from ssljax.config import base
from ssljax.models import wrn

KEY = jax.random.key(0)
LAST = {'alexnet': 4096, 'resnet18': 512, 'resnet34': 512, 'resnet50': 2048, 'mobilenet': 1024}


def config(name, **fields):
    c = base().backbone
    c.update(name=name, **fields)
    return c


def shapes(cfg, size, channels=3, upto=''):
    module = models.build(cfg, upto)
    images = jax.ShapeDtypeStruct((2, size, size, channels), jnp.float32)
    return jax.eval_shape(lambda x: module.init_with_output(KEY, x, True), images)


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize('name', models.BACKBONES)
def test_layers_at_every_size(name):
    cfg = config(name)
    for size, channels in ((8, 1), (28, 1), (32, 4), (64, 2), (224, 3)):
        if name in ('alexnet', 'conv9') and size == 8:
            continue
        activations = shapes(cfg, size, channels)[0]
        assert tuple(activations) == models.layer_names(cfg)
        assert all(0 not in a.shape for a in activations.values())
        if name in LAST:
            assert activations[models.layer_names(cfg)[-1]].shape == (2, LAST[name])


@pytest.mark.parametrize(
    'name, size, published',
    [
        ('resnet18', 224, 11_689_512),
        ('resnet34', 224, 21_797_672),
        ('resnet50', 224, 25_557_032),
        ('mobilenet', 224, 4_231_976),
        # torchvision's AlexNet less two biases of 4096, plus the BatchNorm of 1152 and 2 x 4096 channels
        ('alexnet', 224, 61_100_840 - 2 * 4096 + 2 * (1152 + 8192)),
    ],
)
def test_parameter_counts_are_the_published_ones(name, size, published):
    classifier = (LAST[name] + 1) * 1000
    assert count(shapes(config(name), size)[1]['params']) + classifier == published


def test_known_shapes():
    nin = shapes(config('nin'), 32)[0]
    assert [a.shape[1:] for a in nin.values()] == [(16, 16, 96), (8, 8, 192), (8, 8, 192), (8, 8, 192)]
    alexnet = shapes(config('alexnet'), 224)[0]
    assert alexnet['conv1'].shape[1:] == (55, 55, 64) and alexnet['pool5'].shape[1:] == (6, 6, 256)
    assert shapes(config('alexnet', stem='imagenet'), 32)[0]['pool5'].shape[1:] == (1, 1, 256)
    assert shapes(config('resnet50'), 224)[0]['block4'].shape[1:] == (7, 7, 2048)
    assert shapes(config('resnet18', stem='cifar'), 64)[0]['block1'].shape[1:] == (64, 64, 64)
    assert shapes(config('resnet18', stem='imagenet'), 32)[0]['block1'].shape[1:] == (8, 8, 64)
    assert shapes(config('mobilenet'), 224)[0]['conv14'].shape[1:] == (7, 7, 1024)
    assert [models.layer_names(config('nin', blocks=n))[-1] for n in (3, 4, 5)] == ['conv3', 'conv4', 'conv5']


@pytest.mark.parametrize(
    'name, width, last',
    [('nin', 24, (8, 8, 24)), ('alexnet', 4, (256,)), ('mobilenet', 8, (256,)), ('resnet18', 8, (64,)),
     ('resnet50', 4, (128,))],
)  # fmt: skip
def test_a_width_narrows_every_layer(name, width, last):
    usual, narrow = shapes(config(name), 32), shapes(config(name, width=width), 32)
    assert list(usual[0]) == list(narrow[0]) and list(narrow[0].values())[-1].shape[1:] == last
    factors = {b.shape[-1] / a.shape[-1] for a, b in zip(usual[0].values(), narrow[0].values(), strict=True)}
    assert len(factors) == 1 and max(factors) < 1
    assert jax.tree.structure(usual[1]) == jax.tree.structure(narrow[1])


def test_every_backbone_has_a_width():
    assert all('width' in module.OPTIONS for module in models.BACKBONES.values())


def test_a_depth_of_resnets_is_that_of_each_block():
    variables = shapes(config('resnet50', width=4, depth=1), 32)[1]['params']
    assert all(set(variables[f'block{i}']) == {'unit1'} for i in (1, 2, 3, 4))
    two = jax.tree.structure(shapes(config('resnet34', depth=2), 32)[1])
    assert two == jax.tree.structure(shapes(config('resnet18'), 32)[1])


def test_wide_resnet_is_the_papers():
    activations, variables = shapes(config('wrn28_2'), 32)
    maps = [(32, 32, 16), (32, 32, 32), (16, 16, 64), (8, 8, 128)]
    assert dict(zip(('conv1', 'group1', 'group2', 'group3'), maps)) == {k: a.shape[1:] for k, a in activations.items()}
    # counted by hand, with the head for ten classes; the papers say 1.47 M and 1.5 M
    assert count(variables['params']) + 129 * 10 == 1_467_610
    # WRN-28-10 has 36.5 M in the paper
    wide = count(shapes(config('wrn28_2', width=160), 32)[1]['params']) + 641 * 10
    assert round(wide / 1e5) == 365
    small = shapes(config('wrn28_2', width=8, depth=2), 32)
    assert small[0]['group3'].shape == (2, 8, 8, 32) and set(small[1]['params']['group2']) == {'unit1', 'unit2'}


def test_wide_resnet_unit_by_hand():
    x = jax.random.normal(KEY, (2, 6, 6, 3)) + 0.5
    module = wrn.Unit(3, 1, False, (), jnp.float32, 'auto')
    variables = jax.jit(module.init)(KEY, x)
    eye = jnp.zeros((3, 3, 3, 3)).at[1, 1].set(jnp.eye(3))
    variables['params']['conv1']['kernel'], variables['params']['conv2']['kernel'] = eye, 2 * eye
    leaky = lambda v: jnp.where(v > 0, v, 0.1 * v) / jnp.sqrt(1 + 1e-5)
    y = jax.jit(module.apply)(variables, x)
    assert jnp.allclose(y, x + 2 * leaky(leaky(x)), atol=1e-5)


def test_wide_resnet_may_have_its_sources_batch_norm():
    """TF's: running = 0.999 running + 0.001 of the batch, and an epsilon of 1e-3."""
    made = models.build(config('wrn28_2', width=8, depth=1, norm_momentum=0.999, norm_epsilon=1e-3), 'group1')
    x = 3 * jax.random.normal(KEY, (2, 8, 8, 3))
    variables = made.init(KEY, x)
    _, new = made.apply(variables, x, True, mutable='batch_stats')
    stem = made.apply(variables, x, False)['conv1']
    norm = new['batch_stats']['group1']['unit1']['activate1']['norm']
    np.testing.assert_allclose(norm['var'], 0.999 + 0.001 * stem.var((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(norm['mean'], 0.001 * stem.mean((0, 1, 2)), rtol=1e-3, atol=1e-6)
    assert dict(dict(made.layers)['group1'](parent=None).norm)['epsilon'] == 1e-3


def test_mobilenet_stems_at_32_pixels():
    for stem, sides in (('cifar', (32, 2)), ('auto', (32, 2)), ('imagenet', (16, 1))):
        activations = shapes(config('mobilenet', stem=stem), 32)[0]
        assert (activations['conv1'].shape[1], activations['conv14'].shape[1]) == sides


def test_upto_makes_no_later_parameters():
    activations, variables = shapes(config('resnet18'), 32, upto='block2')
    assert list(activations) == ['stem', 'block1', 'block2']
    assert set(variables['params']) == set(variables['batch_stats']) == {'stem', 'block1', 'block2'}


def test_bfloat16_activations_float32_parameters():
    for name in ('nin', 'mobilenet', 'alexnet', 'resnet50', 'cnn', 'conv9', 'mlp', 'wrn28_2'):
        activations, variables = shapes(config(name, dtype='bfloat16'), 32)
        assert {a.dtype for a in activations.values()} == {jnp.dtype('bfloat16')}
        assert {v.dtype for v in jax.tree.leaves(variables)} == {jnp.dtype('float32')}


def test_evaluation_uses_running_statistics_and_training_updates_them():
    module = models.build(config('nin'), 'conv1')
    x = jax.random.normal(KEY, (4, 8, 8, 3))
    variables = jax.jit(module.init)(KEY, x)
    whole, half = (module.apply(variables, x[:n], False)['conv1'] for n in (4, 2))
    assert jnp.allclose(whole[:2], half, atol=1e-5)
    trained, update = module.apply(variables, x, True, mutable=['batch_stats'])
    assert not jnp.allclose(trained['conv1'], whole, atol=1e-2)
    mean = update['batch_stats']['conv1']['layer1']['norm']['mean']
    assert jnp.abs(mean).max() > 0


def test_fast_and_xla_backbones_agree():
    x = jax.random.normal(KEY, (2, 16, 16, 3))
    for name, upto in (('nin', 'conv2'), ('resnet18', 'block1'), ('mobilenet', 'conv3'), ('wrn28_2', 'group1')):
        fast, plain = (models.build(config(name, conv=mode), upto) for mode in ('fast', 'xla'))
        variables = jax.jit(plain.init)(KEY, x)
        outs = [jax.jit(lambda v, m=m: m.apply(v, x)[upto])(variables) for m in (fast, plain)]
        assert jnp.allclose(*outs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    'fields, words',
    [
        ({'name': 'resnt18'}, "did you mean 'resnet18'"),
        ({'name': 'nin', 'blocks': 2}, 'blocks is 2; it must be a whole number from 3 to 5'),
        ({'name': 'resnet18', 'stem': 'big'}, 'imagenet'),
        ({'name': 'cnn', 'dtype': 'float16'}, 'bfloat16'),
        ({'name': 'cnn', 'conv': 'slow'}, 'xla'),
        ({'name': 'resnet18', 'norm': 'weight'}, "'resnet18', where it is fixed.*conv9 or mlp"),
        ({'name': 'vit', 'norm': 'none'}, "set it to 'batch'"),
        ({'name': 'conv9', 'norm': 'layer'}, 'batch, weight, none'),
        ({'name': 'conv9', 'width': -1}, 'or 0 for the usual one'),
        ({'name': 'mlp', 'norm': ''}, 'batch, weight, none'),
        ({'name': 'mlp', 'depth': -1}, 'or 0 for the usual one'),
        ({'name': 'wrn28_2', 'depth': -2}, 'depth is -2; .* or 0 for'),
    ],
)
def test_wrong_settings_are_named(fields, words):
    with pytest.raises(ValueError, match=words):
        models.build(config(**fields))


def test_wrong_layers_and_images_are_named():
    with pytest.raises(ValueError, match="did you mean 'block1'.*stem, block1"):
        models.build(config('resnet18'), 'blok1')
    with pytest.raises(ValueError, match='too small'):
        shapes(config('alexnet'), 8)
    with pytest.raises(ValueError, match='too small.*needs 9'):
        shapes(config('conv9'), 8)
    with pytest.raises(ValueError, match='B, H, W, C'):
        models.build(config('cnn')).init(KEY, jnp.zeros((8, 8, 3)))
