"""Leaving out unlabelled images of classes without labels, an option of the methods that train on pseudo-labels.
OpenMatch: Saito et al., NeurIPS 2021 (arXiv:2105.14148)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ssljax.methods import network
from ssljax.methods.joint import fill
from ssljax.models.heads import Head

OPTIONS = dict(
    # Unlabelled images that the detector of their predicted class rejects are not trained on.
    open_set=False,
)
ENTROPY, AGREEMENT = 0.1, 0.5  # weights of the losses on unlabelled images, the paper's for CIFAR-10
BEGIN = 0.05  # share of the steps in which only labelled images and the detectors are trained
LIMIT = 0.5  # least score of an outlier


class Found(NamedTuple):
    """What the detectors say about a step. loss: their own, a scalar. like: [U] bool, True for what is not an outlier.
    begun: 0.0 if no unlabelled image counts, else 1.0. rows: metrics, {name: scalar or [U]}."""

    loss: Any = 0.0
    like: Any = None
    begun: Any = 1.0
    rows: dict = {}


def head(config, name: str, classes: int) -> Head | None:
    """A detector for each class, linear on the classifier's features: 2 K logits, first K for "not of this class", then
    K for "of this class". None if config.semi.<name>.open_set is False or missing.

    Raises:
      ValueError: no weak augmentation, so that the two weak views would be equal and teach nothing.
    """
    if not config.semi[name].get('open_set', False):
        return None
    if not network.weak(config):
        raise ValueError(
            f'semi.{name}.open_set compares two weak views of an unlabelled image, but semi.augment and '
            "transfer.augment are empty, so they would be equal: set one, for example --config.semi.augment='crop(4)|"
            "flip'."
        )
    return Head(2 * classes, (), config.transfer.pool)


def look(detectors: Head, params, labeled, views, seen) -> Found:
    """The losses of the detectors and what they say about the unlabelled images.

    The loss is the detection loss on labelled images, plus 0.1 times the detectors' entropy on unlabelled ones and 0.5
    times their disagreement about two weak views, which pass through the network with the labelled images. An outlier
    is an image that the detector of its predicted class rejects with a probability of 0.5 or more.

    In the paper, the averaged weights choose the images once an epoch, after the first 10 of 512 epochs; here the
    current weights do at every step, by the mean of the two views, after a share BEGIN of the steps.

    Args:
      detectors: `head`.
      labeled: [B, ...] the labelled images' features, which the classifier reads.
      views: [2 U, ...] the features of two weak views of the unlabelled ones, all first views before all second ones.
      seen: consistency.Seen.
    """
    logits, _ = network.part(detectors, 'open_set', params, {}, jnp.concatenate([labeled, views]), train=True)
    logp = log_probabilities(logits)
    first, second = jnp.split(logp[len(labeled) :], 2)
    losses = {
        'detection': detection(logp[: len(labeled)], seen.labels).mean(),
        'entropy': entropy(logp[len(labeled) :]).mean(),
        'disagreement': disagreement(first, second).mean(),
    }
    guess = seen.guess.argmax(1)
    like = jax.lax.stop_gradient(score(first, guess) + score(second, guess)) / 2 < LIMIT
    return Found(
        losses['detection'] + ENTROPY * losses['entropy'] + AGREEMENT * losses['disagreement'],
        like,
        jnp.where(like.any() & (seen.progress >= BEGIN), 1.0, 0.0),
        losses | {'inliers': like},
    )


def without_outliers(seen, views, like) -> tuple:
    """(Seen, views [U, H, W, C]) with each outlier replaced by an image that is not one, cycling through these, so that
    the batch keeps its size and no statistic of a method includes an outlier."""
    replace = lambda rows: fill(rows, like)
    seen = seen._replace(guess=replace(seen.guess), trained=replace(seen.trained), places=replace(seen.places))
    return seen, replace(views)


def log_probabilities(logits):
    """[N, 2, K] log-probabilities that an image is not of a class, and that it is, from logits [N, 2 K]."""
    return jax.nn.log_softmax(logits.reshape(len(logits), 2, -1), axis=1)


def detection(logp, labels):
    """[B]: -log p(is of its class) - min over the other classes of log p(is not)."""
    own = jax.nn.one_hot(labels, logp.shape[2])
    return -jnp.sum(own * logp[:, 1], 1) + jnp.max((1 - own) * -logp[:, 0], 1)


def entropy(logp):
    """[N]: the mean entropy of the detectors."""
    return -jnp.sum(jnp.exp(logp) * logp, 1).mean(1)


def disagreement(first, second):
    """[U]: squared differences of the probabilities for two views, summed over both sides and all classes."""
    return jnp.sum((jnp.exp(first) - jnp.exp(second)) ** 2, axis=(1, 2))


def score(logp, guess):
    """[N] float32 in [0, 1]: the probability that an image is not of its predicted class, [N] int32."""
    return jnp.exp(jnp.take_along_axis(logp[:, 0], guess[:, None], axis=1)[:, 0])
