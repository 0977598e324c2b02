import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import norm
from sklearn import metrics as sk
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix, log_loss, top_k_accuracy_score
from sklearn.neighbors import NearestCentroid, NearestNeighbors

from ssljax.evals import classify, intervals, knn, probe, prototype
from ssljax.targets import OneClass


@pytest.fixture
def blobs():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(7, 12)) * 0.8
    labels = rng.integers(0, 7, 600)
    return (centres[labels] + rng.normal(size=(600, 12))).astype(np.float32), labels.astype(np.int32)


def test_scores_equal_scikit_learn():
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(200, 7)), rng.integers(0, 7, 200)
    got = classify.scores(logits, labels)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert got['top1'] == pytest.approx((logits.argmax(1) == labels).mean())
    assert got['top5'] == pytest.approx(top_k_accuracy_score(labels, logits, k=5))
    assert got['loss'] == pytest.approx(log_loss(labels, p))
    matrix = confusion_matrix(labels, logits.argmax(1))
    np.testing.assert_array_equal(got['confusion'], matrix)
    np.testing.assert_allclose(got['per_class'], np.diag(matrix) / matrix.sum(1))


def test_scores_of_a_class_without_images():
    got = classify.scores([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], [0, 0])
    assert got['per_class'] == [0.5, None, None] and 'top5' not in got


def imbalanced(n=300, classes=4, seed=0):
    """Logits that are rounded, so that images have equal ones, and labels of unequal frequency. In no row are the
    largest two equal, for such a tie counts against the classifier here."""
    rng = np.random.default_rng(seed)
    labels = np.minimum(rng.geometric(0.7, n) - 1, classes - 1)
    logits = np.round(rng.normal(size=(n, classes)) + 1.5 * np.eye(classes)[labels], 1)
    unique = (logits == logits.max(1, keepdims=True)).sum(1) == 1
    return logits[unique], labels[unique]


@pytest.mark.parametrize('classes', [2, 3, 4])
@pytest.mark.parametrize('seed', range(3))
def test_metrics_under_imbalance_equal_scikit_learn(classes, seed):
    logits, labels = imbalanced(classes=classes, seed=seed)
    got, p, guess = classify.scores(logits, labels), softmax(logits, axis=1), logits.argmax(1)
    assert got['images'] == len(labels)
    assert got['balanced_accuracy'] == pytest.approx(sk.balanced_accuracy_score(labels, guess))
    assert got['macro_f1'] == pytest.approx(sk.f1_score(labels, guess, average='macro'))
    area = sk.roc_auc_score(labels, p[:, 1] if classes == 2 else p, multi_class='ovr')
    assert got['auroc'] == pytest.approx(area)
    if classes == 2:
        assert got['positive'] == 1 and (labels == 1).sum() < (labels == 0).sum()
        assert got['sensitivity'] == pytest.approx(sk.recall_score(labels, guess))
        assert got['specificity'] == pytest.approx(sk.recall_score(labels, guess, pos_label=0))
        turned = classify.scores(logits, labels, positive=0)
        assert (turned['sensitivity'], turned['specificity']) == (got['specificity'], got['sensitivity'])
    else:
        assert 'sensitivity' not in got


def test_a_collapsed_classifier_is_at_chance():
    got = classify.scores(np.zeros((30, 3)), np.arange(30) % 3)
    assert (got['top1'], got['balanced_accuracy'], got['macro_f1'], got['auroc']) == (0, 0, 0, 0.5)
    broken = classify.scores(np.full((4, 2), np.nan), [0, 1, 0, 1])
    assert broken['auroc'] == 0.5 and broken['balanced_accuracy'] == 0
    assert classify.scores([[1.0, 0.0]] * 3, [0] * 3)['auroc'] is None


def test_draws_of_the_bootstrap_are_stratified_and_equal_scikit_learn():
    logits, labels = imbalanced(n=400)
    weights = intervals.drawn(labels, 40, seed=3)
    for label in range(4):
        assert (weights[:, labels == label].sum(1) == (labels == label).sum()).all()
    found = intervals.bootstrap(logits, labels, seed=3)
    weights, p = intervals.drawn(labels, intervals.DRAWS, seed=3), softmax(logits, axis=1)
    for i in (0, 7, 999):
        area = [sk.roc_auc_score(labels == k, p[:, k], sample_weight=weights[i]) for k in range(4)]
        assert found['auroc'][i] == pytest.approx(np.mean(area), abs=1e-5)
        f1 = sk.f1_score(labels, logits.argmax(1), average='macro', sample_weight=weights[i])
        assert found['macro_f1'][i] == pytest.approx(f1, abs=1e-5)


def test_intervals_contain_their_metrics_and_stay():
    logits, labels = imbalanced()
    metrics = classify.scores(logits, labels)
    found = intervals.intervals(logits, labels, metrics)
    assert found == intervals.intervals(logits, labels, metrics), 'the seed is fixed'
    for name in ('top1', 'balanced_accuracy', 'macro_f1', 'auroc'):
        low, high = found[name]
        assert 0 <= low < metrics[name] < high <= 1, name
    weights = intervals.drawn(labels, 1000, 0)
    right = classify.rank(logits, labels) <= 1
    recalls = [(weights * (right & (labels == k))).sum(1) / (labels == k).sum() for k in range(4)]
    low, high = np.quantile(np.mean(recalls, 0), [0.025, 0.975])
    assert found['balanced_accuracy'] == pytest.approx([low, high], abs=0.02), 'as the bootstrap of it has them'


def test_all_right_is_no_certainty():
    """Ten images of a class, all right: the bootstrap would give a point."""
    logits, labels = 9 * np.eye(2)[[0] * 10 + [1] * 10], [0] * 10 + [1] * 10
    metrics = classify.scores(logits, labels)
    found = intervals.intervals(logits, labels, metrics)
    assert found['balanced_accuracy'][0] < 0.85 and found['sensitivity'][0] < 0.75 and found['top1'][0] < 0.85
    assert 'auroc' not in found and 'macro_f1' not in found


def test_the_interval_of_the_area_covers_the_truth(monkeypatch):
    """Scores of two normal distributions, one deviation apart: the area is Phi(1 / sqrt 2)."""
    monkeypatch.setattr(intervals, 'DRAWS', 200)
    rng, truth, inside = np.random.default_rng(0), norm.cdf(1 / np.sqrt(2)), 0
    labels = np.arange(100) % 5 // 4
    for _ in range(200):
        score = rng.normal(size=100) + labels
        logits = np.stack([0 * score, score], 1)
        low, high = intervals.intervals(logits, labels, classify.scores(logits, labels))['auroc']
        inside += low <= truth <= high
    assert 0.89 < inside / 200 < 0.99


def test_what_would_take_too_long_has_no_interval(monkeypatch):
    monkeypatch.setattr(intervals, 'WORK', 300 * 150)
    logits, labels = imbalanced()
    found = intervals.intervals(logits, labels, classify.scores(logits, labels))
    assert 'auroc' not in found and {'top1', 'balanced_accuracy', 'per_class'} <= set(found)


def test_neighbours_equal_scikit_learn(blobs):
    x, y = blobs
    scores, nearest = knn.predict(x[:400], OneClass(7).hot(y[:400]), x[400:], k=9, block=64)
    reference = NearestNeighbors(n_neighbors=9, metric='cosine').fit(x[:400])
    distance, expected = reference.kneighbors(x[400:])
    np.testing.assert_array_equal(nearest, expected)
    vote, weights = np.zeros((200, 7)), np.exp(-distance / 0.07)
    np.add.at(vote, (np.arange(200)[:, None], y[expected]), weights / weights.sum(1, keepdims=True))
    np.testing.assert_allclose(scores, vote, rtol=1e-3, atol=1e-6)


def test_more_neighbours_than_images(blobs):
    x, y = blobs
    assert knn.predict(x[:3], OneClass(7).hot(y[:3]), x[3:5], k=20)[1].shape == (2, 3)


def test_class_means_equal_scikit_learn(blobs):
    """On features of length 1 the nearest centre of length 1 by distance is the nearest by cosine."""
    x, y = blobs
    scores = prototype.predict(x[:400], OneClass(7).hot(y[:400]), x[400:])
    z = x / np.linalg.norm(x, axis=1, keepdims=True)
    found = NearestCentroid().fit(z[:400], y[:400]).centroids_
    expected = z[400:] @ (found / np.linalg.norm(found, axis=1, keepdims=True)).T
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    assert OneClass(7).vote(scores, y[400:]) > 0.5


def test_class_means_by_hand():
    """Unknown labels do not count, long features weigh as much as short ones, and no class without images wins."""
    train = np.array([[1, 0], [0, 10], [0, -1], [-1, -1]], np.float32)
    scores = prototype.predict(train, OneClass(3).hot([0, 0, 1, -1]), np.array([[3, 3], [0, -2]], np.float32))
    np.testing.assert_allclose(scores[:, :2], [[1, -(0.5**0.5)], [-(0.5**0.5), 1]], atol=1e-6)
    assert (scores[:, 2] == -np.inf).all()


def test_probe_finds_the_optimum_of_logistic_regression(blobs):
    x, y = blobs
    l2 = 1e-2
    got = probe.probe((x[:400], y[:400]), (x[400:500], y[400:500]), (x[500:], y[500:]), targets=OneClass(7), l2s=(l2,))
    z = (x - x[:400].mean(0)) / x[:400].std(0)
    reference = LogisticRegression(C=1 / (l2 * 400), max_iter=1000, tol=1e-8).fit(z[:400], y[:400])
    assert got['val'] == pytest.approx(reference.score(z[400:500], y[400:500]), abs=0.011)
    assert got['test'] == pytest.approx(reference.score(z[500:], y[500:]), abs=0.011)
    assert got['dim'] == 12 and got['l2'] == pytest.approx(l2)


def test_probe_chooses_its_regularisation_on_validation():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(90, 200)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int32)
    parts = [(x[i : i + 30], y[i : i + 30]) for i in (0, 30, 60)]
    each = [probe.probe(*parts, targets=OneClass(2), l2s=(l2,)) for l2 in (1e-4, 1e-1, 10.0)]
    assert probe.probe(*parts, targets=OneClass(2), l2s=(1e-4, 1e-1, 10.0))['val'] >= max(e['val'] for e in each) - 0.04


def test_a_picture_that_fails_keeps_what_was_measured(capsys):
    from ssljax import evaluation

    def figure_arrays(images):
        raise ValueError('no such layer')

    assert evaluation._optional(figure_arrays, None) == {}
    assert 'no figure_arrays for the report (ValueError: no such layer)' in capsys.readouterr().err
