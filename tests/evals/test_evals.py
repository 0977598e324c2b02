import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix, log_loss, top_k_accuracy_score
from sklearn.neighbors import NearestNeighbors

from ssljax.evals import classify, knn, probe


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


def test_neighbours_equal_scikit_learn(blobs):
    x, y = blobs
    scores, nearest = knn.predict(x[:400], y[:400], x[400:], k=9, classes=7, block=64)
    reference = NearestNeighbors(n_neighbors=9, metric='cosine').fit(x[:400])
    distance, expected = reference.kneighbors(x[400:])
    np.testing.assert_array_equal(nearest, expected)
    vote = np.zeros((200, 7))
    np.add.at(vote, (np.arange(200)[:, None], y[expected]), np.exp(-distance / 0.07))
    np.testing.assert_allclose(scores, vote, rtol=1e-3, atol=1e-6)


def test_more_neighbours_than_images(blobs):
    x, y = blobs
    assert knn.predict(x[:3], y[:3], x[3:5], k=20, classes=7)[1].shape == (2, 3)


def test_probe_finds_the_optimum_of_logistic_regression(blobs):
    x, y = blobs
    l2 = 1e-2
    got = probe.probe((x[:400], y[:400]), (x[400:500], y[400:500]), (x[500:], y[500:]), classes=7, l2s=(l2,))
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
    each = [probe.probe(*parts, classes=2, l2s=(l2,)) for l2 in (1e-4, 1e-1, 10.0)]
    assert probe.probe(*parts, classes=2, l2s=(1e-4, 1e-1, 10.0))['val'] >= max(e['val'] for e in each) - 0.04


def test_a_picture_that_fails_keeps_what_was_measured(capsys):
    from ssljax import evaluation

    def figure_arrays(images):
        raise ValueError('no such layer')

    assert evaluation._optional(figure_arrays, None) == {}
    assert 'no figure_arrays for the report (ValueError: no such layer)' in capsys.readouterr().err
