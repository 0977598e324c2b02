"""What every method on pseudo-labels may have: `debias` and `open_set`, against numpy, and in all of these methods."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax

from ssljax import config, methods, optim, stages
from ssljax.methods import debias, open_set
from ssljax.models.heads import Head
from ssljax.settings import arguments
from tests import steps
from tests.methods import test_consistency as joint
from tests.methods.test_consistency import CLASSES, KEY, SHAPE, batch, seen

PSEUDO = [name for name in methods.JOINT if 'debias' in methods.JOINT[name].OPTIONS]


def configure(name, **options):
    c = joint.configure(name, **options)
    c.semi.augment = 'crop(1)'
    return c


def test_the_methods_on_pseudo_labels_have_both_options():
    expected = ['pseudo_label', 'uda', 'fixmatch', 'flexmatch', 'freematch', 'softmatch', 'regmixmatch']
    assert PSEUDO == expected == [name for name in methods.JOINT if 'open_set' in methods.JOINT[name].OPTIONS]


def test_debias_by_the_authors_code():
    """Pseudo-labels by q before the step, margins by q after it, and q takes up the plain probabilities."""
    rng, strength = np.random.default_rng(0), 0.7
    guess, trained = rng.normal(size=(2, 5, CLASSES)).astype(np.float32)
    q, n = np.array([0.7, 0.2, 0.1]), 41.0
    kept = {'probability': jnp.asarray(q, jnp.float32), 'steps': jnp.float32(n)}
    found, new = debias.correct(seen(guess, jnp.asarray(trained)), kept, strength)
    rate = 42 / 51  # of a momentum that rises to 0.999
    after = rate * q + (1 - rate) * softmax(guess.astype(float), 1).mean(0)
    np.testing.assert_allclose(new['probability'], after, rtol=1e-5)
    np.testing.assert_allclose(softmax(found.guess, 1), softmax(guess - strength * np.log(q), 1), rtol=1e-5)
    np.testing.assert_allclose(found.trained, trained + strength * np.log(after), rtol=1e-4)
    assert new['steps'] == 42


def test_debias_keeps_a_class_that_is_never_predicted():
    kept = debias.start(2)
    for _ in range(300):
        found, kept = debias.correct(seen([[90.0, -90.0]] * 3), kept, 1.0)
    assert np.isfinite(found.guess).all() and np.isfinite(found.trained).all()
    assert kept['probability'][0] > 0.97 and found.guess[0, 1] > -90


def test_the_detectors_by_the_authors_code():
    """Softmax over (is not, is) of each class; the hardest negative of a labelled image counts alone."""
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(6, 2 * CLASSES)) * 3, np.array([0, 1, 2, 2, 1, 0])
    p = softmax(logits.reshape(6, 2, CLASSES), axis=1)
    logp = open_set.log_probabilities(jnp.asarray(logits, jnp.float32))
    losses = []
    for row, label in zip(p, labels):
        others = [k for k in range(CLASSES) if k != label]
        losses.append(-np.log(row[1, label]) + max(-np.log(row[0, k]) for k in others))
    np.testing.assert_allclose(open_set.detection(logp, labels), losses, rtol=1e-4)
    np.testing.assert_allclose(open_set.entropy(logp), -(p * np.log(p)).sum(1).mean(1), rtol=1e-4)
    difference = ((p[:3] - p[3:]) ** 2).sum((1, 2))
    np.testing.assert_allclose(open_set.disagreement(logp[:3], logp[3:]), difference, rtol=1e-4)
    np.testing.assert_allclose(open_set.score(logp, labels), p[np.arange(6), 0, labels], rtol=1e-4)


def test_an_outlier_is_replaced_by_an_image_that_is_none():
    rows, like = seen(np.eye(5)), jnp.array([False, True, False, True, False])
    found, views = open_set.without_outliers(rows, jnp.arange(5.0)[:, None], like)
    assert found.places.tolist() == views[:, 0].tolist() == [1, 1, 1, 3, 1]
    np.testing.assert_array_equal(found.guess, np.eye(5)[[1, 1, 1, 3, 1]])
    assert (found.labeled == rows.labeled).all()


def step_of(name, **options):
    """{metric: mean} of one step, its loss, the new state, and the Method."""
    method = methods.semi(name, configure(name, **options), SHAPE, CLASSES)
    params, state = steps.variables(method, batch(), KEY)
    loss = steps.compiled(method.loss)
    total, (new, found) = loss(params, state, params, batch() | {'progress': jnp.float32(0.5)}, KEY)
    return {k: float(a / n) for k, (a, n) in found.items()}, float(total), new, method


@pytest.mark.parametrize('name', PSEUDO)
def test_every_method_on_pseudo_labels_takes_both(name):
    found, loss, new, method = step_of(name, debias=1.0, open_set=True)
    own = found['detection'] + 0.1 * found['entropy'] + 0.5 * found['disagreement']
    assert loss == pytest.approx(found['supervised'] + found['unlabeled'] + own, rel=1e-4)
    assert found['loss'] == pytest.approx(loss, rel=1e-5) and 0 <= found['inliers'] <= 1
    assert not np.allclose(new['debias']['probability'], 1 / CLASSES) and not method.per_image


def test_without_the_options_nothing_is_kept_or_trained():
    init = lambda **options: methods.semi('fixmatch', configure('fixmatch', **options), SHAPE, CLASSES).init
    plain, both = (jax.eval_shape(lambda key: f(key, batch()), KEY) for f in (init(), init(debias=1.0, open_set=True)))
    assert both.keys() - plain.keys() == {'debias'}
    assert both['params'].keys() - plain['params'].keys() == {'open_set'}


@pytest.mark.parametrize('begin, limit, counts, inliers', [(0.6, 2.0, 0, 1), (0.5, 2.0, 1, 1), (0.5, 0.0, 0, 0)])
def test_only_inliers_count_once_the_detectors_are_trained(monkeypatch, begin, limit, counts, inliers):
    monkeypatch.setattr(open_set, 'BEGIN', begin)
    monkeypatch.setattr(open_set, 'LIMIT', limit)
    found, *_ = step_of('fixmatch', threshold=0.0, open_set=True)
    assert (found['unlabeled'] > 0, found['inliers']) == (counts, inliers) and found['detection'] > 0


def test_a_threshold_is_of_the_corrected_prediction():
    """With all unlabelled images predicted as one class, the correction lets fewer of them pass."""
    c = configure('fixmatch', threshold=0.9, debias=1.0)
    method = methods.semi('fixmatch', c, SHAPE, CLASSES)
    params, state = steps.variables(method, batch(), KEY)
    params['head']['logits']['bias'] = jnp.array([4.0, 0.0, 0.0])
    params['head']['logits']['kernel'] *= 0
    given = batch() | {'progress': jnp.float32(0.5)}
    found = []
    for q in ([1 / 3] * 3, [0.98, 0.01, 0.01]):
        state['debias']['probability'] = jnp.array(q)
        found.append(steps.compiled(method.loss)(params, state, params, given, KEY)[1][1])
    assert [float(m['coverage'][0] / m['coverage'][1]) for m in found] == [1.0, 0.0]


def test_others_have_neither():
    known = config.field_names(config.base())
    for name in set(methods.JOINT) - set(PSEUDO):
        assert not {f'semi.{name}.debias', f'semi.{name}.open_set'} & set(known)
    with pytest.raises(ValueError, match=r'semi.pi_model.debias'):
        arguments.separate(['--config.semi.pi_model.debias=1'])


@pytest.mark.parametrize(
    'field, value, said',
    [
        ('debias', -1.0, 'debias is -1.0; it must be a number from 0 to 10'),
        ('debias', 11.0, 'debias is 11.0; it must be a number from 0 to 10'),
        ('open_set', 2, 'open_set is 2; it must be True or False'),
    ],
)
def test_a_value_out_of_range_is_named(field, value, said):
    c = config.base()
    c.semi.strong = 'flip'
    with c.ignore_type():
        c.semi.fixmatch[field] = value
    with pytest.raises(ValueError, match=said):
        methods.semi('fixmatch', c, SHAPE, CLASSES)


def test_two_equal_views_are_refused():
    c = joint.configure('fixmatch', open_set=True)
    with pytest.raises(ValueError, match='semi.fixmatch.open_set compares two weak views .* set one, for example'):
        methods.semi('fixmatch', c, SHAPE, CLASSES)
    c.transfer.augment = 'flip'
    methods.semi('fixmatch', c, SHAPE, CLASSES)


@pytest.mark.parametrize('field, value', [('debias', 0.5), ('open_set', True)])
def test_parts_of_a_batch_are_refused(field, value):
    c = configure('fixmatch', **{field: value})
    c.semi.accumulate = 2
    method = methods.semi('fixmatch', c, SHAPE, CLASSES)
    with pytest.raises(ValueError, match='semi.accumulate is 2, but fixmatch compares'):
        stages.check_parts(stages.settings(c, 'fixmatch'), method)
    assert methods.semi('fixmatch', configure('fixmatch'), SHAPE, CLASSES).per_image


def test_the_detectors_learn_from_labels_and_views():
    """Their loss on labels falls in training; labelled and unlabelled features have a gradient, the guess has none."""
    c = configure('fixmatch', open_set=True)
    c.semi.optim.update(name='sgd', lr=0.05, weight_decay=0.0, schedule='constant')
    method = methods.semi('fixmatch', c, SHAPE, CLASSES)
    tx, _ = optim.make(c.semi.optim, 40)
    ts = steps.begin(method, tx, batch(), KEY)
    _, found = steps.train(method, tx, ts, batch(), KEY, 20)
    assert found[-1]['detection'] < 0.7 * found[0]['detection']
    rng = np.random.default_rng(0)
    features = [jnp.asarray(rng.normal(size=(n, 4)), jnp.float32) for n in (3, 8)]
    rows = seen(rng.normal(size=(4, CLASSES)), labels=jnp.arange(3))
    detectors = Head(2 * CLASSES)
    params = {'open_set': detectors.init(KEY, features[0])['params']}
    loss = lambda labeled, views, guess: (
        open_set.look(detectors, params, labeled, views, rows._replace(guess=guess)).loss
    )
    grads = jax.grad(loss, (0, 1, 2))(*features, rows.guess)
    assert [bool((jnp.abs(g).max(1) > 0).all()) for g in grads] == [True, True, False]
