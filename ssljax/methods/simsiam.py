"""SimSiam: what does the network itself make of another view of the image? Chen & He, CVPR 2021 (arXiv:2011.10566).

Published on CIFAR-10, ResNet-18: the paper (appendix D), 800 epochs, batch 512, linear classifier: 91.8%; lightly's
benchmark, 200 epochs, batch 128, k-NN (k = 200): 81.9%.
"""

import jax

from ssljax.core import Method
from ssljax.losses import negative_cosine
from ssljax.methods import joint
from ssljax.models.heads import Projector
from ssljax.settings.fields import widths

OPTIONS = dict(
    projector=widths((256, 256), 1),  # widths of the projector's layers; the last is the embedding
    # Widths of the predictor's hidden layers, a bottleneck; its output is as wide as the embedding.
    predictor=widths((64,)),
)
REMEDY = "check the method's predictor; lower optim.lr, or raise the batch size"


def make(config, shape) -> Method:
    """The negative cosine similarity of each view's prediction and the projection of the other view, averaged over both
    directions; no gradient flows through the projection (algorithm 1).

    The projector ends in BatchNorm without scale; it has two layers, as the paper's for CIFAR-10. The paper keeps the
    predictor's learning rate constant; here it follows the schedule.

    Raises:
      ValueError: no augmentation, or an option out of range.
    """
    projector = joint.widths(config, 'simsiam', 'projector')
    predictor = (*joint.widths(config, 'simsiam', 'predictor'), projector[-1])

    def compare(student, teacher, state, progress):
        (online_a, online_b), (target_a, target_b) = student['predictor'], jax.lax.stop_gradient(teacher['projector'])
        return {'loss': (negative_cosine(online_a, target_b) + negative_cosine(online_b, target_a)) / 2}, state

    heads = (
        ('projector', Projector(projector, config.pretrain.pool, last_norm=True)),
        ('predictor', Projector(predictor)),
    )
    return joint.make(config, 'simsiam', shape, compare, *heads)._replace(per_image=True)
