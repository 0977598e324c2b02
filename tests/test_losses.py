import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.integrate
from sklearn.utils.class_weight import compute_class_weight

from ssljax import losses


def test_cross_entropy_hand_worked():
    logits = jnp.log(jnp.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]))
    np.testing.assert_allclose(losses.cross_entropy(logits, jnp.array([0, 1])), [np.log(2), np.log(10)], rtol=1e-6)


def test_label_smoothing_hand_worked():
    logits = jnp.log(jnp.array([[0.5, 0.25, 0.25]]))
    uniform = (np.log(2) + 2 * np.log(4)) / 3
    got = losses.cross_entropy(logits, jnp.array([0]), smoothing=0.3)
    np.testing.assert_allclose(got, [0.7 * np.log(2) + 0.3 * uniform], rtol=1e-6)


@pytest.mark.parametrize('k, right', [(1, [1, 0, 0]), (2, [1, 1, 0]), (3, [1, 1, 1])])
def test_top_k(k, right):
    logits = jnp.array([[3.0, 2.0, 1.0]] * 3)
    np.testing.assert_array_equal(losses.top_k(logits, jnp.array([0, 1, 2]), k), right)


def test_a_collapsed_network_has_no_accuracy():
    assert losses.top_k(jnp.zeros((4, 3)), jnp.array([0, 1, 2, 0]), 1).sum() == 0


def test_balanced_class_weights_are_those_of_scikit_learn():
    counts = [50, 30, 20]
    labels = np.repeat(np.arange(3), counts)
    expected = compute_class_weight('balanced', classes=np.arange(3), y=labels)
    np.testing.assert_allclose(losses.class_weights(counts), expected, rtol=1e-6)
    np.testing.assert_allclose(losses.class_weights([5, 0, 5]), [1, 0, 1], rtol=1e-6)


@pytest.mark.parametrize('beta', [0.0, 0.5, 0.99, 0.9999])
def test_class_weights_by_effective_numbers(beta):
    counts = np.array([500, 30, 1])
    weights = (1 - beta) / (1 - beta**counts)
    np.testing.assert_allclose(losses.class_weights(counts, beta), weights * 531 / (weights * counts).sum(), rtol=1e-3)
    assert np.isclose((losses.class_weights(counts, beta) * counts).sum(), 531)


def test_weights_of_the_effective_number_go_from_none_to_balanced():
    counts = np.array([90, 10])
    np.testing.assert_allclose(losses.class_weights(counts, 0.0), [1, 1], rtol=1e-6)
    np.testing.assert_allclose(losses.class_weights(counts, 1 - 1e-6), losses.class_weights(counts), rtol=1e-3)


def test_log_prior_hand_worked():
    np.testing.assert_allclose(losses.log_prior([90, 10]), np.log([1.8, 0.2]), rtol=1e-6)
    np.testing.assert_allclose(losses.log_prior([7, 7, 7]), np.zeros(3), atol=1e-6)
    assert np.isfinite(losses.log_prior([10, 0])).all()


def test_soft_cross_entropy_hand_worked():
    logits = jnp.log(jnp.array([[0.5, 0.25, 0.25]]))
    got = losses.soft_cross_entropy(logits, jnp.array([[0.5, 0.0, 0.5]]))
    np.testing.assert_allclose(got, [0.5 * np.log(2) + 0.5 * np.log(4)], rtol=1e-6)


def pair(n=6, d=5):
    rng = np.random.default_rng(0)
    return tuple(jnp.asarray(rng.normal(size=(n, d)), jnp.float32) for _ in range(2))


def test_nt_xent_hand_worked():
    """Two images whose views agree and are orthogonal to each other: one positive of cosine 1, two negatives of 0."""
    a = jnp.array([[3.0, 0.0], [0.0, 0.5]])
    got, right = losses.nt_xent(a, 2 * a, 0.5)
    np.testing.assert_allclose(got, [np.log(np.exp(2) + 2) - 2] * 4, rtol=1e-6)
    np.testing.assert_array_equal(right, np.ones(4))


def test_nt_xent_is_that_of_optax():
    a, b = pair()
    rows = jnp.stack([a, b], 1).reshape(-1, a.shape[1])
    theirs = optax.losses.ntxent(rows, jnp.repeat(jnp.arange(len(a)), 2), temperature=0.3)
    np.testing.assert_allclose(losses.nt_xent(a, b, 0.3)[0].mean(), theirs, rtol=1e-5)


def test_info_nce_hand_worked():
    query, key = jnp.array([[2.0, 0.0], [0.0, 1.0]]), jnp.array([[1.0, 0.0], [1.0, 1.0]])
    got, right = losses.info_nce(query, key, 1.0)
    near = np.sqrt(0.5)
    expected = [np.log(np.e + np.exp(near)) - 1, np.log(1 + np.exp(near)) - near]
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    np.testing.assert_array_equal(right, [1, 1])
    assert losses.info_nce(query, key[::-1], 1.0)[1].sum() == 0


def test_contrastive_losses_of_equal_embeddings():
    """All alike: the loss is the logarithm of the candidates, and nothing is right."""
    same = jnp.ones((4, 3))
    for (got, right), candidates in ((losses.nt_xent(same, same, 0.1), 7), (losses.info_nce(same, same, 0.1), 4)):
        np.testing.assert_allclose(got, np.full(len(got), np.log(candidates)), rtol=1e-5)
        assert right.sum() == 0


def test_cosines_hand_worked():
    prediction, target = jnp.array([[3.0, 4.0], [1.0, 0.0]]), jnp.array([[5.0, 0.0], [-2.0, 0.0]])
    np.testing.assert_allclose(losses.negative_cosine(prediction, target), [-0.6, 1.0], rtol=1e-6)
    np.testing.assert_allclose(losses.byol(prediction, target), [0.8, 4.0], rtol=1e-6)


def test_byol_is_a_squared_distance():
    a, b = pair()
    u, v = (np.asarray(x) / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    np.testing.assert_allclose(losses.byol(a, b), ((u - v) ** 2).sum(1), rtol=1e-5)


def test_unit_of_zeros_has_a_finite_gradient():
    assert np.isfinite(jax.grad(lambda x: losses.unit(x).sum())(jnp.zeros((2, 3)))).all()


def test_barlow_twins_hand_worked():
    """First dimension: correlation 1; second: -1; across: 0, and 0 on the diagonal costs (1 - -1)^2."""
    a = jnp.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]) * 100
    b = a * jnp.array([1.0, -1.0])
    np.testing.assert_allclose(losses.barlow_twins(a, b, 0.1), 4.0, atol=1e-4)
    mixed = jnp.stack([a[:, 0], a[:, 0]], 1)  # both dimensions alike: off the diagonal 1, twice
    np.testing.assert_allclose(losses.barlow_twins(mixed, mixed, 0.1), 0.2, atol=1e-4)


def test_barlow_twins_against_corrcoef():
    a, b = pair(50, 4)
    c = np.corrcoef(a, b, rowvar=False)[:4, 4:]
    off = c - np.diag(np.diag(c))
    expected = ((1 - np.diag(c)) ** 2).sum() + 0.01 * (off**2).sum()
    np.testing.assert_allclose(losses.barlow_twins(a, b, 0.01), expected, rtol=1e-3)


def test_vicreg_hand_worked():
    a = jnp.array([[0.5, 0.5], [-0.5, -0.5]])  # variances 1/2, covariance 1/2
    b = a + jnp.array([1.0, 0.0])
    invariance, variance, covariance = losses.vicreg(a, b)
    np.testing.assert_allclose(invariance, 0.5, rtol=1e-6)
    np.testing.assert_allclose(variance, 1 - np.sqrt(0.5 + 1e-4), rtol=1e-5)
    np.testing.assert_allclose(covariance, 2 * (2 * 0.25) / 2, rtol=1e-6)


def test_vicreg_against_cov():
    a, b = pair(50, 4)
    covariances = [np.cov(x, rowvar=False) for x in (0.3 * a, b)]
    _, variance, covariance = losses.vicreg(0.3 * a, b)
    np.testing.assert_allclose(
        covariance, sum((c[~np.eye(4, dtype=bool)] ** 2).sum() / 4 for c in covariances), rtol=1e-4
    )
    hinges = [np.maximum(0, 1 - np.sqrt(np.diag(c) + 1e-4)).mean() for c in covariances]
    np.testing.assert_allclose(variance, np.mean(hinges), rtol=1e-4)


def test_vicreg_of_a_collapsed_embedding():
    """The variance term is what a constant costs."""
    invariance, variance, covariance = losses.vicreg(jnp.ones((4, 3)), jnp.ones((4, 3)))
    np.testing.assert_allclose([invariance, variance, covariance], [0, 0.99, 0], atol=1e-6)


def test_dino_hand_worked():
    teacher, centre = jnp.log(jnp.array([[0.9, 0.1]])) + 3, jnp.log(jnp.array([0.9, 0.1]))
    student = 2 * jnp.log(jnp.array([[0.25, 0.75]]))
    got = losses.dino(student, teacher, centre, student_temperature=2.0, teacher_temperature=0.5)
    np.testing.assert_allclose(got, [0.5 * np.log(4) + 0.5 * np.log(4 / 3)], rtol=1e-5)  # centred: uniform targets
    got = losses.dino(student, teacher, jnp.zeros(2), student_temperature=2.0, teacher_temperature=0.5)
    np.testing.assert_allclose(got, [(0.81 * np.log(4) + 0.01 * np.log(4 / 3)) / 0.82], rtol=1e-5)


def test_swav_hand_worked():
    scores = 0.1 * jnp.log(jnp.array([[0.25, 0.75]]))
    np.testing.assert_allclose(losses.swav(scores, jnp.array([[1.0, 0.0]]), 0.1), [np.log(4)], rtol=1e-6)


def test_no_gradient_reaches_the_targets_of_dino_and_swav():
    a, b = pair()
    to_teacher = jax.grad(lambda t: losses.dino(a, t, 0.0, student_temperature=0.1, teacher_temperature=0.1).sum())(b)
    to_codes = jax.grad(lambda c: losses.swav(a, c, 0.1).sum())(b)
    assert not to_teacher.any() and not to_codes.any()


def test_sinkhorn_hand_worked():
    """A doubly stochastic 2 x 2 matrix has one unknown, which the cross ratio of exp(scores / epsilon) fixes."""
    scores, epsilon = np.array([[0.3, 0.1], [0.6, 0.2]]), 0.1
    ratio = np.exp((0.3 + 0.2 - 0.1 - 0.6) / epsilon / 2)
    p = ratio / (1 + ratio)
    got = losses.sinkhorn(jnp.asarray(scores, jnp.float32), epsilon=epsilon, iterations=100)
    np.testing.assert_allclose(got, [[p, 1 - p], [1 - p, p]], rtol=1e-4)


def test_sinkhorn_is_the_optimal_transport():
    """Of the couplings with these marginals one alone has log q - scores / epsilon = u_i + v_j: the optimum."""
    scores = pair(12, 4)[0]
    q = losses.sinkhorn(scores, epsilon=0.5, iterations=200)
    np.testing.assert_allclose(q.sum(1), np.ones(12), rtol=1e-4)
    np.testing.assert_allclose(q.sum(0), np.full(4, 3.0), rtol=1e-4)
    rest = np.asarray(jnp.log(q) - scores / 0.5)
    np.testing.assert_allclose(rest - rest[:1] - rest[:, :1] + rest[0, 0], 0, atol=1e-4)


def test_sinkhorn_with_a_small_epsilon():
    scores = jnp.asarray(pair(8, 3)[0], jnp.bfloat16)
    q = losses.sinkhorn(scores, epsilon=1e-3, iterations=3)
    assert q.dtype == jnp.float32 and np.isfinite(q).all()
    np.testing.assert_allclose(q.sum(1), np.ones(8), rtol=1e-4)


def test_relative_std():
    z = jnp.array([[3.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -7.0]])
    np.testing.assert_allclose(losses.relative_std(z), 1.0, rtol=1e-6)
    np.testing.assert_allclose(losses.relative_std(jnp.ones((4, 3))), 0.0, atol=1e-3)


def test_the_epps_pulley_statistic_is_its_integral():
    """Against adaptive quadrature; the trapezoidal rule and the end at 3 cost less than a hundredth."""
    x = np.random.default_rng(0).normal(0.3, 1.2, 40)

    def error(t):
        return abs(np.exp(1j * t * x).mean() - np.exp(-(t**2) / 2)) ** 2 * np.exp(-(t**2) / 2)

    want = len(x) * scipy.integrate.quad(error, -np.inf, np.inf)[0]
    got = losses.epps_pulley(jnp.asarray(x, jnp.float32)[:, None])
    assert got.shape == (1,) and float(got[0]) == pytest.approx(want, rel=0.01)


def test_sigreg_expects_a_gaussian_of_unit_variance():
    """Of one it is the integral of (1 - exp(-t^2)) exp(-t^2 / 2), sqrt(2 pi) (1 - 1 / sqrt(3)), turned or not."""
    draw = np.random.default_rng(0)
    z = jnp.asarray(draw.normal(size=(512, 8)), jnp.float32)
    look = lambda z: float(losses.sigreg(jax.random.key(0), z, 64))
    expected = np.sqrt(2 * np.pi) * (1 - 3**-0.5)
    turned = z @ np.linalg.qr(draw.normal(size=(8, 8)))[0]
    assert look(z) == pytest.approx(expected, rel=0.2) and look(turned) == pytest.approx(expected, rel=0.2)
    for other in (2 * z, z / 2, jnp.zeros((512, 8)), jnp.sign(z[:, :1]) * jnp.ones((1, 8))):
        assert look(other) > 5 * expected


@pytest.mark.parametrize('shape', [(5, 9), (9, 5)])
def test_the_coding_rate_by_its_eigenvalues(shape):
    z = np.random.default_rng(0).normal(size=shape)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    values = np.linalg.svd(z, compute_uv=False) ** 2
    want = 0.5 * np.log1p(shape[1] / (shape[0] * 0.2) * values).sum()
    assert float(losses.coding_rate(jnp.asarray(z, jnp.float32), 0.2)) == pytest.approx(want, rel=1e-4)
