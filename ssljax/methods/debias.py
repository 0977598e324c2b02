"""Pseudo-labels without the network's own bias towards some classes, an option of the methods that train on them.
DebiasPL: Wang et al., CVPR 2022 (arXiv:2201.01490)."""

import jax
import jax.numpy as jnp

from ssljax.settings.fields import real

OPTIONS = dict(
    debias=real(0.0, 0.0, 10.0),  # how much the bias of pseudo-labels towards some classes is corrected; 0: not at all
)
MOMENTUM = 0.999  # of the running mean


def start(classes: int) -> dict:
    """What `correct` keeps, before the first step: {'probability': [K] float32, 'steps': float32}."""
    return {'probability': jnp.full(classes, 1 / classes), 'steps': jnp.zeros(())}


def correct(seen, kept: dict, strength: float) -> tuple:
    """(Seen, kept) with q, the running mean of the class probabilities of the unlabelled images, taken out of the
    guesses and put into the logits that are trained.

    The guess becomes softmax(logits - strength log q) with the q before this step, and the cross-entropy has logits +
    strength log q with the new one (the adaptive marginal loss): classes that are predicted too often get fewer images
    and the others a larger margin. As in the authors' code q takes up all images, before the correction. Unlike there,
    its momentum rises to 0.999 in the first steps, as that of averaged weights does, so that short runs do not keep its
    uniform start, and it is at least 1e-6.

    Args:
      seen: consistency.Seen.
      kept: as `start`.
      strength: tau of the paper; it has 0.4 to 1.
    """
    old = kept['probability']
    rate = jnp.minimum(MOMENTUM, (1 + kept['steps']) / (10 + kept['steps']))
    new = jnp.maximum(rate * old + (1 - rate) * jax.nn.softmax(seen.guess).mean(0), 1e-6)
    seen = seen._replace(guess=seen.guess - strength * jnp.log(old), trained=seen.trained + strength * jnp.log(new))
    return seen, {'probability': new, 'steps': kept['steps'] + 1}
