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
    """(Seen, kept), where q, the running mean of the unlabelled images' class probabilities, is taken out of the
    guesses and added to the logits that are trained.

    The guess becomes softmax(logits - strength log q) with the q before this step, and the cross-entropy uses logits +
    strength log q with the new one (the adaptive marginal loss): classes that are predicted too often get fewer images
    and the others a larger margin. As in the authors' code, q takes in all images, before the correction. Unlike there,
    its momentum rises to 0.999 over the first steps, like that of averaged weights, so that short runs do not keep its
    uniform start, and q is at least 1e-6.

    Args:
      seen: consistency.Seen.
      kept: as from `start`.
      strength: the paper's tau, 0.4 to 1 there.
    """
    old = kept['probability']
    rate = jnp.minimum(MOMENTUM, (1 + kept['steps']) / (10 + kept['steps']))
    new = jnp.maximum(rate * old + (1 - rate) * jax.nn.softmax(seen.guess).mean(0), 1e-6)
    seen = seen._replace(guess=seen.guess - strength * jnp.log(old), trained=seen.trained + strength * jnp.log(new))
    return seen, {'probability': new, 'steps': kept['steps'] + 1}
