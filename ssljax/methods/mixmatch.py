"""MixMatch. Berthelot et al., NeurIPS 2019 (arXiv:1905.02249)."""

import jax
import jax.numpy as jnp
import optax

from ssljax.data import augment
from ssljax.data.mixup import mixup
from ssljax.methods import consistency, labeled_loss, network
from ssljax.settings.fields import real, share, temperature, whole

TITLE = 'MixMatch'
OPTIONS = consistency.OPTIONS | dict(
    weight=100.0,
    ramp=share(0.4),
    temperature=temperature(0.5),  # with which the mean guess is sharpened
    alpha=real(0.75, 1e-6, 1000.0),  # of the Beta distribution of the mixing
    guesses=whole(2, 1, 100),  # weak views of an image
)
TUNED = {'weight': (10.0, 30.0, 100.0), 'alpha': (0.3, 0.75)}


def make(config, shape, classes: int):
    """Labelled images and `guesses` weak views of each unlabelled one, with the sharpened mean of their predictions as
    labels, are all mixed with each other, each keeping at least half of itself (algorithm 1); cross-entropy on the
    labelled side, mean squared difference on the other (equations 3 and 4).

    The paper raises the weight over 16,000 steps; here it rises over a share of them. BatchNorm's running statistics
    are those of the mixed batch.
    """
    options = config.semi.mixmatch
    net = network.classifier(config, classes)
    weak = network.weak_views(config)

    def loss(params, state, ema, batch, key):
        keys = jax.random.split(key, 5)
        x = augment.normalize(weak(keys[0], augment.to_float(batch['image'])))
        again = jnp.tile(augment.to_float(batch['unlabeled']), (options.guesses, 1, 1, 1))
        u = augment.normalize(weak(keys[1], again))
        logits = network.apply(net, jax.lax.stop_gradient(params), state, u, train=True)[0]['head']
        guess = sharpened(jax.nn.softmax(logits).reshape(options.guesses, -1, classes).mean(0), options.temperature)
        known = optax.smooth_labels(jax.nn.one_hot(batch['label'], classes), config.semi.label_smoothing)
        targets = jnp.concatenate([known, jnp.tile(guess, (options.guesses, 1))])
        x, targets = mixup(keys[2], jnp.concatenate([x, u]), targets, options.alpha, own=0.5)
        outputs, state = network.apply(net, params, state, x, train=True, key=keys[3])
        n = len(batch['label'])
        supervised = labeled_loss.soft_cross_entropy(config, outputs['head'][:n], targets[:n], batch)
        rows = jnp.mean((jax.nn.softmax(outputs['head'][n:]) - targets[n:]) ** 2, axis=1)
        total, found = consistency.joined(
            supervised, batch['label'], outputs['head'][:n], rows, consistency.weight(options, batch['progress'])
        )
        return total, (state, found | {'top_class': (consistency.most_frequent(logits), jnp.ones(()))})

    return consistency.finish(
        config, net, lambda key, batch: network.init(net, key, batch['image']), loss, views=1 + 2 * options.guesses
    )


def sharpened(p, temperature: float):
    """Distributions [B, K] raised to the power 1 / temperature and normalised (equation 7)."""
    p = p ** (1 / temperature)
    return p / p.sum(1, keepdims=True)
