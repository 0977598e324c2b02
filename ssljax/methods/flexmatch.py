"""FlexMatch: a threshold for each class. Zhang et al., NeurIPS 2021 (arXiv:2110.08263)."""

import jax
import jax.numpy as jnp

from ssljax.losses import cross_entropy
from ssljax.methods import consistency
from ssljax.settings.fields import share

TITLE = 'FlexMatch'
OPTIONS = consistency.PSEUDO | dict(
    threshold=share(0.95),  # of the class that is learnt best
)
TUNED = {'threshold': (0.7, 0.8, 0.9, 0.95), 'weight': (0.3, 1.0, 3.0)}


def make(config, shape, classes: int):
    """FixMatch with thresholds that are lower for classes with fewer confident images (curriculum pseudo labelling).

    The memory holds, for each unlabelled image, the class it was last predicted as with a probability above
    `threshold`, -1 before that; sigma(c) is how many are of class c (equation 5).

    Raises:
      ValueError: no strong augmentation.
    """
    limit = config.semi.flexmatch.threshold

    def compare(seen, memory):
        p = jax.nn.softmax(seen.guess)
        confidence, guess = p.max(1), p.argmax(1)
        last = memory['last']
        confident = confidence >= limit * shares(last, classes, seen.total)[guess]
        last = last.at[seen.places].set(jnp.where(confidence > limit, guess, last[seen.places]).astype(jnp.int32))
        rows = {'loss': cross_entropy(seen.trained, guess) * confident, 'coverage': confident}
        return rows, {'last': last}

    memory = lambda count: {'last': jnp.full(count, -1, jnp.int32)}
    return consistency.make(config, 'flexmatch', classes, compare, memory=memory)


def shares(last, classes: int, count):
    """[K] float32 in [0, 1], each class's share of the threshold: b / (2 - b), where b is sigma(c) / max(max_c sigma,
    unused) (equations 6, 11 and 12).

    last: [N] int32 classes, -1 where there is none yet, N >= count; count: images in all.
    """
    sigma = jnp.zeros(classes).at[jnp.where(last < 0, classes, last)].add(1.0, mode='drop')
    b = sigma / jnp.maximum(jnp.maximum(sigma.max(), count - sigma.sum()), 1.0)
    return b / (2 - b)
