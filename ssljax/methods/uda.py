"""Unsupervised data augmentation. Xie et al., NeurIPS 2020 (arXiv:1904.12848)."""

import jax
import jax.numpy as jnp

from ssljax.losses import entropy, soft_cross_entropy
from ssljax.methods import consistency
from ssljax.settings.fields import choice, share, temperature

TITLE = 'UDA'
OPTIONS = consistency.PSEUDO | dict(
    threshold=share(0.8),  # minimum confidence for an image to count
    temperature=temperature(0.4),  # of the target's softmax
    anneal=choice('', '', 'log', 'linear', 'exp'),  # training signal annealing: '' none, or log, linear, exp
)
TUNED = {'threshold': (0.5, 0.7, 0.8, 0.95), 'weight': (0.3, 1.0, 3.0)}
_SHARES = {  # of the way from 1/K to 1, after a share t of the steps (section 3.2)
    'log': lambda t: 1 - jnp.exp(-5 * t),
    'linear': lambda t: t,
    'exp': lambda t: jnp.exp(5 * (t - 1)),
}


def make(config, shape, classes: int):
    """KL divergence between the sharpened prediction for a weak view and the prediction for a strong one, on confident
    images (sections 2 and 3.3). With `anneal`, a labelled image counts only while its class has a probability below a
    limit that rises from 1/K to 1 during training (section 3.2).

    Raises:
      ValueError: no strong augmentation.
    """
    options = config.semi.uda

    def compare(seen, memory):
        confident = jax.nn.softmax(seen.guess).max(1) >= options.threshold
        sharp = seen.guess / options.temperature
        losses = soft_cross_entropy(seen.trained, jax.nn.softmax(sharp)) - entropy(sharp)
        return {'loss': losses * confident, 'coverage': confident}, memory

    def below(seen):
        limit = 1 / classes + _SHARES[options.anneal](seen.progress) * (1 - 1 / classes)
        known = jnp.take_along_axis(jax.nn.softmax(seen.labeled), seen.labels[:, None], axis=1)[:, 0]
        counts = jax.lax.stop_gradient(known) < limit
        return counts * len(counts) / jnp.maximum(counts.sum(), 1)  # the mean over those that count

    rows = below if options.anneal else None
    return consistency.make(config, 'uda', classes, compare, labeled_rows=rows, per_image=not options.anneal)
