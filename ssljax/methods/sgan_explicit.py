"""Semi-supervised GAN with an explicit class of fakes: K + 1 logits. Odena 2016 (arXiv:1606.01583); Salimans et al.
2016 (arXiv:1606.03498), section 5, before the fake logit is fixed.

For comparison with `sgan`, which it is reported not to reach with few labels.
"""

import jax
import jax.numpy as jnp

from ssljax.core import Method
from ssljax.methods import adversarial
from ssljax.settings.fields import choice

TITLE = 'SGAN with an explicit class of fakes'
COLOR = '#E69F00'  # in figures
GENERATOR = 'imitates'  # what its generated images do with the data
OPTIONS = adversarial.OPTIONS | dict(
    generator=choice('logit', 'logit', 'feature_matching'),  # logit | feature_matching: what the generator minimises
    unlabeled=1.0,  # weight of the unsupervised loss
)


def make(config, shape, classes: int) -> Method:
    """Cross-entropy on labelled images over all K + 1 classes, plus half of -log(1 - p(fake)) on unlabelled and half of
    -log p(fake) on generated images; predictions are the first K logits.
    """
    options = config.semi.sgan_explicit

    def judge(unlabeled, made):
        unsupervised = jax.nn.softplus(-real_logit(unlabeled)).mean() + jax.nn.softplus(real_logit(made)).mean()
        return {'discriminator': options.unlabeled * unsupervised / 2}

    fool = adversarial.generator_loss(options.generator, real_logit)
    return adversarial.make(
        config, 'sgan_explicit', shape, classes, judge=judge, fool=fool,
        real=lambda logits: jax.nn.sigmoid(real_logit(logits)), fake_class=True,
    )  # fmt: skip


def real_logit(logits):
    """log(p(real) / p(fake)) of logits [B, K + 1], [B]."""
    return jax.nn.logsumexp(logits[:, :-1], axis=1) - jnp.asarray(logits[:, -1])
