"""Noisy Student: a teacher labels, a noised student learns, and becomes the teacher. Xie et al., CVPR 2020
(arXiv:1911.04252)."""

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from ssljax import guard, models
from ssljax.core import Method
from ssljax.data import augment
from ssljax.losses import cross_entropy
from ssljax.methods import consistency, labeled_loss, network, strong
from ssljax.settings.fields import WIDEST, share, whole

TITLE = 'Noisy Student'
OPTIONS = consistency.OPTIONS | dict(
    generations=whole(2, 1, 100),  # students, one after the other
    threshold=share(0.3),  # minimum confidence of an image that is used
    width=whole(0, 0, WIDEST),  # of the students' backbone, which the paper makes larger; 0: the teacher's
    depth=whole(0, 0, 1000),  # likewise
)
TUNED = {'threshold': (0.3, 0.5, 0.8), 'weight': (0.3, 1.0, 3.0)}


def make(config, shape, classes: int) -> Method:
    """A student trained on strongly augmented images: labelled ones and those that the teacher labelled (algorithm 1).

    The first teacher is the way 'scratch'. The labels are hard; every class gets equally many images, the most
    confident ones, repeated where there are too few (section 3, "data filtering and balancing").

    Raises:
      ValueError: no strong augmentation.
    """
    options = config.semi.noisy_student
    given, config = config, config.copy_and_resolve_references()
    size = {k: options[k] or config.backbone[k] for k in ('width', 'depth')}
    config.backbone.update(size)
    decided = tuple((f'semi.noisy_student.{k}', v, 'as in the teacher') for k, v in size.items() if v != options[k])
    for said in models.unused(config.backbone):
        if said not in models.unused(given.backbone):
            logging.warning('The students of noisy_student: %s', said)
    net, views = network.classifier(config, classes), strong.views(config, 'noisy_student')

    def loss(params, state, ema, batch, key):
        k_views, k_drop, k_learn = jax.random.split(key, 3)
        labeled = augment.to_float(batch['image'])
        x = views.draw(k_views, jnp.concatenate([labeled, augment.to_float(batch['unlabeled'])]), state)
        outputs, state = network.apply(net, params, state, augment.normalize(x), train=True, key=k_drop)
        on_labeled, on_guessed = jnp.split(outputs['head'], [len(batch['image'])])
        supervised = labeled_loss.cross_entropy(config, on_labeled, batch, config.semi.label_smoothing)
        guessed = cross_entropy(on_guessed, batch['unlabeled_label'])
        weight = consistency.weight(options, batch['progress'])
        total, found = consistency.joined(supervised, batch['label'], on_labeled, guessed, weight)
        state = views.learn(k_learn, net, params, state, labeled, batch['label'])
        return total, (state, found | {'top_class': (consistency.most_frequent(on_guessed), jnp.ones(()))})

    init = lambda key, batch: network.init(net, key, batch['image']) | views.memory
    return consistency.finish(config, net, init, loss, views=2)._replace(
        generations=options.generations,
        teach=lambda logits: chosen(logits, options.threshold),
        decided=decided,
        per_image=not views.memory,
    )


def chosen(logits, threshold: float):
    """(rows [M], their classes [M]), int, that a teacher with these logits [N, K] labels: of the images at least as
    confident as `threshold`, the most confident ones of each class that has any, as many as a class has on average,
    repeated if there are fewer.

    Raises:
      guard.Stopped: no image is confident.
    """
    p = np.asarray(jax.nn.softmax(jnp.asarray(logits)))
    confidence, guess = p.max(1), p.argmax(1)
    order = np.argsort(-confidence, kind='stable')
    order = order[confidence[order] >= threshold]
    if not len(order):
        raise guard.Stopped(
            f'the teacher is not confident about any unlabelled image: no probability reaches {threshold}; lower '
            'semi.noisy_student.threshold.'
        )
    found = [order[guess[order] == c] for c in range(p.shape[1])]
    count = max(len(order) // sum(len(rows) > 0 for rows in found), 1)
    rows = np.concatenate([np.resize(rows, count) for rows in found if len(rows)])
    return rows, guess[rows]
