import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from ssljax import losses, methods, optim
from ssljax.config import base
from ssljax.core import evaluated
from ssljax.methods import sgan, sgan_explicit
from tests import steps

SHAPE, CLASSES = (8, 8, 1), 3
KEY = jax.random.key(0)


def images(n, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *SHAPE)).astype(np.uint8)


BATCH = {'image': images(6), 'label': np.arange(6) % 3, 'index': np.arange(6), 'unlabeled': images(8, 1)}


def build(name, lr=3e-4, rules='.*=1', **options):
    config = base()
    config.backbone.update(width=8, depth=1)
    config.semi[name].update({'width': 4, 'noise': 5} | options)
    method = methods.semi(name, config, SHAPE, CLASSES)
    config.semi.optim.update(lr=lr, rules=rules)
    tx, _ = optim.make(methods.with_optimiser(config, name).semi.optim, 20)
    return method, tx, steps.begin(method, tx, BATCH, KEY)


def test_the_fused_losses_are_the_direct_formulas():
    logits = np.random.default_rng(0).normal(size=(50, 4)) * 4
    z = np.exp(logits.astype(np.float64)).sum(1)
    d = z / (z + 1)
    np.testing.assert_allclose(losses.real_loss(jnp.asarray(logits, jnp.float32)), -np.log(d), rtol=1e-4)
    np.testing.assert_allclose(losses.fake_loss(jnp.asarray(logits, jnp.float32)), -np.log(1 - d), rtol=1e-4)
    np.testing.assert_allclose(sgan.real(jnp.asarray(logits, jnp.float32)), d, rtol=1e-5)


@pytest.mark.parametrize('size', [1e2, 1e4, 1e30])
@pytest.mark.parametrize('loss', [losses.real_loss, losses.fake_loss])
def test_the_losses_and_their_gradients_are_finite(loss, size):
    for sign in (-1, 1):
        value, slope = jax.value_and_grad(lambda x: loss(x).mean())(sign * size * jnp.ones((2, 3)))
        assert np.isfinite(value) and np.isfinite(slope).all()


def test_terms_of_the_complement_generator_by_hand():
    same, across = jnp.array([[2.0, 0.0], [3.0, 0.0]]), jnp.array([[2.0, 0.0], [0.0, 1.0]])
    assert losses.pull_away(same) == pytest.approx(1.0) and losses.pull_away(across) == pytest.approx(0.0)
    assert losses.feature_matching(same, across) == pytest.approx((abs(2.5 - 1) + abs(0 - 0.5)) / 2)
    np.testing.assert_allclose(losses.entropy(jnp.log(jnp.array([[0.5, 0.25, 0.25]]))), 1.5 * np.log(2), rtol=1e-6)


def test_the_implied_class_of_fakes_is_the_explicit_one_with_logit_0():
    logits = jax.random.normal(KEY, (5, 3))
    explicit = jnp.concatenate([logits, jnp.zeros((5, 1))], axis=1)
    np.testing.assert_allclose(sgan_explicit.real_logit(explicit), sgan.real_logit(logits), rtol=1e-6)
    fake = jax.nn.softmax(explicit)[:, -1]
    np.testing.assert_allclose(jax.nn.sigmoid(sgan_explicit.real_logit(explicit)), 1 - fake, rtol=1e-5)


def test_each_player_moves_in_its_own_turn_and_the_second_sees_the_first():
    method, tx, ts = build('sgan', lr=0.01, generator='logit')
    new, metrics = steps.step_of(method, tx, 20)(ts, BATCH, KEY)
    moved = {part: optimised(ts.params[part], new.params[part]) for part in ts.params}
    assert moved == {'backbone': True, 'head': True, 'generator': True}
    # The generator's loss is that against the classifier that has moved.
    key = jax.random.fold_in(jax.random.fold_in(KEY, 0), 1)
    batch = BATCH | {'progress': jnp.zeros(())}
    seen = {k: steps.compiled(method.turns[1][1])(p, ts.state, None, batch, key)[0]
            for k, p in (('old', ts.params), ('new', new.params | {'generator': ts.params['generator']}))}  # fmt: skip
    assert float(metrics['generator'][0]) == pytest.approx(float(seen['new']), rel=1e-4)
    assert abs(float(seen['new']) - float(seen['old'])) > 1e-3


def optimised(old, new):
    return any(jax.tree.leaves(jax.tree.map(lambda a, b: bool(jnp.any(a != b)), old, new)))


@pytest.mark.parametrize('name', methods.ADVERSARIAL)
def test_the_classifier_learns_and_tells_real_from_generated_while_the_generator_is_idle(name):
    method, tx, ts = build(name, lr=0.02, rules='generator/.*=0; .*=1')
    _, found = steps.train(method, tx, ts, BATCH, KEY)
    assert found[-1]['supervised'] < 0.7 * found[0]['supervised']
    assert found[-1]['d_real'] > found[-1]['d_fake']


def test_generated_images_leave_the_statistics_of_real_ones_alone():
    found = {}
    for apart in (True, False):
        method, _, ts = build('sgan', apart=apart)
        for seed in (1, 2):
            params = ts.params | {'generator': jax.tree.map(lambda x: x * seed, ts.params['generator'])}
            batch = BATCH | {'progress': jnp.zeros(())}
            _, (state, _) = steps.compiled(method.loss)(params, ts.state, None, batch, KEY)
            found[apart, seed] = jax.tree.leaves(state['batch_stats']['backbone'])
    same = lambda a, b: all(np.allclose(x, y, atol=1e-6) for x, y in zip(found[a], found[b]))
    assert same((True, 1), (True, 2)) and not same((False, 1), (False, 2))


def test_the_variational_term_is_the_gaussians_likelihood():
    x, mean, log_s = (np.random.default_rng(i).normal(size=(4, 3)) for i in range(3))
    want = -scipy.stats.norm.logpdf(x, mean, np.exp(log_s)).sum(1) - 1.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(losses.gaussian_nll(*map(jnp.asarray, (x, mean, log_s))), want, rtol=1e-4)


def test_the_encoder_learns_what_the_generator_was_given():
    method, tx, ts = build('badgan', lr=0.01, variational=1.0, diversity=0.0, low_density=0.0)
    assert set(ts.params) == {'backbone', 'head', 'generator', 'encoder'}
    new, found = steps.train(method, tx, ts, BATCH, KEY, 30)
    assert found[-1]['variational'] < found[0]['variational'] - 0.5
    assert optimised(ts.params['encoder'], new.params['encoder'])


def test_an_averaged_classifier_is_what_is_evaluated():
    """Salimans et al.'s average, by hand: its decay rises from (1 + t) / (10 + t) to the one that is asked for."""
    method, tx, ts = build('sgan', lr=0.01, average=0.9)
    step, want = steps.step_of(method, tx, 20), ts.params
    for i in range(3):
        ts, _ = step(ts, BATCH, KEY)
        tau = min(0.9, (1 + i) / (10 + i))
        want = jax.tree.map(lambda a, p: tau * a + (1 - tau) * p, want, ts.params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), ts.ema, want)
    assert evaluated(method, ts) is ts.ema and evaluated(build('sgan')[0], ts) is ts.params


@pytest.mark.parametrize('name', methods.ADVERSARIAL)
def test_predictions_have_a_logit_a_class_and_samples_lie_in_range(name):
    method, _, ts = build(name)
    assert jax.eval_shape(method.predict, ts.params, ts.state, BATCH['image']).shape == (6, CLASSES)
    made = steps.compiled(method.sample)(ts.params, ts.state)
    assert made.shape == (16, *SHAPE) and made.min() >= 0 and made.max() <= 1 and made.std() > 0


@pytest.mark.parametrize(
    'name, options, said',
    [
        ('sgan', {'generator': 'feature'}, 'one of logit, feature_matching'),
        ('sgan', {'noise': 0}, 'noise is 0'),
        ('badgan', {'quantile': 1.5}, 'a number from 0 '),
    ],
)
def test_what_is_refused(name, options, said):
    with pytest.raises(ValueError, match=said):
        build(name, **options)
