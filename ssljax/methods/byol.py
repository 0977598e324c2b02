"""BYOL: what does a slowly moving teacher make of another view of the image? Grill et al., NeurIPS 2020
(arXiv:2006.07733).

Published on CIFAR-10, ResNet-18: lightly's benchmark, 200 epochs, batch 128, k-NN (k = 200): 86.9%; solo-learn, 1,000
epochs, online linear classifier: 92.58%.
"""

from ssljax.core import Method
from ssljax.losses import byol
from ssljax.methods import joint
from ssljax.models.heads import Projector
from ssljax.settings.fields import pipeline, share, widths

OPTIONS = dict(
    # Of the teacher, rising to 1 on a cosine; the paper's is 0.996 for 1,000 epochs and 0.99 for 300.
    momentum=share(0.99),
    projector=widths((256, 64), 1),  # widths of the projector's layers; the last is the embedding
    predictor=widths((256,)),  # widths of the predictor's hidden layers; its output is as wide as the embedding
    augment2=pipeline(),  # of the second views; '': as the first. The paper blurs these less and solarizes some
)
REMEDY = "check the method's predictor and momentum; lower optim.lr, or raise the batch size"


def make(config, shape) -> Method:
    """The squared distance between each view's prediction and the teacher's projection of the other view, both of
    length 1, summed over both directions.

    Raises:
      ValueError: no augmentation, or an option out of range.
    """
    options = config.pretrain.byol
    projector = joint.widths(config, 'byol', 'projector')
    predictor = (*joint.widths(config, 'byol', 'predictor'), projector[-1])

    def compare(student, teacher, state, progress):
        (online_a, online_b), (target_a, target_b) = student['predictor'], teacher['projector']
        return {'loss': byol(online_a, target_b) + byol(online_b, target_a)}, state

    heads = (('projector', Projector(projector, config.pretrain.pool)), ('predictor', Projector(predictor)))
    tau = joint.momentum('byol', options.momentum)
    return joint.make(config, 'byol', shape, compare, *heads, tau=tau)._replace(per_image=True)
