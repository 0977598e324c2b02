"""What the joint semi-supervised methods share: a supervised loss on labelled images and, on unlabelled ones, a loss
that holds the prediction for one view of an image to that for another."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ssljax.core import Method
from ssljax.data import augment
from ssljax.fields import share
from ssljax.losses import cross_entropy
from ssljax.methods import labeled_loss, network, strong

OPTIONS = dict(
    weight=1.0,  # of the unlabelled loss
    ramp=share(0.0),  # share of the steps in which that weight rises from 0, linearly
)
# FixMatch's, and USB's of all such methods.
OPTIM = dict(name='sgd', lr=0.03, weight_decay=5e-4, schedule='slow_cosine')


class Seen(NamedTuple):
    """What a step shows to a method.

    guess:    [U, K] float32 logits of the unlabelled images that say what should be predicted; no gradient.
    trained:  [U, K] float32 logits of the same images that have a gradient.
    labeled:  [B, K] float32 logits of the labelled images, and `labels`, [B] int32.
    places:   [U] int32, the images' places among the unlabelled ones; `total` of them in all.
    progress: the share of the steps that is done.
    """

    guess: jax.Array
    trained: jax.Array
    labeled: jax.Array
    labels: jax.Array
    places: jax.Array
    total: jax.Array
    progress: jax.Array


def make(
    config,
    name: str,
    classes: int,
    compare: Callable,
    *,
    trained: str = 'strong',
    teacher: bool = False,
    memory: Callable | None = None,
    labeled_rows: Callable | None = None,
    per_image: bool = False,
) -> Method:
    """A method that compares two predictions for each unlabelled image.

    The guess is made from a weakly augmented view (`semi.augment`) in training mode, in a pass of its own without a
    gradient and without dropout; labelled images and the views that are trained pass as one batch. BatchNorm's running
    statistics take up both passes. With `semi.one_batch` the views of the guess are part of that batch, so that all
    have the same statistics, as in FixMatch's code, TorchSSL and USB; a teacher's never are. With `semi.ema` the
    averaged weights are evaluated, and kept.

    Args:
      config: the run's config; config.semi.<name> has the method's options, `OPTIONS` among them.
      name: the method's name.
      classes: K.
      compare: (Seen, memory) -> (rows, memory). rows are {metric: [U] float32 or scalar} with 'loss', whose mean is the
        unlabelled loss, and where some images do not count, 'coverage', their weight.
      trained: the view that has the gradient: 'strong' (`semi.strong`), 'weak' (drawn anew), or 'same': the guess is
        taken from this view, too.
      teacher: the guess is that of the averaged weights.
      memory: number of unlabelled images -> pytree of arrays that `compare` keeps from step to step.
      labeled_rows: (Seen) -> [B] float32 weights of the labelled images' losses, whose sum is divided by B.
      per_image: as Method has it; never with CTAugment, which learns from its batch.

    Raises:
      ValueError: no strong augmentation, or a teacher without `semi.ema`.
    """
    cfg, options = config.semi, config.semi[name]
    if teacher and not cfg.ema:
        raise ValueError(f'{name} has the averaged weights as its teacher: set semi.ema, for example to 0.999.')
    net = network.classifier(config, classes)
    weak = network.weak_views(config)
    views = strong.views(config, name) if trained == 'strong' else strong.plain(weak)
    together = cfg.one_batch and trained != 'same' and not teacher

    def loss(params, state, ema, batch, key):
        keys = jax.random.split(key, 5)
        labeled, unlabeled = augment.to_float(batch['image']), augment.to_float(batch['unlabeled'])
        parts = [weak(keys[0], labeled), views.draw(keys[1], unlabeled, state)]
        if together:
            parts.append(weak(keys[3], unlabeled))
        x, first = jnp.concatenate(parts), len(labeled)
        outputs, state = network.apply(net, params, state, augment.normalize(x), train=True, key=keys[2])
        on_labeled, on_views, guess = jnp.split(outputs['head'], [first, first + len(unlabeled)])
        if trained == 'same':
            guess = on_views
        elif not together:
            judge = jax.lax.stop_gradient(ema if teacher else params)
            outputs, new = network.apply(net, judge, state, augment.normalize(weak(keys[3], unlabeled)), train=True)
            guess, state = outputs['head'], state if teacher else new
        seen = Seen(
            jax.lax.stop_gradient(guess), on_views, on_labeled, batch['label'],
            batch['unlabeled_index'], batch['unlabeled_count'], batch['progress'],
        )  # fmt: skip
        rows, kept = compare(seen, state.get('memory'))
        if memory:
            state = state | {'memory': jax.lax.stop_gradient(kept)}
        state = views.learn(keys[4], net, params, state, labeled, batch['label'])
        supervised = labeled_loss.cross_entropy(config, on_labeled, batch, cfg.label_smoothing)
        supervised *= labeled_rows(seen) if labeled_rows else 1.0
        total, found = joined(supervised, batch['label'], on_labeled, rows['loss'], weight(options, batch['progress']))
        rows = {k: v for k, v in rows.items() if k != 'loss'} | {'top_class': most_frequent(seen.guess)}
        return total, (state, found | network.means(rows, jnp.ones(len(unlabeled))))

    def init(key, batch):
        kept = {'memory': memory(batch['unlabeled_count'])} if memory else {}
        return network.init(net, key, batch['image']) | kept | views.memory

    finished = finish(config, net, init, loss, views=3 if trained != 'same' else 2)
    return finished._replace(per_image=per_image and not views.memory)


def hard_labels(threshold: float) -> Callable:
    """`compare` of `make`: cross-entropy against the class of the guess, of images whose guess has at least this
    probability."""

    def compare(seen, memory):
        confident = jax.nn.softmax(seen.guess).max(1) >= threshold
        return {'loss': cross_entropy(seen.trained, seen.guess.argmax(1)) * confident, 'coverage': confident}, memory

    return compare


def finish(config, net, init, loss, views: int) -> Method:
    """The Method of a classifier `net` with this loss: how it is evaluated, and averaged where `semi.ema` says so."""
    return Method(
        init=init,
        loss=loss,
        **network.functions(net),
        ema_decay=average(config.semi.ema),
        averaged=bool(config.semi.ema),
        views=views,
    )


def average(decay: float) -> Callable | None:
    """`ema_decay` of a Method whose averaged weights are evaluated: the decay rises to `decay` in the first steps, so
    that the initial weights are soon forgotten; None for 0."""
    return (lambda progress, step: jnp.minimum(decay, (1 + step) / (10 + step))) if decay else None


def joined(supervised, labels, logits, unlabeled, weight):
    """(supervised + weight * unlabelled loss, the metrics of a step). supervised: [B], unlabeled: [U] float32."""
    one = jnp.ones(())
    metrics = network.classification_metrics(logits, labels, supervised)
    found = {'supervised': supervised.mean(), 'unlabeled': unlabeled.mean()}
    total = found['supervised'] + weight * found['unlabeled']
    return total, metrics | {k: (v, one) for k, v in found.items()} | {'loss': (total, one)}


def weight(options, progress):
    """The weight of the unlabelled loss after this share of the steps."""
    return options.weight * (jnp.minimum(progress / options.ramp, 1.0) if options.ramp else 1.0)


def most_frequent(logits):
    """The share of the class that is predicted most often; a scalar in [1/K, 1]."""
    return jnp.mean(jax.nn.one_hot(logits.argmax(1), logits.shape[1]), 0).max()
