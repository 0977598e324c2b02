"""S4L-Rotation: classify and predict rotations at once. Zhai et al., ICCV 2019 (arXiv:1905.03670). ImageNet with 10% of
the labels, ResNet-50: top-1 61.37 against 56.36 for labels alone (table 1)."""

import jax
import jax.numpy as jnp

from ssljax.data import augment
from ssljax.losses import cross_entropy
from ssljax.methods import consistency, labeled_loss, network, rotation
from ssljax.models.heads import Head
from ssljax.settings.fields import choice

TITLE = 'S4L-Rotation'
OPTIONS = consistency.OPTIONS | dict(
    views=choice('all', 'all', 'one'),  # all four rotations of an image, as in the paper, or 'one' at random
    # Which of them are classified: all, as in the authors' code, or the upright one, for images that a rotation may
    # turn into another class, as a 6 into a 9.
    classified=choice('all', 'all', 'upright'),
)
TUNED = {'weight': (0.3, 1.0, 3.0)}


def make(config, shape, classes: int):
    """Cross-entropy on the classes of the labelled images, by default in all four rotations, and on the rotations of
    all images of the step, labelled or not, from a linear head on the same layer (section 3.1).

    Raises:
      ValueError: images that are not square.
    """
    options = config.semi.s4l_rotation
    if shape[0] != shape[1]:
        raise ValueError(f'rotation needs square images; these are {shape[0]}x{shape[1]}: set data.image_size.')
    net, turns = network.classifier(config, classes), Head(4, (), config.transfer.pool)
    trunk = network.Network(net.backbone, net.layer)
    weak = network.weak_views(config)
    upright = options.classified == 'upright' or options.views == 'one'

    def loss(params, state, ema, batch, key):
        keys = jax.random.split(key, 4)
        labeled = weak(keys[0], augment.to_float(batch['image']))
        x = jnp.concatenate([labeled, weak(keys[1], augment.to_float(batch['unlabeled']))])
        if options.views == 'all':
            x, turned = rotation.all_rotations(x, 4)
        else:
            x, turned = rotation.one_rotation(keys[2], x, 4)
        if upright:
            x = jnp.concatenate([labeled, x])
        outputs, state = network.apply(trunk, params, state, augment.normalize(x), train=True, key=keys[3])
        y = outputs['backbone']
        on_labeled, on_turned = jnp.split(y, [len(labeled)]) if upright else (y[: 4 * len(labeled)], y)
        labels = batch['label'] if upright else jnp.repeat(batch['label'], 4)
        logits, own = network.part(net.heads[0][1], 'head', params, state, on_labeled, train=True, key=keys[3])
        guess, _ = network.part(turns, 'rotation', params, state, on_turned, train=True)
        state = network.put(state, 'head', own)
        supervised = labeled_loss.cross_entropy(config, logits, batch | {'label': labels}, config.semi.label_smoothing)
        total, found = consistency.joined(
            supervised, labels, logits, cross_entropy(guess, turned), consistency.weight(options, batch['progress'])
        )
        right = (guess.argmax(1) == turned).astype(jnp.float32)
        return total, (state, found | network.means({'rotation': right}))

    def init(key, batch):
        k_net, k_head = jax.random.split(key)
        variables = network.init(net, k_net, batch['image'])
        return network.add_head(net, variables, 'rotation', turns, k_head, batch['image'])

    views = (4 if options.views == 'all' else 1) + upright
    return consistency.finish(config, net, init, loss, views=views)._replace(per_image=True)
