"""Semi-supervised GAN: K logits are classifier and discriminator at once. Salimans, Goodfellow, Zaremba, Cheung,
Radford & Chen, NeurIPS 2016 (arXiv:1606.03498), section 5.

Published with feature matching: CIFAR-10 with 4,000 labels 18.63 +- 2.32% error, SVHN with 1,000 labels 8.11 +- 1.3,
MNIST with 100 labels 0.93 +- 0.065.
"""

import jax

from ssljax.core import Method
from ssljax.losses import fake_loss, real_loss
from ssljax.methods import adversarial
from ssljax.settings.fields import choice

TITLE = 'Semi-supervised GAN'
COLOR = '#CC79A7'  # in figures
GENERATOR = 'complements'  # what its generated images do with the data
OPTIONS = adversarial.OPTIONS | dict(
    # Logit | feature_matching: what the generator minimises.
    generator=choice('feature_matching', 'logit', 'feature_matching'),
    unlabeled=1.0,  # weight of the unsupervised loss
)
TUNED = dict(unlabeled=(0.3, 1.0, 3.0, 10.0))


def make(config, shape, classes: int) -> Method:
    """Cross-entropy on labelled images, plus half of -log D on unlabelled and half of -log(1 - D) on generated ones,
    where D = Z / (Z + 1) and Z sums the exponentials of the K logits: the logit of class K + 1, that of generated
    images, is fixed at 0.
    """
    options = config.semi.sgan
    judge = classifier_terms(options.unlabeled)
    fool = adversarial.generator_loss(options.generator, real_logit)
    return adversarial.make(config, 'sgan', shape, classes, judge=judge, fool=fool, real=real)


def classifier_terms(weight: float):
    """`judge` of adversarial.make: the unsupervised loss times `weight`."""
    return lambda unlabeled, made: {
        'discriminator': weight * (real_loss(unlabeled).mean() + fake_loss(made).mean()) / 2,
    }


def real_logit(logits):
    """log Z of logits [B, K]: the logit of D(x), [B]."""
    return jax.nn.logsumexp(logits, axis=1)


def real(logits):
    """D(x) = sigmoid(log Z) of logits [B, K], in [0, 1], [B]."""
    return jax.nn.sigmoid(real_logit(logits))
