import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.data import augment, rand_augment
from ssljax.data.rand_augment import RANGES

KEY = jax.random.key(0)
NAMES = list(RANGES)


def draws(most=1.0, p=1.0):
    kind, value = jax.jit(rand_augment._draw, static_argnums=1)(KEY, (2, 20_000), most, p)
    return np.asarray(kind), np.asarray(value)


def test_draws_are_uniform_and_have_fixmatchs_ranges():
    kind, value = draws()
    assert (abs(np.bincount(kind.ravel(), minlength=14) / 40_000 - 1 / 14) < 0.006).all()
    assert abs(np.corrcoef(*kind)[0, 1]) < 0.03  # of the two operations of an image
    limits = {'rotate': 30, 'shear_x': 0.3, 'shear_y': 0.3, 'translate_x': 0.3, 'translate_y': 0.3}
    limits = {name: (-v, v) for name, v in limits.items()} | {'solarize': (0, 1)}
    limits |= dict.fromkeys(('brightness', 'color', 'contrast', 'sharpness'), (0.05, 0.95))
    for name, (low, high) in limits.items():
        drawn, width = value[kind == NAMES.index(name)], high - low
        assert low <= drawn.min() < low + 0.02 * width and high - 0.02 * width < drawn.max() <= high
        assert abs(drawn.mean() - (low + high) / 2) < 0.02 * width
    bits = np.minimum(np.floor(value[kind == NAMES.index('posterize')]), 8)
    assert (abs(np.bincount(bits.astype(int), minlength=9)[4:] / bits.size - 0.2) < 0.03).all()
    assert set(value[np.isin(kind, [NAMES.index('autocontrast'), NAMES.index('equalize')])]) == {1.0}


def test_magnitude_and_probability():
    kind, value = draws(most=0.3)
    assert 8.5 < abs(value[kind == NAMES.index('rotate')]).max() <= 9
    assert 0.68 <= value[kind == NAMES.index('color')].min() < 0.7
    identity = NAMES.index('identity')
    assert abs((draws(p=0.5)[0] == identity).mean() - (0.5 + 0.5 / 14)) < 0.01
    assert (draws(p=0.0)[0] == identity).all()


def test_images_of_a_batch_are_changed_differently_and_cutout_may_follow():
    op = jax.jit(augment.parse('flip|crop(4)|rand_augment(2, 10)|cutout(16)'))
    image = jax.random.uniform(KEY, (1, 32, 32, 3))
    out = np.asarray(op(KEY, jnp.tile(image, (64, 1, 1, 1))))
    assert out.dtype == np.float32 and out.shape == (64, 32, 32, 3) and 0 <= out.min() and out.max() <= 1
    assert len(np.unique(out.reshape(64, -1), axis=0)) == 64


@pytest.mark.parametrize(
    'spec, message',
    [
        ('rand_augment(0)', 'operations is 0; it must be a whole number'),
        ('rand_augment(2, 11)', r'magnitude is 11; it must be in \[0, 10\]'),
        ('rand_augment(p=2)', r'p is 2; it must be in \[0, 1\]'),
    ],
)
def test_wrong_settings_are_named(spec, message):
    with pytest.raises(ValueError, match=message):
        augment.parse(spec)
