"""RandAugment (Cubuk et al. 2020, arXiv:1909.13719) as in FixMatch (Sohn et al. 2020, arXiv:2001.07685, appendix D)."""

import jax
import jax.numpy as jnp
import numpy as np

from ssljax.data import pixels
from ssljax.data.distort import distort

# Parameters of `distort` at strength 0 and 1; FixMatch's ranges. Those of _SIGNED have a random sign.
RANGES = {
    'autocontrast': (1.0, 1.0),
    'brightness': (0.95, 0.05),
    'color': (0.95, 0.05),
    'contrast': (0.95, 0.05),
    'equalize': (1.0, 1.0),
    'identity': (0.0, 0.0),
    'posterize': (9.0, 4.0),  # 8 to 4 bits, each equally often
    'rotate': (0.0, 30.0),
    'sharpness': (0.95, 0.05),
    'shear_x': (0.0, 0.3),
    'shear_y': (0.0, 0.3),
    'solarize': (1.0, 0.0),
    'translate_x': (0.0, 0.3),
    'translate_y': (0.0, 0.3),
}
_NAMES = tuple(RANGES)
_SIGNED = ('rotate', 'shear_x', 'shear_y', 'translate_x', 'translate_y')


def rand_augment(key, images, operations=2, magnitude=10, p=1.0):
    """Applies to each image `operations` operations in turn, each drawn anew from the 14 of RANGES; see `distort`.

    The strength of each is drawn too, as in FixMatch: uniform from no effect to magnitude / 10 of the way to the
    strongest of RANGES, so that 10 gives FixMatch's ranges and 0 leaves only what has no strength (autocontrast,
    equalize). An operation is applied with probability p: 1 is the paper, 0.5 FixMatch's code. Warps take the nearest
    pixel and are black outside, as there. Gray images have no color.

    Raises ValueError for operations outside [1, 100], a magnitude outside [0, 10] and p outside [0, 1].
    """
    batch = pixels.check(images)[0]
    if int(operations) != operations or not 1 <= operations <= 100:
        raise ValueError(f'rand_augment: operations is {operations}; it must be a whole number from 1 to 100.')
    if not 0 <= magnitude <= 10:
        raise ValueError(f'rand_augment: magnitude is {magnitude}; it must be in [0, 10].')
    if not 0 <= p <= 1:
        raise ValueError(f'the probability p is {p}; it must be in [0, 1].')
    return distort(key, images, *_draw(key, (int(operations), batch), magnitude / 10, p), _NAMES)


def _draw(key, shape, most, p):
    """(kind int32, value float32) of the shape for `distort`; the strength is uniform in [0, most]."""
    kind_key, strength_key, sign_key, coin_key = jax.random.split(key, 4)
    kind = jax.random.randint(kind_key, shape, 0, len(_NAMES))
    kind = jnp.where(jax.random.bernoulli(coin_key, p, shape), kind, _NAMES.index('identity'))
    weak, strong = jnp.asarray(np.float32(list(RANGES.values())))[kind].transpose(2, 0, 1)
    value = weak + jax.random.uniform(strength_key, shape, maxval=most) * (strong - weak)
    signed = jnp.asarray([name in _SIGNED for name in _NAMES])[kind]
    return kind, jnp.where(signed & jax.random.bernoulli(sign_key, 0.5, shape), -value, value)
