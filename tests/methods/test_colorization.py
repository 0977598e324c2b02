import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax import methods, optim
from ssljax.config import base
from ssljax.core import split
from ssljax.data import color
from tests import steps

SHAPE = (16, 16, 3)


def batch(n=16, seed=0):
    """Dark images are blue, bright ones yellow, so that the lightness tells the colour."""
    rng = np.random.default_rng(seed)
    bright = rng.random((n, 1, 1, 1)) < 0.3
    images = np.where(bright, [230, 220, 40], [30, 40, 130]) + rng.integers(0, 20, (n, *SHAPE))
    return {'image': images.astype(np.uint8), 'label': np.full(n, -1, np.int32), 'mask': np.ones(n)}


def make(config, shape=SHAPE, **options):
    config.pretrain.method = 'colorization'
    config.pretrain.colorization.update(options)
    return methods.pretext(config, shape)


@pytest.fixture(scope='module')
def fresh():
    """(method, params, state) with initial weights."""
    method = make(base())
    return method, *steps.variables(method, batch(), jax.random.key(0))


@pytest.fixture(scope='module')
def trained():
    config = base()
    config.pretrain.optim.lr = 0.2
    method = make(config, momentum=0.9)
    tx, _ = optim.make(config.pretrain.optim, 20)
    ts = steps.begin(method, tx, batch(), jax.random.key(1))
    step, losses = steps.step_of(method, tx, 20), []
    for i in range(20):
        ts, metrics = step(ts, batch(seed=i), jax.random.key(2))
        losses.append(float(metrics['loss'][0] / metrics['loss'][1]))
    return method, ts, losses


def test_it_learns_the_colours_of_lightness(trained):
    method, ts, losses = trained
    assert losses[-1] < 0.7 * losses[0]
    data = batch(seed=100)
    metrics = steps.compiled(method.measure)(ts.params, ts.state, data)
    assert metrics['top1'][0] / metrics['top1'][1] > 0.3
    pictures = steps.compiled(method.show)(ts.params, ts.state, data['image'])
    assert set(pictures) == {'original', 'lightness (input)', 'colourised'}
    for picture in pictures.values():
        assert picture.shape == (16, *SHAPE) and picture.min() >= 0 and picture.max() <= 1
    gray = np.asarray(pictures['lightness (input)'])
    np.testing.assert_allclose(gray[..., 0], gray[..., 2], atol=2e-3)
    error = [np.abs(pictures[k] - pictures['original']).mean() for k in ('colourised', 'lightness (input)')]
    assert error[0] < 0.7 * error[1]


def test_the_prior_follows_the_colours_of_the_data(trained):
    _, ts, _ = trained
    prior = np.asarray(ts.state['prior']['ab'] / ts.state['prior']['weight'])
    bins = color.ab_bins()
    np.testing.assert_allclose(prior.sum(), 1, rtol=1e-4)
    assert np.median(prior) < 1e-6  # colours that do not occur
    blue, yellow = prior[bins[:, 1] < -20].sum(), prior[bins[:, 1] > 20].sum()
    assert 1.5 < blue / yellow < 5 and blue + yellow > 0.95


def test_the_prior_by_hand(fresh):
    """Gray images: a step of the running mean moves a hundredth of it to the five bins that encode (0, 0)."""
    method, params, state = fresh
    data = batch(8) | {'image': np.full((8, *SHAPE), 99, np.uint8)}
    state = state | {'prior': {'ab': jnp.full(261, 1 / 261), 'weight': jnp.float32(1)}}
    _, (new, _) = steps.compiled(method.loss)(params, state, None, data, jax.random.key(0))
    expected = 0.99 / 261 + 0.01 * color.soft_encode(jnp.zeros(2), color.ab_bins())
    np.testing.assert_allclose(new['prior']['ab'], expected, rtol=1e-3)
    np.testing.assert_allclose(new['prior']['weight'], 1)


def test_evaluation_leaves_padding_out(fresh):
    (method, params, state), data = fresh, batch(12)
    half = data | {'mask': np.arange(12) < 6}
    other = half | {'image': np.where(half['mask'][:, None, None, None], half['image'], 7).astype(np.uint8)}
    measure = steps.compiled(method.measure)
    a, b = measure(params, state, half), measure(params, state, other)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5), a, b)
    assert a['loss'][1] == 6 * 4 * 4


def test_without_rebalancing_the_loss_is_plain_cross_entropy(config):
    """Against one colour with all logits equal: log 261 under weight 1, whatever the prior."""
    method = make(config, uniform=1.0)
    data = batch(8)
    params, state = steps.variables(method, data, jax.random.key(0))
    params = params | {'head': jax.tree.map(jnp.zeros_like, params['head'])}
    state = state | {'prior': {'ab': jnp.zeros(261).at[3].set(1.0), 'weight': jnp.float32(1)}}
    loss = steps.compiled(method.loss)(params, state, None, data, jax.random.key(0))[0]
    np.testing.assert_allclose(loss, np.log(261), rtol=1e-5)


@pytest.mark.parametrize(
    'backbone, shape, upsample, cells',
    [('cnn', (16, 24, 3), 0, 4 * 6), ('cnn', (16, 16, 3), 2, 64), ('resnet18', (32, 32, 3), 0, 64)],
)
def test_the_grid_of_colours(config, backbone, shape, upsample, cells):
    config.backbone.name = backbone
    method = make(config, shape, upsample=upsample)
    data = {'image': jax.ShapeDtypeStruct((2, *shape), jnp.uint8), 'mask': jax.ShapeDtypeStruct((2,), jnp.float32)}
    variables = jax.eval_shape(method.init, jax.random.key(0), data)
    width = {'cnn': 16, 'resnet18': 512}[backbone]
    up = upsample or {'cnn': 1, 'resnet18': 2}[backbone]
    assert variables['params']['head']['logits']['kernel'].shape == (width, 261 * up * up)
    ones = lambda x: jnp.ones(x.shape, x.dtype)
    if backbone == 'cnn':
        metrics = steps.compiled(method.measure)(*split(jax.tree.map(ones, variables)), jax.tree.map(ones, data))
        assert metrics['loss'][1] == 2 * cells


def test_colours_lie_where_their_cells_are(config):
    """A head whose logits depend on the place inside a cell: the picture shows them in that order."""
    method = make(config, upsample=2)
    data = batch(1)
    params, state = steps.variables(method, data, jax.random.key(0))
    bins = color.ab_bins()
    corners = [int(np.flatnonzero((bins == ab).all(1))[0]) for ab in ([60, 0], [-60, 0], [0, 60], [0, -40])]
    bias = 100 * jax.nn.one_hot(jnp.array(corners), len(bins)).ravel()
    head = {'logits': {'kernel': jnp.zeros_like(params['head']['logits']['kernel']), 'bias': bias}}
    gray = np.full((1, *SHAPE), 119, np.uint8)
    shown = steps.compiled(method.show)(params | {'head': head}, state, gray)['colourised'][0]
    lab = np.asarray(color.rgb_to_lab(shown))  # a cell of the map is 4 x 4 pixels, of the colours 2 x 2
    quarters = [lab[4:6, 4:6, 1:], lab[4:6, 6:8, 1:], lab[6:8, 4:6, 1:], lab[6:8, 6:8, 1:]]
    means = np.array([q.mean((0, 1)) for q in quarters])
    assert means[:, 0].argmax() == 0 and means[:, 0].argmin() == 1
    assert means[:, 1].argmax() == 2 and means[:, 1].argmin() == 3


@pytest.mark.parametrize(
    'shape, options, said',
    [
        ((28, 28, 1), {}, 'RGB images; these have 1 channel:'),
        ((28, 28, 4), {}, '4 channels'),
        (SHAPE, {'uniform': 1.5}, 'uniform is 1.5'),
        (SHAPE, {'momentum': 1.0}, 'momentum 1.0'),
        (SHAPE, {'temperature': 0.0}, 'temperature above 0'),
    ],
)
def test_what_cannot_work_is_refused(config, shape, options, said):
    with pytest.raises(ValueError, match=said):
        make(config, shape, **options)


def test_a_backbone_that_ends_in_dense_layers_says_where_to_stop(config):
    config.backbone.name = 'alexnet'
    with pytest.raises(ValueError, match='fc_block.*pretrain.layer=pool5'):
        make(config, (64, 64, 3))
    config.pretrain.layer = 'pool5'
    make(config, (64, 64, 3))
