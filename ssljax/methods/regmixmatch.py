"""RegMixMatch: FreeMatch that also trains on mixed images. Han et al., AAAI 2025 (arXiv:2412.10741)."""

import jax
import jax.numpy as jnp

from ssljax.data import resize_mix
from ssljax.losses import soft_cross_entropy
from ssljax.methods import consistency, freematch
from ssljax.settings.fields import share

TITLE = 'RegMixMatch'
OPTIONS = freematch.OPTIONS | dict(
    fairness=0.01,
    certain=share(0.999),  # minimum confidence of an image that is mixed as if it were labelled
)
TUNED = {'weight': (0.3, 1.0, 3.0), 'certain': (0.9, 0.99, 0.999)}
CERTAIN, UNCERTAIN = 1.0, 16.0  # alpha of the Beta distribution of the box's size


def make(config, shape, classes: int):
    """FreeMatch plus one more pass, over mixed images, whose losses are added to its unlabelled loss.

    Labelled images and the strong views of certain ones are pasted into each other (ResizeMix) and have the
    cross-entropy against the mixed labels, summed and divided by the number of unlabelled images (semi-supervised
    RegMixup). Into the strong views of the others, whose labels are their class probabilities, one of these is pasted:
    in half of the steps one of their predicted class, if there is one, in the other half one of any class. Their loss
    is the mean squared difference of the probabilities, times the mean cube of their confidence (class-aware Mixup).

    This follows the authors' code; the paper says that partners are of the two likeliest classes. With fewer than 100
    labels per class, their first code leaves labelled images out of the mixing of certain ones; their code for USB does
    not, and neither does this. `weight` applies to the mixed losses, too, and `debias` changes only their labels.

    Raises:
      ValueError: no strong augmentation.
    """
    options = config.semi.regmixmatch
    compare, memory = freematch.adaptive(options, classes)

    def further(key, seen, labeled, strong):
        p = jax.nn.softmax(seen.guess)
        certain = p.max(1) >= options.certain
        x, targets = mixed(key, labeled, strong, jax.nn.one_hot(seen.labels, classes), p, certain)
        return x, lambda logits: mixed_loss(logits, jax.lax.stop_gradient(targets), p.max(1), certain)

    return consistency.make(config, 'regmixmatch', classes, compare, memory=memory, further=further)


def mixed(key, labeled, strong, labels, p, certain):
    """(images [B + U, H, W, C], targets [B + U, K]): the labelled and the unlabelled ones, each with another pasted in.

    Args:
      labeled: [B, H, W, C] float32; strong: [U, H, W, C] float32.
      labels: [B, K] float32, one 1 a row; p: [U, K] float32, probabilities.
      certain: [U] bool.
    """
    keys = jax.random.split(key, 5)
    x = jnp.concatenate([labeled, strong])
    whole = jnp.concatenate([jnp.ones(len(labeled), bool), certain])  # which images may be pasted
    hard = jnp.concatenate([labels, jax.nn.one_hot(p.argmax(1), p.shape[1])])
    own = jnp.where(whole[:, None], hard, jnp.concatenate([labels, p]))
    aware = jax.random.bernoulli(keys[2])
    same = whole & (~aware | (own.argmax(1)[:, None] == hard.argmax(1)))  # [B + U, B + U]: who may be pasted into whom
    other = jnp.where(whole, shuffled(keys[3], whole), any_of(keys[4], same))
    boxes = [resize_mix.draw(k, *x.shape[1:3], alpha) for k, alpha in zip(keys, (CERTAIN, UNCERTAIN))]
    versions = [(resize_mix.paste(x, x[other], box), resize_mix.kept(*x.shape[1:3], box)) for box in boxes]
    left = jnp.where(whole, versions[0][1], jnp.where(same.any(1), versions[1][1], 1.0))
    images = jnp.where(whole[:, None, None, None], versions[0][0], versions[1][0])
    images = jnp.where((whole | same.any(1))[:, None, None, None], images, x)
    return images, left[:, None] * own + (1 - left[:, None]) * hard[other]


def mixed_loss(logits, targets, confidence, certain):
    """The sum of the two losses of `make`, a scalar. logits, targets: [B + U, K]; confidence: [U] float32; certain: [U]
    bool."""
    count = len(targets) - len(certain)
    whole = jnp.concatenate([jnp.ones(count, bool), certain])
    mixup = jnp.sum(soft_cross_entropy(logits, targets) * whole) / len(certain)
    squares = jnp.mean((jax.nn.softmax(logits[count:]) - targets[count:]) ** 2, axis=1)
    mean = lambda rows: jnp.sum(rows * ~certain) / jnp.maximum(jnp.sum(~certain), 1)
    return mixup + mean(squares) * mean(confidence**3)


def shuffled(key, among):
    """[N] int32: for the rows in `among` [N] bool, a permutation of these rows; any row for the others."""
    order = jnp.argsort(jnp.where(among, jax.random.uniform(key, among.shape), 2.0))
    return order[jnp.maximum(jnp.cumsum(among) - 1, 0)]


def any_of(key, allowed):
    """[N] int32: for each row of `allowed` [N, M] bool, a random one of the columns that are True."""
    return jnp.argmax(jnp.where(allowed, jax.random.uniform(key, allowed.shape), -1.0), axis=1)
