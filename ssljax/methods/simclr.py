"""SimCLR: which view of the batch is the other view of the same image? Chen, Kornblith, Norouzi & Hinton, ICML 2020
(arXiv:2002.05709).

Published on CIFAR-10, ResNet-18: lightly's benchmark, 200 epochs, batch 128, k-NN (k = 200): 84.7%; solo-learn, 1,000
epochs, online linear classifier: 90.74%.
"""

import jax.numpy as jnp

from ssljax.core import Method
from ssljax.losses import nt_xent
from ssljax.methods import joint
from ssljax.models.heads import Projector
from ssljax.settings.fields import temperature, widths

OPTIONS = dict(
    # 0.1 for ImageNet and 0.5 for CIFAR-10 in the paper, which has batches of 4096 and 512 or more.
    temperature=temperature(0.2),
    projector=widths((256, 64), 1),  # widths of the projector's layers; the last is the embedding
    last_norm=False,  # BatchNorm without scale and shift after the last layer, as in the authors' code
)
REMEDY = 'raise the batch size (more negatives) or the temperature; or lower optim.lr'
LEAST = 2  # images of a batch


def make(config, shape) -> Method:
    """NT-Xent between the projections of both views of each image; the negatives are all other views of the batch.

    top1 is how often the positive is nearer than all 2B - 2 negatives. With `last_norm`, the projector's last layer has
    BatchNorm.

    Raises:
      ValueError: no augmentation, or an option out of range.
    """
    options = config.pretrain.simclr
    joint.positive(config, 'simclr', 'temperature')
    projector = Projector(joint.widths(config, 'simclr', 'projector'), config.pretrain.pool, options.last_norm)

    def compare(student, teacher, state, progress):
        losses, right = nt_xent(*student['projector'], options.temperature)
        return {k: jnp.mean(v.reshape(2, -1), axis=0) for k, v in (('loss', losses), ('top1', right))}, state

    return joint.make(config, 'simclr', shape, compare, ('projector', projector))
