"""MoCo v3: which key from a slowly moving encoder is of the same image as the query? Chen, Xie & He, ICCV 2021
(arXiv:2104.02057); momentum contrast: He, Fan, Wu, Xie & Girshick, CVPR 2020 (arXiv:1911.05722).

Published on CIFAR-10, ResNet-18, for MoCo with a queue: lightly's benchmark, 200 epochs, batch 128, k-NN (k = 200):
83.8%.
"""

from ssljax.core import Method
from ssljax.losses import info_nce
from ssljax.methods import joint
from ssljax.models.heads import Projector
from ssljax.settings.fields import share, temperature, widths

OPTIONS = dict(
    temperature=temperature(0.2),  # the paper's
    momentum=share(0.99),  # of the teacher, rising to 1 on a cosine; the paper's 0.99 is for 100 epochs
    projector=widths((256, 64), 1),  # widths of the projector's layers; the last is the embedding
    predictor=widths((256,)),  # widths of the predictor's hidden layers; its output is as wide as the embedding
)
REMEDY = 'raise the batch size (more negatives) or the temperature; or lower optim.lr'
LEAST = 2  # images of a batch


def make(config, shape) -> Method:
    """InfoNCE of each view's prediction against the teacher's projections of the other views, both ways, times 2 tau.

    No queue: the negatives are the other images of the batch. The projector has two layers, not three, and ends in
    BatchNorm without scale, as the paper's does; the predictor, as for its ResNet, does not. top1 is how often an
    image's own key is nearer than those of the other B - 1 images.

    Raises:
      ValueError: no augmentation, or an option out of range.
    """
    options = config.pretrain.moco
    joint.positive(config, 'moco', 'temperature')
    projector = joint.widths(config, 'moco', 'projector')
    predictor = (*joint.widths(config, 'moco', 'predictor'), projector[-1])

    def compare(student, teacher, state, progress):
        (query_a, query_b), (key_a, key_b) = student['predictor'], teacher['projector']
        loss_a, right_a = info_nce(query_a, key_b, options.temperature)
        loss_b, right_b = info_nce(query_b, key_a, options.temperature)
        return {'loss': 2 * options.temperature * (loss_a + loss_b), 'top1': (right_a + right_b) / 2}, state

    heads = (
        ('projector', Projector(projector, config.pretrain.pool, last_norm=True)),
        ('predictor', Projector(predictor)),
    )
    return joint.make(config, 'moco', shape, compare, *heads, tau=joint.momentum('moco', options.momentum))
