"""Pi-model: two noisy looks at an image should agree. Laine & Aila, ICLR 2017 (arXiv:1610.02242)."""

import jax
import jax.numpy as jnp

from ssljax.methods import consistency
from ssljax.settings.fields import share

TITLE = 'Pi-model'
OPTIONS = consistency.OPTIONS | dict(weight=10.0, ramp=share(0.4))
TUNED = {'weight': (1.0, 3.0, 10.0, 30.0)}


def make(config, shape, classes: int):
    """Mean squared difference of the class probabilities for two weak views (algorithm 1); one of the two has no
    gradient, as in later code. The weight rises linearly, in the paper as exp(-5 (1 - t)^2).
    """
    return consistency.make(config, 'pi_model', classes, squared_difference, trained='weak', per_image=True)


def squared_difference(seen, memory):
    """`compare` of consistency.make."""
    difference = jax.nn.softmax(seen.trained) - jax.nn.softmax(seen.guess)
    return {'loss': jnp.mean(difference**2, axis=1)}, memory
