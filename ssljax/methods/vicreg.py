"""VICReg: do both views agree, while every dimension varies and none repeats another? Bardes, Ponce & LeCun, ICLR 2022
(arXiv:2105.04906).

Published on CIFAR-10, ResNet-18: solo-learn, 1,000 epochs, online linear classifier: 92.07%.
"""

from ssljax.core import Method
from ssljax.losses import vicreg
from ssljax.methods import joint
from ssljax.models.heads import Projector
from ssljax.settings.fields import real, widths

OPTIONS = dict(
    projector=widths((256, 256), 1),  # widths of the projector's layers; the last is the embedding, wide in this method
    invariance=25.0,  # weights of the three terms, the paper's
    variance=25.0,
    covariance=1.0,
    scale=real(0.1, 1e-9, 1e6),  # of the loss; for SGD without LARS
)
REMEDY = 'raise the weight of the variance term, or the batch size; or lower optim.lr'
LEAST = 2  # images of a batch


def make(config, shape) -> Method:
    """The weighted sum of the invariance, variance and covariance terms of both views' projections, times `scale`.

    The projector has two layers, not three. Each term, unweighted, is a metric of its own.

    Raises:
      ValueError: no augmentation, or an option out of range.
    """
    options = config.pretrain.vicreg
    joint.positive(config, 'vicreg', 'invariance', 'variance', 'scale')
    projector = Projector(joint.widths(config, 'vicreg', 'projector'), config.pretrain.pool)

    def compare(student, teacher, state, progress):
        names = ('invariance', 'variance', 'covariance')
        terms = dict(zip(names, vicreg(*student['projector'])))
        return {'loss': options.scale * sum(options[k] * terms[k] for k in names), **terms}, state

    return joint.make(config, 'vicreg', shape, compare, ('projector', projector))
