import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.errors import ScopeParamShapeError

from ssljax import methods, optim
from ssljax.core import moves, split
from ssljax.data import augment
from ssljax.methods import rotation, supervised
from tests import steps

SHAPE, CLASSES = (16, 16, 3), 4


def batch(n=32, seed=0):
    """Images whose class is their dominant gradient, so that orientation and class can be learnt."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, n)
    ramp = np.linspace(0, 200, 16)
    base = np.stack([np.rot90(np.tile(ramp, (16, 1)), k) for k in range(4)])[labels]
    images = base[..., None] + rng.integers(0, 50, (n, *SHAPE))
    return {
        'image': images.astype(np.uint8),
        'label': labels.astype(np.int32),
        'mask': np.ones(n, np.float32),
    }


def make(config, name):
    config.pretrain.pool = config.transfer.pool = 'flatten'
    if name in methods.PRETEXT:
        config.pretrain.method = name
        return methods.pretext(config, SHAPE)
    return supervised.make(config, CLASSES, frozen=name == 'frozen')


@pytest.mark.parametrize('name', ['rotation', 'supervised', 'frozen'])  # the others have tests of their own
def test_the_loss_falls_in_20_steps(config, key, name):
    method = make(config, name)
    tx, _ = optim.make(config.pretrain.optim, 20)
    data = batch()
    if name in methods.PRETEXT:  # images of one class: upright ones
        data = {'image': data['image'][data['label'] == 0], 'label': np.full((data['label'] == 0).sum(), -1)}
    _, found = steps.train(method, tx, steps.begin(method, tx, data, key), data, key)
    assert found[-1]['loss'] < 0.7 * found[0]['loss']


def test_every_rotation_is_shown_with_its_label(key):
    x = jax.random.uniform(key, (2, 4, 4, 1))
    images, labels = rotation.all_rotations(x, 4)
    np.testing.assert_array_equal(labels, [0, 1, 2, 3, 0, 1, 2, 3])
    for i, label in enumerate(labels):
        np.testing.assert_allclose(images[i], np.rot90(x[i // 4], label), atol=1e-6)


def test_one_rotation_at_random(key):
    x = jax.random.uniform(key, (64, 4, 4, 1))
    images, labels = rotation.one_rotation(key, x, 4)
    assert set(np.asarray(labels)) == {0, 1, 2, 3}
    for image, original, label in zip(images, x, labels):
        np.testing.assert_allclose(image, np.rot90(original, label), atol=1e-6)


@pytest.mark.parametrize('shape, change, said', [((8, 9, 1), {}, 'square'), ((8, 8, 1), {'count': 3}, '2, 4 or 8')])
def test_rotation_says_what_cannot_work(config, shape, change, said):
    config.pretrain.rotation.update(change)
    with pytest.raises(ValueError, match=said):
        methods.pretext(config, shape)


def test_an_unknown_method_names_the_nearest(config):
    config.pretrain.method = 'rotaton'
    with pytest.raises(ValueError, match='did you mean rotation'):
        methods.pretext(config, SHAPE)


def test_a_frozen_backbone_keeps_weights_and_statistics(config, key):
    config.backbone.update(name='nin', blocks=3)
    method = supervised.make(config, CLASSES, frozen=True)
    tx, _ = optim.make(config.transfer.frozen.optim, 5)
    ts = steps.begin(method, tx, batch(), key)
    new, _ = steps.step_of(method, tx, 5)(ts, batch(), key)
    for tree in ('params', 'state'):
        before, after = getattr(ts, tree), getattr(new, tree)
        before, after = (before['backbone'], after['backbone']) if tree == 'params' else (
            before['batch_stats']['backbone'], after['batch_stats']['backbone'])  # fmt: skip
        jax.tree.map(np.testing.assert_array_equal, before, after)
    assert not np.array_equal(ts.params['head']['logits']['kernel'], new.params['head']['logits']['kernel'])


def test_training_moves_statistics_and_evaluation_uses_them(config, key):
    config.backbone.update(name='nin', blocks=3)
    method = supervised.make(config, CLASSES)
    params, state = steps.variables(method, batch(), key)
    _, (new, _) = steps.compiled(method.loss)(params, state, None, batch(), key)
    predict = steps.compiled(method.predict)
    before, after = (predict(params, s, batch()['image']) for s in (state, new))
    assert not np.allclose(before, after)


def test_evaluation_leaves_padding_out(config, key):
    method = supervised.make(config, CLASSES)
    params, state = steps.variables(method, batch(), key)
    data, measure = batch(10), steps.compiled(method.measure)
    padded = {k: np.concatenate([v, np.zeros_like(v[:6])]) for k, v in data.items()}
    padded['label'][10:] = -1
    a, b = measure(params, state, data), measure(params, state, padded)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5), a, b)


@pytest.mark.parametrize('name', methods.PRETEXT)
def test_what_is_trained_on_smaller_views_is_shown(config, name):
    config.pretrain.update(method=name, pool='avg', augment='random_resized_crop((0.5, 1.0), size=12)')
    config.backbone.update(name='vit' if name == 'mae' else 'cnn')
    method, data = methods.pretext(config, SHAPE), batch() | {'index': np.arange(32), 'progress': np.float32(0)}
    params, state = split(jax.eval_shape(lambda key: method.init(key, data), jax.random.key(0)))
    try:
        for own, others, loss in moves(method, params):
            jax.eval_shape(loss, others | own, state, params, data, jax.random.key(0))
    except (TypeError, ValueError, ScopeParamShapeError):
        return  # refused before it is trained (tests/test_beforehand.py)
    if method.show:
        columns = jax.eval_shape(method.show, params, state, data['image'])
        assert all(shape.shape[0] == 32 and len(shape.shape) == 4 for shape in columns.values())


def test_inputs_are_in_range():
    x = augment.normalize(augment.to_float(jnp.array([[[[0], [255]]]], jnp.uint8)))
    np.testing.assert_allclose(x.ravel(), [-1, 1])
