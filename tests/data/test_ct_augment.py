import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.data import ct_augment
from ssljax.data.distort import NAMES

KEY = jax.random.key(0)
INVERT = NAMES.index('invert')


def chosen(*pairs):
    """The choice of a batch with one operation an image, from (operation, bin) pairs."""
    return {'operation': jnp.array([[NAMES.index(p[0]) for p in pairs]]), 'bin': jnp.array([[p[1] for p in pairs]])}


def test_update_by_hand():
    rates = ct_augment.init()
    assert set(rates) == set(NAMES) and rates['rotate'].shape == (17,) and rates['posterize'].shape == (8,)
    choice = chosen(('invert', 3), ('rotate', 3), ('invert', 3), ('posterize', 7))
    out = jax.jit(ct_augment.update)(rates, choice, jnp.array([0.5, 0.0, 1.0, 0.25]))
    first = 0.99 * 1 + 0.01 * 0.5
    assert float(out['invert'][3]) == pytest.approx(0.99 * first + 0.01 * 1.0)
    assert float(out['rotate'][3]) == pytest.approx(0.99)
    assert float(out['posterize'][7]) == pytest.approx(0.99 + 0.01 * 0.25)
    assert sum(int((rate != 1).sum()) for rate in out.values()) == 3


def test_update_is_the_papers_one_image_after_the_other():
    rng = np.random.default_rng(0)
    rates = {name: jnp.asarray(rng.random(n), jnp.float32) for name, n in ct_augment.BINS.items()}
    kind = rng.integers(0, 3, (2, 50))
    choice = {'operation': jnp.asarray(kind), 'bin': jnp.asarray(rng.integers(0, 2, (2, 50)))}
    match = jnp.asarray(rng.random(50), jnp.float32)
    expected = {name: np.array(rate, np.float64) for name, rate in rates.items()}
    for image in range(50):
        for step in range(2):
            bins = expected[NAMES[kind[step, image]]]
            bins[choice['bin'][step, image]] *= 0.99
            bins[choice['bin'][step, image]] += 0.01 * float(match[image])
    out = jax.jit(ct_augment.update)(rates, choice, match)
    for name in NAMES:
        np.testing.assert_allclose(out[name], expected[name], rtol=1e-5)


def test_match_and_weights_by_hand():
    p = jnp.array([[0.7, 0.2, 0.1], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    np.testing.assert_allclose(ct_augment.match(p, jax.nn.one_hot(jnp.array([0, 1, 0]), 3)), [0.7, 1.0, 0.0], atol=1e-6)
    rates = ct_augment.init() | {'posterize': jnp.array([0.5, 0.39, 0.41, 0.0, 0.5, 0.5, 0.1, 0.5])}
    expected = [1, 0, 0.42 / 0.51, 0, 1, 1, 0, 1]
    np.testing.assert_allclose(ct_augment.weights(rates)['posterize'], expected, rtol=1e-6)
    nothing = ct_augment.weights(jax.tree.map(jnp.zeros_like, rates))
    assert all((weight == 1).all() for weight in nothing.values())


def test_bins_that_hurt_are_no_longer_drawn_but_still_probed():
    """A model that copes with less than half of an inversion only."""

    @jax.jit
    def step(rates, key):
        _, choice = ct_augment.probe(key, jnp.zeros((256, 2, 2, 1)), rates)
        hurt = ((choice['operation'] == INVERT) & (choice['bin'] > 8)).any(0)
        return ct_augment.update(rates, choice, 1.0 - hurt), None

    rates = jax.lax.scan(step, ct_augment.init(), jax.random.split(KEY, 80))[0]
    weight = ct_augment.weights(rates)
    assert (weight['invert'][9:] == 0).all() and (weight['invert'][:9] > 0).all()
    assert all((w > 0).all() for name, w in weight.items() if name != 'invert')

    black = jnp.zeros((4000, 2, 2, 1))  # made lighter by an inversion and by cutout (to 0.5) alone
    table = ct_augment._table(weight)
    out, choice = jax.jit(ct_augment._augment, static_argnums=3)(KEY, black, table, 1)
    drawn = np.asarray(choice['bin'][choice['operation'] == INVERT])
    assert drawn.max() == 8 and len(np.unique(drawn)) == 9
    inverted = np.asarray(out)[np.asarray(choice['operation'][0]) == INVERT]
    assert inverted.max() <= 9 / 17 and inverted.max() > 8 / 17
    np.testing.assert_array_equal(jax.jit(ct_augment.apply, static_argnums=3)(KEY, black, rates, 1), out)
    bins = jax.jit(ct_augment.probe, static_argnums=3)(KEY, black, rates, 1)[1]
    assert set(np.asarray(bins['bin'][bins['operation'] == INVERT]).tolist()) == set(range(17))


def test_images_keep_shape_and_range_and_differ():
    image = jax.random.uniform(KEY, (1, 16, 16, 3))
    images = jnp.tile(image, (32, 1, 1, 1))
    run = jax.jit(ct_augment.probe)
    out, choice = run(KEY, images, ct_augment.init())
    assert out.shape == images.shape and out.dtype == jnp.float32 and 0 <= out.min() and out.max() <= 1
    assert choice['bin'].shape == choice['operation'].shape == (2, 32)
    assert len(np.unique(np.asarray(out).reshape(32, -1), axis=0)) > 28
    np.testing.assert_array_equal(run(KEY, images, ct_augment.init())[0], out)
    most = np.array([ct_augment.BINS[name] for name in NAMES])[np.asarray(choice['operation'])]
    assert (np.asarray(choice['bin']) < most).all()


def test_wrong_depth_is_named():
    with pytest.raises(ValueError, match='depth is 0; it must be a whole number of operations, 1 or more'):
        ct_augment.apply(KEY, jnp.zeros((2, 8, 8, 3)), ct_augment.init(), 0)
