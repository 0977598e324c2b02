import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage.color import lab2rgb, rgb2lab

from ssljax.data import color


@pytest.fixture(scope='module')
def bins():
    return color.ab_bins()


def some_colours(n=4000, seed=0):
    rng = np.random.default_rng(seed)
    corners = np.stack(np.meshgrid(*[[0, 1]] * 3), -1).reshape(-1, 3)
    dark = rng.random((200, 3)) * 0.05  # the straight parts of both curves
    return np.concatenate([rng.random((n, 3)), corners, dark]).astype(np.float32)


def test_lab_is_that_of_scikit_image():
    rgb = some_colours()
    lab = color.rgb_to_lab(jnp.asarray(rgb))
    assert lab.dtype == jnp.float32
    np.testing.assert_allclose(lab, rgb2lab(rgb.astype(np.float64)), atol=5e-4)


def test_rgb_is_that_of_scikit_image():
    lab = rgb2lab(some_colours().astype(np.float64))
    np.testing.assert_allclose(color.lab_to_rgb(jnp.asarray(lab, jnp.float32)), lab2rgb(lab), atol=1e-4)


def test_there_and_back():
    rgb = some_colours().reshape(-1, 8, 3)
    np.testing.assert_allclose(color.lab_to_rgb(color.rgb_to_lab(jnp.asarray(rgb))), rgb, atol=1e-4)


def test_known_colours():
    """White, black, and red, whose Lab (D65) is in every table."""
    lab = color.rgb_to_lab(jnp.array([[1.0, 1, 1], [0, 0, 0], [1, 0, 0]]))
    np.testing.assert_allclose(lab, [[100, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20]], atol=0.02)


def test_a_colour_outside_of_srgb_is_clipped():
    rgb = color.lab_to_rgb(jnp.array([[50.0, 120.0, -120.0], [100.0, 90.0, 0.0]]))
    assert rgb.min() >= 0 and rgb.max() <= 1 and np.isfinite(rgb).all()


def test_bins_cover_srgb(bins):
    assert bins.shape == (261, 2) and bins.dtype == np.float32  # counted over all 2^24 colours
    assert len(np.unique(bins, axis=0)) == 261
    np.testing.assert_array_equal(bins % 10, 0)
    ab = rgb2lab(some_colours())[:, 1:]
    farthest = np.abs(ab[:, None] - bins).max(2).min(1).max()
    assert farthest <= 5 + 1e-4


def test_soft_encoding_by_hand(bins):
    """Gray lies on a bin; the next four are 10 away: exp(-100 / 50) each against 1."""
    soft = color.soft_encode(jnp.zeros((1, 2)), bins)[0]
    side = np.exp(-2.0)
    held = {tuple(bins[i]): float(soft[i]) for i in np.flatnonzero(soft)}
    assert held.keys() == {(0, 0), (10, 0), (-10, 0), (0, 10), (0, -10)}
    np.testing.assert_allclose(held[0, 0], 1 / (1 + 4 * side), rtol=1e-5)
    np.testing.assert_allclose(held[10, 0], side / (1 + 4 * side), rtol=1e-5)


def test_soft_encoding_takes_the_five_nearest(bins):
    ab = rgb2lab(some_colours(50))[:, 1:].astype(np.float32)
    soft = np.asarray(jax.jit(color.soft_encode)(ab, bins))
    np.testing.assert_allclose(soft.sum(1), 1, rtol=1e-5)
    squared = ((ab[:, None].astype(np.float64) - bins) ** 2).sum(-1)
    nearest = np.argsort(squared, axis=1)[:, :5]
    weights = np.exp(-np.take_along_axis(squared, nearest, 1) / 50)
    expected = np.zeros_like(soft)
    np.put_along_axis(expected, nearest, weights / weights.sum(1, keepdims=True), 1)
    np.testing.assert_allclose(soft, expected, atol=1e-4)


def test_annealed_mean(bins):
    logits = jnp.zeros(261).at[jnp.array([0, 5])].set(jnp.array([100.0, 100 + 0.38 * np.log(3)]))
    np.testing.assert_allclose(color.annealed_mean(logits, bins), (bins[0] + 3 * bins[5]) / 4, rtol=1e-4)
    np.testing.assert_allclose(color.annealed_mean(logits, bins, 1e-3), bins[5], rtol=1e-4)


def test_the_decoded_encoding_is_near_the_colour(bins):
    ab = rgb2lab(some_colours(500))[:500, 1:].astype(np.float32)
    near = color.annealed_mean(jnp.log(color.soft_encode(jnp.asarray(ab), bins) + 1e-12), bins)
    assert np.abs(near - ab).mean() < 2


def test_rebalancing_by_hand():
    """Two bins far apart, prior (3/4, 1/4), half uniform: weights as 8/5 and 8/3, whose mean under the prior is 1."""
    blur = color.smoothing(np.array([[0, 0], [100, 0]], np.float32))
    weights = color.rebalancing(jnp.array([0.75, 0.25]), blur, 0.5)
    np.testing.assert_allclose(weights, np.array([8 / 5, 8 / 3]) / (0.75 * 8 / 5 + 0.25 * 8 / 3), rtol=1e-5)
    np.testing.assert_allclose(color.rebalancing(jnp.array([0.75, 0.25]), blur, 1.0), [1, 1], rtol=1e-6)


def test_smoothing_keeps_the_sum(bins):
    blur = color.smoothing(bins)
    np.testing.assert_allclose(blur.sum(0), 1, rtol=1e-5)
    side = int(np.flatnonzero((bins == [10, 0]).all(1))[0])
    centre = int(np.flatnonzero((bins == [0, 0]).all(1))[0])
    np.testing.assert_allclose(blur[side, centre] / blur[centre, centre], np.exp(-2), rtol=1e-5)
