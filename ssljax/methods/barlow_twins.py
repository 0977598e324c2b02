"""Barlow Twins: do both views agree in every dimension, and do dimensions say different things? Zbontar, Jing, Misra,
LeCun & Deny, ICML 2021 (arXiv:2103.03230).

Published on CIFAR-10, ResNet-18: lightly's benchmark, 200 epochs, batch 128, k-NN (k = 200): 84.2%; solo-learn, 1,000
epochs, online linear classifier: 92.10%.
"""

from ssljax.core import Method
from ssljax.losses import barlow_twins
from ssljax.methods import joint
from ssljax.models.heads import Projector
from ssljax.settings.fields import real, widths

OPTIONS = dict(
    projector=widths((256, 256), 1),  # widths of the projector's layers; the last is the embedding, wide in this method
    off_diagonal=0.005,  # weight of the redundancy, the paper's
    scale=real(0.1, 1e-9, 1e6),  # of the loss, which grows with the width; for SGD without LARS
)
REMEDY = 'raise the weight of the off-diagonal terms, or the batch size; or lower optim.lr'
LEAST = 2  # images of a batch


def make(config, shape) -> Method:
    """The cross-correlation between the dimensions of both views' projections is driven to the identity.

    The projector has two layers, not three. The authors' code scales the loss too, by 0.024.

    Raises:
      ValueError: no augmentation, or an option out of range.
    """
    options = config.pretrain.barlow_twins
    joint.positive(config, 'barlow_twins', 'off_diagonal', 'scale')
    projector = Projector(joint.widths(config, 'barlow_twins', 'projector'), config.pretrain.pool)

    def compare(student, teacher, state, progress):
        return {'loss': options.scale * barlow_twins(*student['projector'], options.off_diagonal)}, state

    return joint.make(config, 'barlow_twins', shape, compare, ('projector', projector))
