"""FreeMatch: thresholds that follow the network's confidence. Wang et al., ICLR 2023 (arXiv:2205.07246)."""

import jax
import jax.numpy as jnp

from ssljax.losses import cross_entropy
from ssljax.methods import consistency
from ssljax.settings.fields import share

TITLE = 'FreeMatch'
OPTIONS = consistency.PSEUDO | dict(
    momentum=share(0.999),  # of the running averages
    fairness=0.001,  # weight of the term that keeps the classes in balance
)
TUNED = {'weight': (0.3, 1.0, 3.0), 'fairness': (0.001, 0.01, 0.05)}


def make(config, shape, classes: int):
    """FixMatch with a self-adaptive threshold: the running mean of the confidence (equation 5), lower for classes that
    have a lower running mean probability (equations 6 to 8), and the fairness term of equations 9 to 11.

    Raises:
      ValueError: no strong augmentation.
    """
    compare, memory = adaptive(config.semi.freematch, classes)
    return consistency.make(config, 'freematch', classes, compare, memory=memory)


def adaptive(options, classes: int):
    """`compare` and `memory` of consistency.make, of a method with FreeMatch's `options`."""
    mix = lambda old, new: options.momentum * old + (1 - options.momentum) * new

    def compare(seen, memory):
        p = jax.nn.softmax(seen.guess)
        confidence, guess = p.max(1), p.argmax(1)
        memory = {
            'confidence': mix(memory['confidence'], confidence.mean()),
            'probability': mix(memory['probability'], p.mean(0)),
            'histogram': mix(memory['histogram'], jnp.mean(jax.nn.one_hot(guess, classes), 0)),
        }
        limits = memory['confidence'] * memory['probability'] / memory['probability'].max()
        confident = confidence >= limits[guess]
        fairness = imbalance(seen.trained, confident, memory['probability'], memory['histogram'])
        losses = cross_entropy(seen.trained, guess) * confident + options.fairness * fairness
        return {'loss': losses, 'coverage': confident, 'threshold': memory['confidence']}, memory

    uniform = lambda count: {
        'confidence': jnp.array(1 / classes),
        'probability': jnp.full(classes, 1 / classes),
        'histogram': jnp.full(classes, 1 / classes),
    }
    return compare, uniform


def imbalance(logits, confident, probability, histogram):
    """The fairness term, a scalar: sum_c a_c log b_c, where a and b are the mean probabilities, running and of this
    batch's confident images, each divided by the histogram of its predicted classes and normalised (equation 11).

    logits: [U, K]; confident: [U]; probability, histogram: [K] float32. 0 where no image is confident.
    """
    p, n = jax.nn.softmax(logits), jnp.maximum(confident.sum(), 1)
    mean = (p * confident[:, None]).sum(0) / n
    counts = (jax.nn.one_hot(p.argmax(1), p.shape[1]) * confident[:, None]).sum(0) / n
    a, b = (_normalized(_divided(x, h)) for x, h in ((probability, histogram), (mean, counts)))
    return jnp.where(confident.any(), jnp.sum(jax.lax.stop_gradient(a) * jnp.log(b + 1e-12)), 0.0)


def _divided(x, histogram):
    return jnp.where(histogram > 0, x / jnp.where(histogram > 0, histogram, 1.0), 0.0)


def _normalized(x):
    return x / jnp.maximum(x.sum(), 1e-12)
