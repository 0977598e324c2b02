import jax.numpy as jnp
import numpy as np
import pytest

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
