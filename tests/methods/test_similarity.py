import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax import losses, methods, optim
from tests import steps

SHAPE = (12, 12, 1)


def batch(n=16, seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (n, 3, 3, 1)).astype(np.uint8)
    images = coarse.repeat(4, 1).repeat(4, 2)
    return {'image': images, 'label': np.full(n, -1, np.int32), 'index': np.arange(n, dtype=np.int32)}


def train(config, key, count=20, lr=0.05):
    config.pretrain.optim.lr = lr
    method = methods.pretext(config, SHAPE)
    tx, _ = optim.make(config.pretrain.optim, count)
    return method, *steps.train(method, tx, steps.begin(method, tx, batch(), key), batch(), key, count)


def test_triplet_by_hand():
    a = jnp.array([[0.0, 0.0], [3.0, 0.0], [0.0, 2.0]])
    p = jnp.array([[1.0, 0.0], [3.0, 1.0], [0.0, 0.0]])
    # squared distances to p: a0 (1, 10, 0), a1 (4, 1, 9), a2 (5, 10, 4)
    loss, right = losses.triplet(a, p, 0.5, mining='random')  # negatives p1, p2, p0
    np.testing.assert_allclose(loss, [0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(right, [1, 1, 1])
    loss, right = losses.triplet(a, p, 2.0, mining='random')
    np.testing.assert_allclose(loss, [0, 0, 1], atol=1e-6)
    loss, right = losses.triplet(a, p, 4.0, mining='semi_hard')  # nearest that is farther: p1 (10), p0 (4), p0 (5)
    np.testing.assert_allclose(loss, [0, 1, 3], atol=1e-6)
    loss, right = losses.triplet(a, p[jnp.array([1, 0, 2])], 1.0, mining='semi_hard')
    # a0's own is now at 10 and nothing is farther: the farthest other, at 1
    np.testing.assert_allclose(loss[0], 10 - 1 + 1, atol=1e-6)
    assert right[0] == 0


@pytest.mark.parametrize('mining', ['random', 'semi_hard'])
def test_triplet_learns(config, key, mining):
    config.pretrain.method = 'triplet'
    config.pretrain.triplet.mining = mining
    _, _, found = train(config, key)
    assert found[-1]['loss'] < 0.8 * found[0]['loss'] and found[-1]['top1'] >= found[0]['top1']


def test_exemplar_learns_its_images(config, key):
    config.pretrain.update(method='exemplar', augment='crop(1)', pool='flatten')
    config.pretrain.exemplar.classes = 16
    method, ts, found = train(config, key)
    assert method.images == 16 and found[-1]['loss'] < 0.5 * found[0]['loss']
    data = batch() | {'mask': np.ones(16, np.float32)}
    padded = {k: np.concatenate([v, np.zeros_like(v[:8])]) for k, v in data.items()}
    measure = steps.compiled(method.measure)
    one, two = (measure(ts.params, ts.state, b) for b in (data, padded))
    assert one['top1'][1] == two['top1'][1] == 16


def test_a_sum_has_one_backbone_and_the_weighted_loss(config, key):
    config.pretrain.update(method='rotation + 0.5*simclr', augment='crop(1)|flip')
    method = methods.pretext(config, SHAPE)
    params, state = steps.variables(method, batch(), key)
    assert set(params) == {'backbone', 'rotation.head', 'simclr.projector'}
    data = batch() | {'progress': jnp.float32(0)}
    total, (new, metrics) = steps.compiled(method.loss)(params, state, None, data, key)
    parts = [metrics[f'{n}.loss'] for n in ('rotation', 'simclr')]
    np.testing.assert_allclose(total, parts[0][0] / parts[0][1] + 0.5 * parts[1][0] / parts[1][1], rtol=1e-5)
    assert jax.tree.structure(new) == jax.tree.structure(state)
    _, _, found = train(config, key)
    assert found[-1]['loss'] < found[0]['loss']
    image = batch()['image']
    assert jax.eval_shape(method.embed, params, state, image).shape == (16, 64)
    assert {k.split(':')[0] for k in jax.eval_shape(method.show, params, state, image)} <= {'rotation', 'simclr'}


def test_a_sum_with_a_momentum_teacher(config, key):
    config.pretrain.update(method='byol + 2*rotation', augment='crop(1)|flip')
    _, ts, found = train(config, key, 3)
    assert np.isfinite(found[-1]['loss']) and 'rotation.head' in ts.ema
    config.pretrain.method = 'byol + moco'
    with pytest.raises(ValueError, match='only one task of a sum'):
        methods.pretext(config, SHAPE)


@pytest.mark.parametrize(
    'text, said',
    [('rotation + simclar', 'did you mean simclr'), ('x*rotation', "'x' is not a weight"), ('-1*rotation', 'a weight'),
     ('rotation + rotation', 'appears twice'), ('0*rotation + simclr', 'from 1e-06 to 1e.06'),
     ('1e400*rotation + simclr', 'not a weight'), ('rotation + 1e39*simclr', 'not a weight'),
     ('2*rotation', 'has no effect')],
)  # fmt: skip
def test_a_sum_that_cannot_be_read(text, said):
    with pytest.raises(ValueError, match=said):
        methods.terms(text)


@pytest.mark.parametrize(
    'method, option, value, said',
    [('triplet', 'margin', 0.0, 'above 0'), ('triplet', 'mining', 'hard', 'semi_hard'),
     ('exemplar', 'classes', 1, '2 or more'), ('exemplar', 'classes', 16, 'augment is empty')],
)  # fmt: skip
def test_options_out_of_range(config, method, option, value, said):
    config.pretrain.method = method
    config.pretrain[method][option] = value
    with pytest.raises(ValueError, match=said):
        methods.pretext(config, SHAPE)
