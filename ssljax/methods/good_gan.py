"""A good generator, for comparison: a plain GAN whose images, labelled by nearest neighbour, join the labelled ones.

Goodfellow et al. 2014 (arXiv:1406.2661) for the generator. Dai et al. 2017 (arXiv:1705.09783), proposition 1: a perfect
generator adds nothing to the unlabelled images; the complement generator of `sgan` marks what lies between classes.
"""

import jax
import jax.numpy as jnp
import optax

from ssljax.core import Method
from ssljax.data import augment
from ssljax.losses import cross_entropy, squared_distances
from ssljax.methods import adversarial, labeled_loss, network
from ssljax.models.heads import Head
from ssljax.settings.fields import WIDEST, whole

TITLE = 'Good GAN, nearest labels'
GENERATOR = 'imitates'  # what its generated images do with the data
OPTIONS = dict(
    noise=whole(100, 1, WIDEST),  # dimensions of the generator's input, uniform in [-1, 1]
    width=whole(64, 1, WIDEST),  # features of the generator's last hidden map
    generated=1.0,  # weight of the cross-entropy on generated images
)


def make(config, shape, classes: int) -> Method:
    """Three turns: a separate discriminator (another copy of the backbone with one logit), the generator against it,
    and the classifier, on labelled images and on generated ones; these get the label of the labelled image of the batch
    that is nearest in pixels.
    """
    cfg, options = config.transfer, config.semi.good_gan
    make_images, noise = adversarial.generator_of(config, 'good_gan', shape)
    net = network.classifier(config, classes)
    critic = network.Network(net.backbone, net.layer, (('judgement', Head(1, (), cfg.pool)),))
    views = augment.parse(cfg.augment)

    def judge(params, state, x):
        own = {'backbone': params['critic'], 'judgement': params['judgement']}
        of = lambda tree: {'backbone': tree.get('critic', {}), 'judgement': tree.get('judgement', {})}
        outputs, new = network.apply(critic, own, {c: of(v) for c, v in state.items()}, x, train=True)
        state = {c: v | {'critic': new[c]['backbone'], 'judgement': new[c]['judgement']} for c, v in state.items()}
        return outputs['judgement'][:, 0], state

    def critic_turn(params, state, ema, batch, key):
        k_views, k_noise = jax.random.split(key)
        x = augment.normalize(views(k_views, augment.to_float(batch['unlabeled'])))
        made, _ = network.part(make_images, 'generator', params, state, noise(k_noise, len(x)), train=True)
        on_real, new = judge(params, state, x)
        on_made, _ = judge(params, state, made)
        loss = (
            optax.sigmoid_binary_cross_entropy(on_real, 1.0) + optax.sigmoid_binary_cross_entropy(on_made, 0.0)
        ).mean()
        shares = {'d_real': jax.nn.sigmoid(on_real), 'd_fake': jax.nn.sigmoid(on_made)}
        return loss / 2, (new, {'discriminator': (loss / 2, jnp.ones(()))} | network.means(shares))

    def generator_turn(params, state, ema, batch, key):
        z = noise(key, len(batch['unlabeled']))
        made, own = network.part(make_images, 'generator', params, state, z, train=True)
        loss = optax.sigmoid_binary_cross_entropy(judge(params, state, made)[0], 1.0).mean()
        return loss, (network.put(state, 'generator', own), {'generator': (loss, jnp.ones(()))})

    def classifier_turn(params, state, ema, batch, key):
        k_views, k_noise = jax.random.split(key)
        x = augment.normalize(views(k_views, augment.to_float(batch['image'])))
        z = noise(k_noise, len(batch['unlabeled']))
        made, _ = network.part(make_images, 'generator', params, state, z, train=True)
        flat = lambda images: images.reshape(len(images), -1)
        nearest = squared_distances(flat(made), flat(x)).argmin(1)
        outputs, state = network.apply(net, params, state, jnp.concatenate([x, made]), train=True)
        logits, on_made = jnp.split(outputs['head'], [len(x)])
        losses = labeled_loss.cross_entropy(config, logits, batch)
        copied = cross_entropy(on_made, batch['label'][nearest]).mean()
        loss = losses.mean() + options.generated * copied
        metrics = network.classification_metrics(logits, batch['label'], losses)
        one = jnp.ones(())
        return loss, (state, metrics | {'supervised': (losses.mean(), one), 'loss': (loss, one)})

    def init(key, batch):
        keys = jax.random.split(key, 3)
        variables = network.init(net, keys[0], batch['image'])
        other = network.init(critic, keys[1], batch['image'])
        for c, tree in other.items():
            variables[c] |= {'critic': tree['backbone'], 'judgement': tree['judgement']}
        return network.add_part(variables, 'generator', make_images, keys[2], noise(key, 1))

    return Method(
        init=init,
        loss=classifier_turn,
        **network.functions(net),
        sample=adversarial.sampler(make_images, noise, shape),
        turns=(
            (('critic', 'judgement'), critic_turn),
            (('generator',), generator_turn),
            (('backbone', 'head'), classifier_turn),
        ),
    )
