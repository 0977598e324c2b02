"""SoftMatch: a weight in place of a threshold. Chen et al., ICLR 2023 (arXiv:2301.10921)."""

import jax
import jax.numpy as jnp

from ssljax.losses import cross_entropy
from ssljax.methods import consistency
from ssljax.settings.fields import real, share

TITLE = 'SoftMatch'
OPTIONS = consistency.PSEUDO | dict(
    momentum=share(0.999),  # of the running averages
    # The weight falls off as a Gaussian whose standard deviation is that of the confidence divided by this.
    n_sigma=real(2.0, 1e-6, 1000.0),
    align=True,  # uniform alignment
)
TUNED = {'weight': (0.3, 1.0, 3.0), 'n_sigma': (1.0, 2.0, 3.0)}


def make(config, shape, classes: int):
    """FixMatch with images weighted by a Gaussian of how far their confidence is below its running mean (equations 6 to
    8). With `align`, the confidence is that of probabilities aligned to a uniform mean (equation 9); the labels are
    not.

    Raises:
      ValueError: no strong augmentation.
    """
    options = config.semi.softmatch
    mix = lambda old, new: options.momentum * old + (1 - options.momentum) * new

    def compare(seen, memory):
        p, guess = jax.nn.softmax(seen.guess), seen.guess.argmax(1)
        mean = mix(memory['probability'], p.mean(0))
        if options.align:
            p = p / mean
            p = p / p.sum(1, keepdims=True)
        confidence = p.max(1)
        mu = mix(memory['mean'], confidence.mean())
        variance = mix(memory['variance'], confidence.var(ddof=1) if len(confidence) > 1 else 0.0)
        counts = jnp.exp(-((jnp.minimum(confidence - mu, 0.0)) ** 2) / (2 * variance / options.n_sigma**2 + 1e-12))
        memory = {'probability': mean, 'mean': mu, 'variance': variance}
        return {'loss': cross_entropy(seen.trained, guess) * counts, 'coverage': counts}, memory

    start = lambda count: {
        'probability': jnp.full(classes, 1 / classes),
        'mean': jnp.array(1 / classes),
        'variance': jnp.array(1.0),
    }
    return consistency.make(config, 'softmatch', classes, compare, memory=start)
