"""What the joint semi-supervised methods share: a supervised loss on labelled images and, on unlabelled ones, a loss
that pulls the prediction for one view of an image towards that for another."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ssljax.core import Method
from ssljax.data import augment
from ssljax.losses import cross_entropy
from ssljax.methods import debias, labeled_loss, network, open_set, strong
from ssljax.settings.fields import share

OPTIONS = dict(
    weight=1.0,  # of the unlabelled loss
    ramp=share(0.0),  # share of the steps over which that weight rises linearly from 0
)
# Of the methods that train on pseudo-labels.
PSEUDO = OPTIONS | debias.OPTIONS | open_set.OPTIONS
# FixMatch's, which USB uses for all such methods.
OPTIM = dict(name='sgd', lr=0.03, weight_decay=5e-4, schedule='slow_cosine')


class Seen(NamedTuple):
    """What a step shows to a method.

    guess:    [U, K] float32 logits for the unlabelled images, from which their targets are made; no gradient.
    trained:  [U, K] float32 logits for the same images, with a gradient.
    labeled:  [B, K] float32 logits for the labelled images; `labels`: [B] int32.
    places:   [U] int32 indices of these images among the `total` unlabelled ones.
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
    further: Callable | None = None,
    per_image: bool = False,
) -> Method:
    """A method that compares two predictions for each unlabelled image.

    The guess is made on a weakly augmented view (`semi.augment`) in training mode, in a pass of its own without
    gradient or dropout; the labelled images and the views that are trained on form one batch. BatchNorm's running
    statistics are updated by both passes, but not by a teacher's. With `semi.one_batch`, the views for the guess are
    part of that batch, so that all share its statistics, as in FixMatch's code, TorchSSL and USB; a teacher's never
    are. With `semi.ema`, the averaged weights are evaluated and kept.

    Before `compare`, the options of `PSEUDO` change what it sees: images that `open_set` takes for outliers are
    replaced by others of the batch, then `debias` corrects the predictions.

    Args:
      config: the run's config; config.semi.<name> has the method's options, `OPTIONS` or `PSEUDO` among them.
      name: the method's name.
      classes: K.
      compare: (Seen, memory) -> (rows, memory). rows are {metric: [U] float32 or scalar} with 'loss', whose mean is the
      unlabelled loss, and, if some images do not count, 'coverage', their weights.
      trained: the view that is trained on: 'strong' (`semi.strong`), 'weak' (drawn anew), or 'same': the weak view that
        the guess is made on.
      teacher: the guess is made with the averaged weights.
      memory: number of unlabelled images -> pytree of arrays that `compare` keeps from step to step.
      labeled_rows: (Seen) -> [B] float32 weights of the labelled images' losses; the weighted sum is divided by B.
      further: (key, Seen, labelled images [B, H, W, C], trained views [U, H, W, C], float32 in [0, 1]) -> (images
        [M, H, W, C], which pass through the network after the others; a function of their logits [M, K], whose scalar
        is added to the unlabelled loss).
      per_image: as in Method; never with CTAugment, `debias`, `open_set` or `further`, which look at the whole batch.

    Raises:
      ValueError: no strong augmentation, a teacher without `semi.ema`, or `open_set` without weak augmentation.
    """
    cfg, options = config.semi, config.semi[name]
    if teacher and not cfg.ema:
        raise ValueError(f'{name} has the averaged weights as its teacher: set semi.ema, for example to 0.999.')
    net = network.classifier(config, classes)
    weak = network.weak_views(config)
    views = strong.views(config, name) if trained == 'strong' else strong.plain(weak)
    together = cfg.one_batch and trained != 'same' and not teacher
    strength, detectors = options.get('debias', 0.0), open_set.head(config, name, classes)

    def loss(params, state, ema, batch, key):
        keys = jax.random.split(key, 5)  # the same as fold_in(key, 0) to fold_in(key, 4)
        labeled, unlabeled = augment.to_float(batch['image']), augment.to_float(batch['unlabeled'])
        parts = [weak(keys[0], labeled), views.draw(keys[1], unlabeled, state)]
        if together:
            parts.append(weak(keys[3], unlabeled))
        if detectors:
            parts.append(weak(jax.random.fold_in(key, 5), jnp.concatenate([unlabeled, unlabeled])))
        x, ends = jnp.concatenate(parts), np.cumsum([len(part) for part in parts])[:-1]
        outputs, state = network.apply(net, params, state, augment.normalize(x), train=True, key=keys[2])
        on_labeled, on_views, *others = jnp.split(outputs['head'], ends)
        if trained == 'same':
            guess = on_views
        elif together:
            guess = others[0]
        else:
            judge = jax.lax.stop_gradient(ema if teacher else params)
            weakly, new = network.apply(net, judge, state, augment.normalize(weak(keys[3], unlabeled)), train=True)
            guess, state = weakly['head'], state if teacher else new
        seen = Seen(
            jax.lax.stop_gradient(guess), on_views, on_labeled, batch['label'],
            batch['unlabeled_index'], batch['unlabeled_count'], batch['progress'],
        )  # fmt: skip
        top_class, shown, detection = most_frequent(seen.guess), parts[1], open_set.Found()
        if detectors:
            features = jnp.split(outputs['backbone'], ends)
            detection = open_set.look(detectors, params, features[0], features[-1], seen)
            seen, shown = open_set.without_outliers(seen, shown, detection.like)
        if strength:
            seen, corrected = debias.correct(seen, state['debias'], strength)
            state = state | {'debias': jax.lax.stop_gradient(corrected)}
        rows, kept = compare(seen, state.get('memory'))
        if memory:
            state = state | {'memory': jax.lax.stop_gradient(kept)}
        if further:
            x, more = further(jax.random.fold_in(key, 6), seen, parts[0], shown)
            outputs, state = network.apply(net, params, state, augment.normalize(x), train=True, key=keys[2])
            rows['loss'] += more(outputs['head'])
        state = views.learn(keys[4], net, params, state, labeled, batch['label'])
        supervised = labeled_loss.cross_entropy(config, on_labeled, batch, cfg.label_smoothing)
        supervised *= labeled_rows(seen) if labeled_rows else 1.0
        losses = rows.pop('loss') * detection.begun
        total, found = joined(supervised, batch['label'], on_labeled, losses, weight(options, batch['progress']))
        total, rows = total + detection.loss, rows | {'top_class': top_class} | detection.rows
        return total, (state, found | {'loss': (total, jnp.ones(()))} | network.means(rows, jnp.ones(len(unlabeled))))

    def init(key, batch):
        kept = {'memory': memory(batch['unlabeled_count'])} if memory else {}
        kept |= {'debias': debias.start(classes)} if strength else {}
        variables = network.init(net, key, batch['image']) | kept | views.memory
        if detectors:
            variables = network.add_head(
                net, variables, 'open_set', detectors, jax.random.fold_in(key, 5), batch['image']
            )
        return variables

    count = (3 if trained != 'same' else 2) + 2 * bool(detectors) + 2 * bool(further)
    finished = finish(config, net, init, loss, views=count)
    return finished._replace(per_image=per_image and not (views.memory or strength or detectors or further))


def hard_labels(threshold: float) -> Callable:
    """`compare` for `make`: cross-entropy against the guessed class, on images whose guess has at least this
    probability."""

    def compare(seen, memory):
        confident = jax.nn.softmax(seen.guess).max(1) >= threshold
        return {'loss': cross_entropy(seen.trained, seen.guess.argmax(1)) * confident, 'coverage': confident}, memory

    return compare


def finish(config, net, init, loss, views: int) -> Method:
    """The Method of a classifier `net` with this loss: how it is evaluated, and averaged if `semi.ema` is set."""
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
