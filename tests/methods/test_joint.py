import functools
import importlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ssljax import optim
from ssljax.config import base
from ssljax.core import Method, TrainState, init_state, split, train_step
from ssljax.losses import negative_cosine
from ssljax.methods import joint, network
from ssljax.models.heads import Projector

METHODS = ('simclr', 'moco', 'byol', 'simsiam', 'barlow_twins', 'vicreg', 'dino', 'swav', 'lejepa', 'emp_ssl')
TEACHERS = ('moco', 'byol', 'dino')
SHAPE, STEPS = (12, 12, 1), 20
jit = functools.partial(  # compiling is most of the time here
    jax.jit, compiler_options={'xla_backend_optimization_level': 0, 'xla_llvm_disable_expensive_passes': True}
)


def configure(name, **options):
    c = base()
    c.pretrain.update(method=name, augment='crop(1)|color_jitter(0.2)', pool='flatten')
    c.pretrain[name].update({'projector': (32, 16)} | options)
    if 'prototypes' in c.pretrain[name]:
        c.pretrain[name].prototypes = 8
    return c


def make(config):
    return importlib.import_module(f'ssljax.methods.{config.pretrain.method}').make(config, SHAPE)


def batch(n=8, seed=0):
    """Smooth images, each of its own direction and wavelength."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:12, :12]
    waves = [np.sin(a * x + b * y + c) for a, b, c in rng.uniform(-1.5, 1.5, (n, 3))]
    images = (127 + 100 * np.stack(waves))[..., None].astype(np.uint8)
    return {'image': images, 'label': np.full(n, -1, np.int32), 'index': np.arange(n, dtype=np.int32)}


@functools.cache
def build(name):
    """The method, its compiled step (params, state, ema, batch, key) -> ((loss, (state, metrics)), (gradient to params,
    to ema)), and (params, state) before the first one."""
    config = configure(name, **({'momentum': 0.9} if name == 'dino' else {}))
    method = make(config)
    step = jit(jax.value_and_grad(method.loss, argnums=(0, 2), has_aux=True))
    return method, step, *split(jit(method.init)(jax.random.key(0), batch()))


@functools.cache
def trained(name):
    """(params, state, ema, losses, metrics of the last step) after 20 steps."""
    method, step, params, state = build(name)
    cfg = base().pretrain.optim
    cfg.lr = 0.2 if name == 'dino' else 0.05
    tx, _ = optim.make(cfg, STEPS)
    opt, ema, losses = tx.init(params), params, []

    @jit
    def update(grads, opt, params, ema, progress):
        updates, opt = tx.update(grads, opt, params)
        params, tau = optax.apply_updates(params, updates), method.ema_decay(progress, 0) if method.ema_decay else 1.0
        return params, opt, jax.tree.map(lambda e, p: tau * e + (1 - tau) * p, ema, params)

    for i in range(STEPS):
        data = at(i / STEPS)
        (loss, (state, metrics)), (grads, _) = step(params, state, ema, data, jax.random.key(i))
        params, opt, ema = update(grads, opt, params, ema, data['progress'])
        losses.append(float(loss))
    return params, state, ema, losses, metrics


def at(progress, **fields):
    return batch() | {'progress': np.float32(progress)} | fields


def zero(tree):
    return not any(np.any(leaf) for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize('name', METHODS)
def test_the_loss_falls_in_20_steps(name):
    losses = trained(name)[3]
    assert np.isfinite(losses).all()
    assert np.mean(losses[-3:]) < np.mean(losses[:3]) - 0.1 * abs(losses[0])


@pytest.mark.parametrize('name', METHODS)
def test_constant_images_do_not_crash(name):
    params, state, ema, _, _ = trained(name)
    for value in (0, 255):
        data = at(0.5, image=np.full((8, *SHAPE), value, np.uint8))
        out = build(name)[1](params, state, ema, data, jax.random.key(1))
        assert all(np.isfinite(x).all() for x in jax.tree.leaves(out))


@pytest.mark.parametrize('name', METHODS)
def test_every_part_trains_and_the_embedding_is_watched(name):
    method, _, start, _ = build(name)
    params, state, _, _, metrics = trained(name)
    for part in start:
        assert not zero(jax.tree.map(jnp.subtract, start[part], params[part]))
    assert 0 < float(metrics['embedding_std'][0]) <= 1.01
    assert jax.eval_shape(method.embed, params, state, batch()['image']).shape == (8, 16)


@pytest.mark.parametrize('name', TEACHERS)
def test_a_teacher_takes_no_gradient_and_leaves_no_statistics(name):
    _, step, start, _ = build(name)
    params, state, ema, _, _ = trained(name)
    (_, (new, metrics)), (_, to_ema) = step(params, state, ema, at(0.5), jax.random.key(2))
    assert zero(to_ema)
    (_, (other, changed)), _ = step(params, state, start, at(0.5), jax.random.key(2))
    jax.tree.map(np.testing.assert_array_equal, new['batch_stats'], other['batch_stats'])
    assert metrics['loss'][0] != changed['loss'][0]  # but the teacher matters


def test_a_teacher_moves_by_tau():
    """One step with the schedule of the methods and a loss whose gradient is 1."""
    tau = joint.momentum('byol', 0.9)
    one = {'loss': (jnp.ones(()), jnp.ones(()))}
    decay = lambda progress, step: tau(progress)
    method = Method(None, lambda params, *_: (params['w']['x'], ({}, one)), None, ema_decay=decay)
    ts = init_state(method, optax.sgd(1.0), {'params': {'w': {'x': jnp.float32(3)}}})
    new, _ = train_step(method, optax.sgd(1.0), ts._replace(step=jnp.int32(5)), {}, jax.random.key(0), 10)
    np.testing.assert_allclose(new.ema['w']['x'], 0.95 * 3 + 0.05 * 2, rtol=1e-6)


def test_momentum_rises_to_1_on_a_cosine():
    tau = joint.momentum('byol', 0.9)
    np.testing.assert_allclose([tau(0.0), tau(0.5), tau(1.0)], [0.9, 0.95, 1.0], rtol=1e-6)


def test_simsiam_stops_the_gradient_of_the_projection():
    """Its gradient is that of a loss whose targets are constants."""
    config = configure('simsiam')
    heads = ('projector', Projector((32, 16), 'flatten', last_norm=True)), ('predictor', Projector((64, 16)))
    net = network.build(config, SHAPE, *heads)
    params, state, ema, _, _ = trained('simsiam')
    key = jax.random.key(4)

    def by_hand(params, fixed):
        x, _ = joint.pipelines(config, 'simsiam').draw(key, batch()['image'])
        a, b = joint.embed_views(net, params, state, x, None, len(x) // 2, train=True)[0]['predictor']
        targets = joint.embed_views(net, fixed, state, x, None, len(x) // 2, train=True)[0]['projector']
        return jnp.mean(negative_cosine(a, targets[1]) + negative_cosine(b, targets[0])) / 2

    _, (got, _) = build('simsiam')[1](params, state, ema, at(0.5), key)
    expected = jit(jax.grad(by_hand))(params, params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), got, expected)


def test_prototypes_are_held_at_first():
    _, step, params, state = build('swav')
    held, moving = (step(params, state, params, at(p), jax.random.key(0))[1][0] for p in (0.01, 0.5))
    assert zero(held['prototypes']) and not zero(moving['prototypes'])
    np.testing.assert_allclose(held['projector']['embedding']['kernel'], moving['projector']['embedding']['kernel'])


def test_swav_steps_as_its_source_does():
    """A plain step of the prototypes, of length 1 before, and every one brought back to it afterwards."""
    method, step, params, state = build('swav')
    tx = optax.sgd(0.1)
    ts = TrainState(jnp.asarray(5, jnp.int32), params, state, None, (tx.init(params),))
    new, _ = jit(functools.partial(train_step, method, tx, steps=10))(ts, at(0.5), jax.random.key(0))
    key = jax.random.fold_in(jax.random.key(0), 5)
    gradient = step(params, state, params, at(0.5), key)[1][0]['prototypes']['kernel']
    before = params['prototypes']['kernel']
    moved = before - 0.1 * gradient
    np.testing.assert_allclose(np.linalg.norm(before, axis=0), 1, rtol=1e-5)
    np.testing.assert_allclose(new.params['prototypes']['kernel'], moved / np.linalg.norm(moved, axis=0), rtol=1e-4)
    assert abs(np.sum(before * gradient, axis=0)).max() > 1e-4, 'the gradient is not that of a normalised direction'


def test_the_centre_of_dino_is_a_running_mean():
    params, state, ema, _, _ = trained('dino')
    states = (state | {'dino': {'centre': jnp.full(8, c)}} for c in (0.0, 1.0))
    a, b = (build('dino')[1](params, s, ema, at(0.5), jax.random.key(0))[0][1][0]['dino']['centre'] for s in states)
    np.testing.assert_allclose(b - a, np.full(8, 0.9), rtol=1e-5)
    assert 0 < np.abs(a).max() <= 0.1  # a tenth of a cosine


@pytest.mark.parametrize('name', ['simclr', 'vicreg'])
def test_padding_rows_do_not_change_evaluation(name):
    params, state, _, _, _ = trained(name)
    measure = jit(build(name)[0].measure)
    mask = np.float32([1, 1, 1, 1, 1, 0, 0, 0])
    images = [np.where(mask[:, None, None, None] > 0, batch()['image'], np.uint8(filler)) for filler in (0, 200)]
    a, b = (measure(params, state, {'image': x, 'label': batch()['label'], 'mask': mask}) for x in images)
    jax.tree.map(np.testing.assert_array_equal, a, b)
    assert a['loss'][1] == 5 and np.isfinite(a['loss'][0])


def test_padding_rows_are_filled_with_real_ones():
    np.testing.assert_array_equal(joint.fill(jnp.arange(5), jnp.float32([1, 1, 0, 0, 0])), [0, 1, 0, 1, 0])
    np.testing.assert_array_equal(joint.fill(jnp.arange(4), jnp.float32([0, 1, 0, 1])), [1, 1, 1, 3])
    np.testing.assert_array_equal(joint.fill(jnp.arange(3), jnp.ones(3)), [0, 1, 2])
    assert joint.fill(jnp.arange(3), jnp.zeros(3)).shape == (3,)


def test_two_views_differ_and_are_shown():
    method, _, params, state = build('simclr')
    columns = method.show(params, state, batch()['image'])
    assert list(columns) == ['original', 'view 1', 'view 2'] and method.views == 2
    a, b = columns['view 1'], columns['view 2']
    assert a.shape == b.shape == (8, *SHAPE) and (np.abs(a - b).max((1, 2, 3)) > 0.01).all()
    np.testing.assert_allclose(columns['original'] * 255, batch()['image'], atol=1e-3)


def test_the_second_views_can_have_their_own_pipeline():
    config = configure('byol', augment2='solarize(0.0, p=1.0)')
    both, _ = joint.pipelines(config, 'byol').draw(jax.random.key(0), batch()['image'])
    np.testing.assert_allclose(both[8:], 1 - batch()['image'] / 255.0, atol=1e-6)
    assert not np.allclose(both[:8], both[8:])


@pytest.mark.parametrize('name', ['dino', 'swav'])
def test_local_views(name):
    config = configure(name, local_views=2, local_augment='random_resized_crop((0.2, 0.5), size=8)')
    config.pretrain.pool = 'grid2'
    method = make(config)
    variables = jax.eval_shape(lambda: method.init(jax.random.key(0), batch()))
    params, state = split(variables)
    data = batch() | {'progress': np.float32(0), 'mask': np.ones(8, np.float32)}
    loss, (new, metrics) = jax.eval_shape(method.loss, params, state, params, data, jax.random.key(0))
    assert loss.shape == () and jax.tree.map(jnp.shape, new) == jax.tree.map(jnp.shape, state) and method.views == 4
    assert jax.eval_shape(method.measure, params, state, data)['loss'][0].shape == ()
    assert jax.eval_shape(method.show, params, state, data['image'])['local view'].shape == (8, 8, 8, 1)


@pytest.mark.parametrize(
    'name, options, said',
    [
        ('simclr', {'temperature': 0.0}, 'simclr.temperature is 0.0; it must be above 0'),
        ('simclr', {'projector': ()}, 'must be layer widths'),
        ('byol', {'momentum': 1.0}, r'in \[0, 1\)'),
        ('dino', {'local_views': 2}, 'set pretrain.pool to avg or gridN'),
        ('dino', {'centre_momentum': -0.1}, 'centre_momentum'),
        ('byol', {'augment2': 'solarise'}, 'solarize'),
    ],
)
def test_what_cannot_work_is_said(name, options, said):
    with pytest.raises(ValueError, match=said):
        make(configure(name, **options))


def test_views_without_augmentation_are_refused():
    config = configure('simclr')
    config.pretrain.augment = ''
    with pytest.raises(ValueError, match='pretrain.augment is empty'):
        make(config)
    config.pretrain.simclr.augment = 'crop(1)'
    make(config)
