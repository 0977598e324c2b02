"""Complement GAN: a "bad" generator that fills what lies between the classes. Dai, Yang, Yang, Cohen & Salakhutdinov,
"Good Semi-supervised Learning That Requires a Bad GAN", NeurIPS 2017 (arXiv:1705.09783).

Published: CIFAR-10 with 4,000 labels 14.41 +- 0.30% error, SVHN with 1,000 labels 4.25 +- 0.03; feature matching alone
18.63 and 8.11.
"""

import jax
import jax.numpy as jnp

from ssljax.core import Method
from ssljax.losses import entropy, feature_matching, pull_away
from ssljax.methods import adversarial, sgan
from ssljax.settings.fields import real, share

TITLE = 'Complement GAN'
COLOR = '#332288'  # in figures
GENERATOR = 'complements'  # what its generated images do with the data
OPTIONS = adversarial.OPTIONS | dict(
    unlabeled=1.0,  # weight of the unsupervised loss
    entropy=0.1,  # weight of the conditional entropy of unlabelled images
    diversity=1.0,  # weight of the generator's entropy term, the pull-away term
    variational=real(0.0, 0.0, 1e6),  # weight of the other entropy term, the variational one
    low_density=1.0,  # weight of the generator's low-density term
    quantile=share(0.1),  # generated images should be less likely than this share of the unlabelled ones
)
LEAST = 2  # generated images, whose features are kept apart


def make(config, shape, classes: int) -> Method:
    """`sgan` with feature matching and three further terms: the classifier is confident on unlabelled images
    (conditional entropy, equation 8); the generator's entropy is kept high (section 4.1.1), by features that point
    apart (pull-away) or by a network that recovers its input from its images (`variational`, see `adversarial.make`);
    and it is kept out of regions of high density (section 4.1.2).

    The authors' code has pull-away and conditional entropy on SVHN, the variational term alone on CIFAR-10, and the
    density term on MNIST only, from a PixelCNN++ trained beforehand; here the density is the classifier's own log Z, up
    to a constant: the term is the mean excess of generated images' log Z over the `quantile` of that of unlabelled
    ones.
    """
    options = config.semi.badgan
    terms = sgan.classifier_terms(options.unlabeled)

    def judge(unlabeled, made):
        return terms(unlabeled, made) | {'entropy': options.entropy * entropy(unlabeled).mean()}

    def fool(made, made_features, seen, seen_features, progress):
        limit = jnp.quantile(sgan.real_logit(seen), options.quantile)
        return {
            'matching': feature_matching(made_features, seen_features),
            'diversity': options.diversity * pull_away(made_features),
            'low_density': options.low_density * jax.nn.relu(sgan.real_logit(made) - limit).mean(),
        }

    return adversarial.make(
        config, 'badgan', shape, classes, judge=judge, fool=fool, real=sgan.real, variational=options.variational
    )
