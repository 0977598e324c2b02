"""What the semi-supervised GANs share: a classifier that is the discriminator, and a generator, trained in turns."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from ssljax.core import Method
from ssljax.data import augment
from ssljax.losses import feature_matching, gaussian_nll
from ssljax.methods import consistency, labeled_loss, network
from ssljax.models import layers
from ssljax.models.decoder import Encoder, generator
from ssljax.models.heads import pool_features
from ssljax.settings.fields import WIDEST, below_one, real, whole

OPTIONS = dict(
    noise=whole(100, 1, WIDEST),  # dimensions of the generator's input, uniform in [-1, 1]
    width=whole(64, 1, WIDEST),  # features of the generator's last hidden map
    weight_norm=False,  # of the generator's last layer
    minibatch=whole(0, 0, 1000),  # kernels of minibatch features in the classifier's head; 0: none
    apart=True,  # BatchNorm sees real and generated images as separate batches
    # Standard deviation of noise on all images that the classifier sees, which lie in [-1, 1].
    input_noise=real(0.0, 0.0, 100.0),
    average=below_one(0.0),  # decay of averaged weights, which are evaluated; 0: none. Salimans et al. have 0.9999
)
# Salimans et al.'s, with DCGAN's b1 of 0.5 (Radford et al. 2016, section 3).
OPTIM = dict(name='adamw', lr=3e-4, weight_decay=0.0, schedule='cosine')
SAMPLES = 16  # generated images that the report shows at each evaluation; 16 times as many points


def make(
    config,
    name: str,
    shape,
    classes: int,
    *,
    judge: Callable,
    fool: Callable,
    real: Callable,
    fake_class: bool = False,
    variational: float = 0.0,
) -> Method:
    """The classifier's turn, then the generator's against the updated classifier.

    The classifier is the backbone up to `transfer.layer` under a head of `transfer.hidden` layers. Its running
    statistics, which evaluation needs, are those of real images (with `apart=False`, of the mixed batch).

    Args:
      config: the run's config; config.semi.<name> has the method's options, `OPTIONS` among them.
      name: the method's name.
      shape: (H, W, C) of the images.
      classes: K.
      judge: (logits of unlabelled images [U, K'], of generated [G, K']) -> {term: scalar}, 'discriminator' among them;
        the classifier minimises their sum with 'supervised', the loss on labelled images.
      fool: (logits of generated images [G, K'], their features [G, D], logits of unlabelled [U, K'], their features
        [U, D], progress) -> {term: scalar}; the generator minimises their sum. The unlabelled get no gradient.
      real: logits [B, K'] -> D(x), the probability of being real, [B].
      fake_class: K' is K + 1, the last class that of generated images; else K' is K.
      variational: weight of a term that keeps the generator's entropy high: the negative log-likelihood of its input
        under a Gaussian that a further network, the 'encoder', which moves with the generator, predicts from the image
        (Dai et al. 2017, arXiv:1705.09783, section 4.1.1). 0: none.
    """
    cfg, options = config.transfer, config.semi[name]
    net = network.classifier(config, classes + fake_class, options.minibatch)
    make_images, noise = generator_of(config, name, shape, weight_norm=options.weight_norm)
    labeled_views, views = augment.parse(cfg.augment), network.weak_views(config)
    encoder = Encoder(2 * options.noise, options.width, **layers.common(config.backbone))
    makers = ('generator', 'encoder') if variational else ('generator',)

    def see(params, state, key, *batches):
        """([(logits [B, K'], features [B, D]) of each batch, passed as one through the classifier], its new state)."""
        k_noise, k_drop = jax.random.split(key)
        x = jnp.concatenate(batches)
        if options.input_noise:
            x += options.input_noise * jax.random.normal(k_noise, x.shape)
        outputs, state = network.apply(net, params, state, x, train=True, key=k_drop)
        ends = [sum(len(b) for b in batches[: i + 1]) for i in range(len(batches) - 1)]
        parts = (jnp.split(y, ends) for y in (outputs['head'], pool_features(outputs['backbone'], cfg.pool)))
        return list(zip(*parts)), state

    def see_all(params, state, key, seen, made):
        """As `see` for some batches of real images and, last, the generated ones."""
        if not options.apart:
            return see(params, state, key, *seen, made)
        k_real, k_made = jax.random.split(key)
        found, state_of_real = see(params, state, k_real, *seen)
        return found + see(params, state, k_made, made)[0], state_of_real

    def classifier_turn(params, state, ema, batch, key):
        k_labeled, k_views, k_noise, k_see = jax.random.split(key, 4)
        labeled = augment.normalize(labeled_views(k_labeled, augment.to_float(batch['image'])))
        x = augment.normalize(views(k_views, augment.to_float(batch['unlabeled'])))
        made = network.part(make_images, 'generator', params, state, noise(k_noise, len(x)), train=True)[0]
        ((on_labeled, _), (on_real, _), (on_made, _)), state = see_all(params, state, k_see, (labeled, x), made)
        supervised = labeled_loss.cross_entropy(config, on_labeled, batch).mean()
        terms = {'supervised': supervised} | judge(on_real, on_made)
        loss, one = sum(terms.values()), jnp.ones(())
        metrics = network.classification_metrics(on_labeled[:, :classes], batch['label'], jnp.zeros(len(labeled)))
        metrics |= network.means({'d_real': real(on_real)}) | network.means({'d_fake': real(on_made)})
        return loss, (state, metrics | {k: (v, one) for k, v in terms.items()} | {'loss': (loss, one)})

    def generator_turn(params, state, ema, batch, key):
        k_views, k_noise, k_see = jax.random.split(key, 3)
        x = augment.normalize(views(k_views, augment.to_float(batch['unlabeled'])))
        z = noise(k_noise, len(x))
        made, own = network.part(make_images, 'generator', params, state, z, train=True)
        ((on_real, real_features), (on_made, made_features)), _ = see_all(params, state, k_see, (x,), made)
        hold = jax.lax.stop_gradient
        terms = fool(on_made, made_features, hold(on_real), hold(real_features), batch['progress'])
        new = network.put(state, 'generator', own)
        if variational:
            found, seen = network.part(encoder, 'encoder', params, state, made, train=True)
            terms |= {'variational': variational * gaussian_nll(z, *jnp.split(found, 2, axis=1)).mean()}
            new = network.put(new, 'encoder', seen)
        loss = sum(terms.values())
        metrics = {k: (v, jnp.ones(())) for k, v in (terms | {'generator': loss}).items()}
        return loss, (new, metrics)

    def logits(params, state, images):
        return network.apply(net, params, state, network.to_input(images), train=False)[0]['head']

    def measure(params, state, batch):
        out = logits(params, state, batch['image'])
        rows = network.means({'d_heldout': real(out)}, batch['mask'])
        return rows | network.classification_metrics(out[:, :classes], batch['label'], mask=batch['mask'])

    def init(key, batch):
        k_net, k_made = jax.random.split(key)
        found = network.init(net, k_net, batch['image'])
        found = network.add_part(found, 'generator', make_images, k_made, noise(key, 1))
        if not variational:
            return found
        return network.add_part(found, 'encoder', encoder, jax.random.fold_in(key, 2), jnp.zeros((1, *shape)))

    return Method(
        init=init,
        loss=classifier_turn,
        measure=measure,
        predict=lambda params, state, images: logits(params, state, images)[:, :classes],
        features=network.features(net),
        sample=sampler(make_images, noise, shape),
        turns=((('backbone', 'head'), classifier_turn), (makers, generator_turn)),
        ema_decay=consistency.average(options.average),
        averaged=bool(options.average),
    )


def generator_of(config, name: str, shape, **fields):
    """(the generator of config.semi.<name>; (key, count) -> its input [count, noise])."""
    options = config.semi[name]
    module = generator(tuple(shape), options.width, **fields, **layers.common(config.backbone))
    return module, lambda key, count: jax.random.uniform(key, (count, options.noise), minval=-1.0)


def sampler(make_images, noise, shape):
    """`sample` of a Method."""

    def sample(params, state):
        z = noise(jax.random.key(0), SAMPLES if min(shape[:2]) > 1 else 16 * SAMPLES)
        return (network.part(make_images, 'generator', params, state, z, train=False)[0] + 1) / 2

    return sample


def generator_loss(kind: str, real_logit: Callable) -> Callable:
    """`fool` of `make` for an option 'logit' (to pass as real: -log D, the non-saturating loss of Goodfellow et al.
    2014) or 'feature_matching' (Salimans et al. 2016, section 3.1).

    real_logit: logits [B, K'] -> the logit of D(x), [B]."""
    if kind == 'logit':
        return lambda made, f_made, seen, f_seen, progress: {'fooling': jax.nn.softplus(-real_logit(made)).mean()}
    return lambda made, f_made, seen, f_seen, progress: {'matching': feature_matching(f_made, f_seen)}
