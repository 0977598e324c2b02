"""Metrics of images with several classes, against scikit-learn and against what is worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as sk

from ssljax import calibration, losses
from ssljax.config import base
from ssljax.evals import knn, multilabel, probe
from ssljax.methods import labeled_loss, supervised
from ssljax.targets import of


@pytest.fixture
def told():
    """Logits with ties and the truth of 300 images of 5 classes."""
    rng = np.random.default_rng(0)
    hot = rng.random((300, 5)) < [0.05, 0.1, 0.2, 0.4, 0.5]
    return (rng.normal(size=hot.shape) + hot).round(1), hot


def test_scores_equal_scikit_learn(told):
    logits, hot = told
    found, said = multilabel.scores(logits, hot, cut=0.3), logits > 0.3
    assert found['per_class'] == pytest.approx([sk.average_precision_score(hot[:, k], logits[:, k]) for k in range(5)])
    assert found['mAP'] == pytest.approx(sk.average_precision_score(hot, logits, average='macro'))
    assert found['macro_f1'] == pytest.approx(sk.f1_score(hot, said, average='macro'))
    assert found['micro_f1'] == pytest.approx(sk.f1_score(hot, said, average='micro'))
    assert found['auroc'] == pytest.approx(sk.roc_auc_score(hot, logits, average='macro'))
    assert found['exact_match'] == pytest.approx(sk.accuracy_score(hot, said))
    assert found['hamming'] == pytest.approx(1 - sk.hamming_loss(hot, said))
    p = 1 / (1 + np.exp(-logits))
    assert found['loss'] == pytest.approx(-(np.where(hot, np.log(p), np.log(1 - p))).sum(1).mean())


def test_a_class_without_images_does_not_count(told):
    logits, hot = told
    hot = hot & [True, True, True, True, False]
    found = multilabel.scores(logits, hot)
    assert found['per_class'][4] is None and found['mAP'] == pytest.approx(np.mean(found['per_class'][:4]))
    assert multilabel.scores(logits, np.zeros_like(hot))['mAP'] is None
    assert np.isnan(multilabel.mean_precision(logits, np.zeros_like(hot)))


def test_weights_are_repetitions(told):
    logits, hot = told
    weights = np.random.default_rng(1).integers(0, 3, (4, len(hot)))
    found = multilabel.average_precision(logits, hot, weights)
    for row, counts in zip(found, weights):
        again = np.repeat(np.arange(len(hot)), counts)
        np.testing.assert_allclose(row, multilabel.average_precision(logits[again], hot[again]))


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(0)

    def drawn(n):
        hot = rng.random((n, 3)) < 0.3
        return rng.normal(size=hot.shape) + 1.2 * hot, hot

    truth = multilabel.mean_precision(*drawn(200_000))
    inside = 0
    for _ in range(60):
        logits, hot = drawn(150)
        ends = multilabel.intervals(logits, hot, multilabel.scores(logits, hot))
        inside += ends['mAP'][0] <= truth <= ends['mAP'][1]
        assert {'mAP', 'macro_f1', 'micro_f1', 'hamming', 'exact_match', 'per_class'} <= set(ends)
    assert inside >= 51


def test_the_paired_bootstrap_tells_more_than_the_intervals(told):
    logits, hot = told
    better = logits + 0.5 * hot
    found = multilabel.difference(better, logits, hot)
    assert found['low'] > 0 and found['p'] < 0.01
    assert found['difference'] == pytest.approx(
        multilabel.mean_precision(better, hot) - multilabel.mean_precision(logits, hot)
    )
    assert multilabel.difference(logits, logits, hot)['p'] == 1.0
    turned = multilabel.difference(logits, better, hot)
    assert turned['difference'] == -found['difference'] and turned['p'] == pytest.approx(found['p'])


def test_the_threshold_is_that_of_the_best_macro_f1(told):
    logits, hot = told
    targets = of(5, np.unique(hot, axis=0).astype(np.uint8))
    labels = np.unique(hot, axis=0, return_inverse=True)[1].ravel()
    cut = targets.cut(logits, labels)
    best = max(sk.f1_score(hot, logits > c, average='macro') for c in np.arange(-3.05, 3, 0.1))
    assert sk.f1_score(hot, logits > cut, average='macro') == pytest.approx(best)
    assert targets.cut(logits[:20], labels[:20]) == 0.0, 'too few images'


def test_the_loss_is_that_of_independent_classes():
    logits, targets = jnp.array([[0.0, 2.0], [-1.0, 0.5]]), jnp.array([[1.0, 0.0], [0.0, 1.0]])
    by_hand = [np.log(2) + np.log1p(np.exp(2)), np.log1p(np.exp(-1)) + np.log1p(np.exp(-0.5))]
    np.testing.assert_allclose(losses.binary_cross_entropy(logits, targets), by_hand, rtol=1e-6)


def test_class_weights_and_logit_adjustment():
    config = base()
    config.transfer.class_weights = 'balanced'
    batch = {'class_counts': jnp.array([2, 5, 10])}  # of 10 images 2 and 5
    logits, targets = jnp.zeros((2, 2)), jnp.array([[1.0, 1.0], [0.0, 0.0]])
    found = labeled_loss.binary_cross_entropy(config, logits, targets, batch)
    # Weights 10 / (2 * 2) and 10 / (2 * 8) of the first class, 1 of the second; their mean over the images is 1.
    np.testing.assert_allclose(found, [(2.5 + 1) * np.log(2), (0.625 + 1) * np.log(2)], rtol=1e-6)
    config.transfer.class_weights, config.transfer.logit_adjustment = 'none', 1.0
    found = labeled_loss.binary_cross_entropy(config, logits, targets, batch)
    odds = np.log([2 / 8, 1.0])
    np.testing.assert_allclose(found, [np.log1p(np.exp(-odds)).sum(), np.log1p(np.exp(odds)).sum()], rtol=1e-6)


@pytest.mark.parametrize('fields', [{}, {'mixup': 0.3}, {'class_weights': 'effective', 'dropout': 0.2}])
def test_training_lowers_the_loss(fields):
    config = base()
    config.backbone.name = 'mlp'
    config.transfer.update(fields)
    sets = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 1]], np.uint8)
    method = supervised.make(config, 3, smoothing=0.05, sets=sets)
    labels = jnp.arange(16) % 4
    images = (sets[np.asarray(labels)].repeat(12, 1)[:, :36].reshape(16, 6, 6, 1) * 200 + 20).astype(np.uint8)
    batch = {'image': jnp.asarray(images), 'label': labels, 'class_counts': jnp.array([8, 8, 4, 16])}
    variables = method.init(jax.random.key(0), batch)
    params, state = variables.pop('params'), variables
    step = jax.jit(jax.grad(lambda p, key: method.loss(p, state, None, batch, key)[0]))
    measure = jax.jit(lambda p: method.measure(p, state, batch | {'mask': jnp.ones(16)}))
    before = measure(params)
    for i in range(30):
        params = jax.tree.map(lambda p, g: p - 0.05 * g, params, step(params, jax.random.key(i)))
    after = measure(params)
    assert after['loss'][0] < 0.7 * before['loss'][0] and after['exact_match'][0] >= before['exact_match'][0]
    assert set(after) == {'loss', 'exact_match'} and after['loss'][1] == 16


def test_unknown_labels_do_not_count():
    targets = of(2, np.array([[0, 1], [1, 0]], np.uint8))
    logits, labels = jnp.array([[-1.0, 1.0], [5.0, 5.0], [-1.0, 1.0]]), jnp.array([0, -1, 1])
    found = targets.measures(logits, labels, mask=jnp.array([1.0, 1.0, 0.0]))
    assert found['exact_match'] == (1, 1) and found['loss'][0] == pytest.approx(2 * np.log1p(np.exp(-1)), rel=1e-6)


def test_neighbours_and_probe(told):
    _, hot = told
    sets, labels = np.unique(hot, axis=0, return_inverse=True)
    targets, labels = of(5, sets.astype(np.uint8)), labels.ravel()
    rng = np.random.default_rng(2)
    x = (hot @ rng.normal(size=(5, 10)) + 0.1 * rng.normal(size=(300, 10))).astype(np.float32)
    scores, _ = knn.predict(x[:200], targets.hot(labels[:200]), x[200:], k=5)
    assert 0 <= scores.min() and scores.max() <= 1 + 1e-6 and targets.vote(scores, labels[200:]) > 0.9
    found = probe.probe(*((x[s], labels[s]) for s in (slice(0, 200), slice(200, 250), slice(250, 300))),
                        targets=targets, l2s=(1e-3, 1e-1), metric='auroc')  # fmt: skip
    assert found['test'] > 0.9 and found['auroc'] > 0.9


def test_calibration_of_each_class():
    rng = np.random.default_rng(3)
    true = rng.normal(size=(4000, 3)) * 2
    hot = rng.random(true.shape) < 1 / (1 + np.exp(-true))
    assert calibration.temperature_of_sets(3 * true, hot) == pytest.approx(3.0, rel=0.1)
    before, after = (calibration.reliability_of_sets(1 / (1 + np.exp(-3 * true / t)), hot)['ece'] for t in (1.0, 3.0))
    assert after < 0.02 < before


def test_the_most_confident_errors():
    targets = of(2, np.array([[0, 1], [1, 0]], np.uint8))
    logits = np.array([[3.0, 3.0], [0.1, -0.1], [1.0, -4.0], [9.0, 9.0]])
    found = targets.wrong(logits, np.array([0, 1, 0, -1]), most=9)
    assert found['rows'].tolist() == [2, 0, 2] and found['said'].tolist() == [1, 0, 0]
    assert found['missed'].tolist() == [True, False, False] and found['confidence'][0] == pytest.approx(
        1 / (1 + np.exp(-4))
    )
