import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax import methods, optim
from ssljax.config import base
from ssljax.core import init_state
from ssljax.methods import autoencoder, context_encoder, mae, reconstruction
from ssljax.models.vit import patches, unpatches
from tests import steps
from tests.steps import compiled

SHAPE = (12, 12, 1)
TASKS = ('autoencoder', 'context_encoder', 'mae', 'gan')
KEY = jax.random.key(0)


def images(n=8):
    """Bright squares at random places: a batch [n, 12, 12, 1]."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 40, (n, *SHAPE))
    for image, (top, left) in zip(x, rng.integers(0, 8, (n, 2))):
        image[top : top + 5, left : left + 5] += 180
    return x.astype(np.uint8)


BATCH = {'image': images(), 'label': np.full(8, -1, np.int32), 'mask': np.ones(8, np.float32)}


def configure(name, shape=SHAPE, **options):
    """(config, method)"""
    config = base()
    config.pretrain.update(method=name, pool='flatten')
    config.pretrain[name].update({'width': 8} | options)
    if name == 'mae':
        config.backbone.update(name='vit', width=16, depth=1, heads=2, patch=4)
        config.pretrain.optim.update(name='adamw', lr=0.01)
    return config, methods.pretext(config, shape)


@functools.cache
def built(name, **options):
    """(method with compiled `measure` and `show`, params, state)"""
    method = configure(name, **options)[1]
    method = method._replace(**{f: compiled(getattr(method, f)) for f in ('measure', 'show')})
    return method, *steps.variables(method, BATCH, KEY)


@pytest.mark.parametrize(
    'name, options, factor',
    [('autoencoder', {'noise': 'mask', 'bottleneck': 6}, 0.7), ('context_encoder', {}, 0.8), ('mae', {}, 0.8)],
)
def test_the_loss_falls_in_20_steps(name, options, factor):
    losses = twenty_steps(name, 'loss', configure(name)[0].pretrain.optim, **options)
    assert losses[-1] < factor * losses[0]


def test_the_discriminator_learns_while_the_generator_is_idle():
    optimiser = base().pretrain.optim
    optimiser.rules = 'generator/.*=0; .*=1'
    losses = twenty_steps('gan', 'discriminator', optimiser)
    assert losses[-1] < 0.7 * losses[0]


def twenty_steps(name, metric, optimiser, **options):
    method, params, state = built(name, **options)
    tx, _ = optim.make(optimiser, 20)
    _, found = steps.train(method, tx, init_state(method, tx, {'params': params, **state}), BATCH, KEY)
    return [metrics[metric] for metrics in found]


@pytest.mark.parametrize('name', TASKS)
def test_evaluation_is_deterministic_and_leaves_padding_out(name):
    method, params, state = built(name)
    padded = BATCH | {'image': BATCH['image'].copy(), 'mask': np.float32([1] * 6 + [0] * 2)}
    some = method.measure(params, state, padded)
    padded['image'][6:] = 255
    jax.tree.map(np.testing.assert_array_equal, some, method.measure(params, state, padded))
    assert some['loss'][1] == 6 and np.isfinite(float(some['loss'][0]))


@pytest.mark.parametrize('name', TASKS)
def test_pictures(name):
    method, params, state = built(name)
    pictures = method.show(params, state, BATCH['image'])
    assert set(pictures) == ({'generated'} if name == 'gan' else {'original', 'input', 'reconstruction'})
    for p in pictures.values():
        assert p.shape == (8, *SHAPE) and p.dtype == jnp.float32 and 0 <= p.min() and p.max() <= 1
    if name != 'gan':
        np.testing.assert_allclose(pictures['original'], BATCH['image'] / 255, atol=1e-6)


def test_weighted_error_by_hand():
    made, x = jnp.zeros((1, 1, 2, 2)), jnp.array([1.0, 3.0, 2.0, 0.0]).reshape(1, 1, 2, 2)
    error = lambda w: float(reconstruction.weighted_error(made, x, jnp.array(w).reshape(1, 1, 2, 1))[0])
    assert error([1.0, 1.0]) == pytest.approx((5 + 2) / 2)  # mean over channels, then over pixels
    assert error([1.0, 10.0]) == pytest.approx((5 + 10 * 2) / 11)
    assert error([0.0, 0.0]) == 0.0


def test_noise_of_the_autoencoder():
    x = jnp.full((4, 12, 12, 2), 0.6)  # 0.8 in [0, 1]
    np.testing.assert_array_equal(autoencoder.spoil(KEY, x, 'none', 0.3), x)
    masked = autoencoder.spoil(KEY, x, 'mask', 0.3)
    assert set(np.unique(masked)) == {np.float32(0), np.float32(0.6)}
    np.testing.assert_array_equal(masked[..., 0], masked[..., 1])
    assert abs(np.mean(masked == 0) - 0.3) < 0.06
    noise = (autoencoder.spoil(KEY, x, 'gaussian', 0.1) - x) / 2
    assert abs(noise.mean()) < 0.01 and abs(noise.std() - 0.1) < 0.01


def test_blocks_by_hand():
    start = jnp.array([[[0, 0], [2, 3]], [[1, 1], [1, 1]]])
    hole = context_encoder.covered(start, (2, 1), (2, 4, 4, 1), 0)[..., 0]
    np.testing.assert_array_equal(hole[0], [[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 1]])
    np.testing.assert_array_equal(hole[1], [[0, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]])
    wider = context_encoder.covered(start[1:], (2, 1), (2, 4, 4, 1), 1)[0, :, :, 0]
    np.testing.assert_array_equal(wider, np.tile([1, 1, 1, 0], (4, 1)))


def test_what_is_in_the_hole_is_not_seen():
    x = jnp.asarray(BATCH['image'] / 127.5 - 1, jnp.float32)
    hole = context_encoder.covered(jnp.full((8, 1, 2), 3), (6, 6), x.shape, 0)
    given = context_encoder.remove(x, hole)
    np.testing.assert_array_equal(given, context_encoder.remove(jnp.where(hole == 1, 9.0, x), hole))
    for image, changed, removed in zip(x, given, np.asarray(hole) == 1):
        np.testing.assert_allclose(changed[removed], image[~removed].mean(), atol=1e-5)
        np.testing.assert_array_equal(changed[~removed], image[~removed])


def test_the_hole_is_in_the_middle():
    method, params, state = built('context_encoder', hole='center')
    shown = method.show(params, state, BATCH['image'])
    seen = np.abs(shown['input'] - shown['original']).max((0, 3)) < 1e-6
    np.testing.assert_array_equal(~seen, np.pad(np.ones((6, 6), bool), 3))


def test_masks_hide_the_share_asked_for():
    keep, hidden = mae.masking(KEY, 64, 16, 4)
    assert keep.shape == (64, 4) and hidden.shape == (64, 16)
    for row, mask in zip(np.asarray(keep), np.asarray(hidden)):
        assert len(set(row)) == 4 and set(np.flatnonzero(mask == 0)) == set(row)
    assert 0.6 < hidden.mean(0).min() and hidden.mean(0).max() < 0.9  # every patch is as likely


def test_moments_by_hand():
    mean, scale = mae.moments(jnp.array([[[1.0, 3.0, 5.0, 7.0], [2.0, 2.0, 2.0, 2.0]]]))
    np.testing.assert_allclose(mean[0, :, 0], [4, 2])
    np.testing.assert_allclose(scale[0, :, 0], [np.sqrt(20 / 3), 1e-3], rtol=1e-5)


def hidden_patches():
    """[8, 9, 1]: whether `show` and `measure` of mae hide the patch."""
    return np.asarray(mae.masking(jax.random.key(0), 8, 9, 2)[1])[:, :, None] == 1


def test_masked_patches_are_not_seen_and_visible_ones_not_compared():
    method, params, state = built('mae', norm=False)
    pixels = jax.tree.map(lambda w: w / 9, params['decoder']['pixels'])  # pictures are clipped; these need not be
    params = params | {'decoder': params['decoder'] | {'pixels': pixels}}
    cells = unpatches(np.tile(hidden_patches(), (1, 1, 16)), SHAPE, 4)
    other = np.where(cells, 255 - BATCH['image'], BATCH['image'])
    a, b = (method.show(params, state, x) for x in (BATCH['image'], other))
    for column in ('input', 'reconstruction'):  # the masked pixels changed: the encoding and what it gives did not
        np.testing.assert_array_equal(a[column], b[column])
    np.testing.assert_allclose(a['input'], np.where(cells, 0.5, a['original']), atol=1e-6)
    np.testing.assert_allclose(a['reconstruction'][~cells], a['original'][~cells], atol=1e-6)
    error = np.square(patches(2 * (a['reconstruction'] - a['original']), 4)).mean(2)
    loss, count = method.measure(params, state, BATCH)['loss']
    np.testing.assert_allclose(loss / count, error.sum() / (8 * 7), rtol=1e-4)  # seven of nine patches of each image


def test_reconstructed_patches_have_their_own_mean_and_deviation():
    method, params, state = built('mae')
    pixels = jax.tree.map(jnp.zeros_like, params['decoder']['pixels'])
    params = params | {'decoder': params['decoder'] | {'pixels': pixels}}
    shown = {k: patches(v, 4) for k, v in method.show(params, state, BATCH['image']).items()}
    expected = np.where(hidden_patches(), shown['original'].mean(2, keepdims=True), shown['original'])
    np.testing.assert_allclose(shown['reconstruction'], expected, atol=1e-5)
    loss, count = method.measure(params, state, BATCH)['loss']
    assert loss / count == pytest.approx(15 / 16, rel=1e-3)  # predicting 0, of 16 values of unbiased variance 1


def test_each_player_has_the_gradient_of_its_own_loss():
    method, params, state = built('gan')

    @compiled
    def gradients(params):
        _, back = jax.vjp(lambda p: split_loss(method, p, state), params)
        one = {k: jnp.float32(k == 'discriminator') for k in ('discriminator', 'generator')}
        two = {k: 1 - v for k, v in one.items()}
        whole = jax.grad(lambda p: method.loss(p, state, None, BATCH, KEY)[0])(params)
        return whole, back(one)[0], back(two)[0]

    whole, discriminator, generator = gradients(params)
    zero = lambda tree: all(not np.any(leaf) for leaf in jax.tree.leaves(tree))
    assert zero(discriminator['generator']) and zero(generator['backbone']) and zero(generator['head'])
    assert not zero(whole['backbone']) and not zero(whole['generator']) and not zero(whole['head'])
    expected = discriminator | {'generator': generator['generator']}
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), whole, expected)


def split_loss(method, params, state):
    """{player: its mean loss}"""
    metrics = method.loss(params, state, None, BATCH, KEY)[1][1]
    return {k: metrics[k][0] / metrics[k][1] for k in ('discriminator', 'generator')}


def test_the_statistics_of_the_backbone_are_those_of_real_images():
    method, params, state = built('gan')
    loss = compiled(method.loss)
    _, (a, metrics) = loss(params, state, None, BATCH, KEY)
    other = params | {'generator': jax.tree.map(lambda w: w + 0.1, params['generator'])}
    _, (b, _) = loss(other, state, None, BATCH, KEY)
    jax.tree.map(np.testing.assert_array_equal, a['batch_stats']['backbone'], b['batch_stats']['backbone'])
    means = lambda s, part: jax.tree.leaves(s['batch_stats'][part])
    assert not np.allclose(means(a, 'backbone')[0], means(state, 'backbone')[0])
    assert any(not np.allclose(x, y) for x, y in zip(means(a, 'generator'), means(b, 'generator')))
    assert {'loss', 'd_real', 'd_fake', 'generator', 'discriminator'} == set(metrics)


def test_the_losses_of_an_undecided_discriminator():
    method, params, state = built('gan')
    params = params | {'head': jax.tree.map(jnp.zeros_like, params['head'])}
    metrics = {k: float(s / n) for k, (s, n) in method.measure(params, state, BATCH).items()}
    expected = dict(loss=3 * np.log(2), discriminator=2 * np.log(2), generator=np.log(2), d_real=0.5, d_fake=0.5)
    assert metrics == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    'name, options, said',
    [
        ('autoencoder', {'noise': 'salt'}, 'none, gaussian or mask'),
        ('autoencoder', {'noise': 'mask', 'strength': 1.0}, 'below 1'),
        ('autoencoder', {'bottleneck': -1}, 'bottleneck'),
        ('context_encoder', {'hole': 'left'}, 'center or random'),
        ('context_encoder', {'size': 1.0}, 'between 0 and 1'),
        ('context_encoder', {'size': 0.05}, 'no pixel'),
        ('context_encoder', {'width': 0}, '1 or more'),
        ('mae', {'mask': 0.95}, '0 of 9 patches'),
        ('mae', {'width': 10}, 'multiple'),
        ('gan', {'noise': 0}, '1 or more'),
    ],
)
def test_wrong_options_are_named(name, options, said):
    with pytest.raises(ValueError, match=said):
        configure(name, **options)


def test_mae_says_what_it_needs():
    config = base()
    config.pretrain.method = 'mae'
    with pytest.raises(ValueError, match='backbone.name=vit'):
        methods.pretext(config, SHAPE)
    with pytest.raises(ValueError, match='cannot be cut into patches of 4x4'):
        configure('mae', (13, 12, 1))
