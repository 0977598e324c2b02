"""EMP-SSL: do many small crops of an image agree, while the images of a batch spread as widely as they can? Tong, Chen,
Ma & LeCun 2023 (arXiv:2304.03977).

Published on CIFAR-10, ResNet-18, linear classifier on the mean features of an image's crops: 85.1% after one epoch,
91.5% in less than ten. Here the features are those of the whole image.
"""

import jax
import jax.numpy as jnp

from ssljax.core import Method
from ssljax.losses import coding_rate, unit
from ssljax.methods import joint
from ssljax.models.heads import Projector
from ssljax.settings.fields import real, whole, widths

OPTIONS = dict(
    projector=widths((256, 256, 128), 1),  # widths of its layers; (4096, 4096, 1024) in the paper
    views=whole(8, 2, 200),  # crops of an image; 20 and more in the paper
    similarity=200.0,  # weight of the similarity, the authors' code's
    epsilon=real(0.2, 1e-6, 1e3),  # squared precision of the coding rate
    scale=real(0.01, 1e-9, 1e6),  # of the loss; for an optimiser without LARS
)
REMEDY = 'lower the weight of the similarity term, raise the batch size, or lower optim.lr'
LEAST = 2  # images of a batch


def make(config, shape) -> Method:
    """The negative cosine similarity between each crop's projection and the mean over the image's crops, weighted,
    minus the total coding rate of each crop's batch (equations 1 to 3, as in the authors' code), all times `scale`.

    The paper's crops are a quarter of the image: pretrain.augment='random_resized_crop((0.25, 0.25), (1, 1))|flip|...'.

    Raises:
      ValueError: no augmentation, or an option out of range.
    """
    options = config.pretrain.emp_ssl
    projector = Projector(joint.widths(config, 'emp_ssl', 'projector'), config.pretrain.pool)

    def compare(student, teacher, state, progress):
        z = unit(student['projector'])
        similarity = jnp.mean(jnp.sum(z * unit(z.mean(0)), axis=2), axis=0)
        rate = jnp.mean(jax.vmap(lambda view: coding_rate(view, options.epsilon))(z))
        loss = options.scale * (-options.similarity * similarity - rate)
        return {'loss': loss, 'similarity': similarity, 'coding_rate': rate}, state

    return joint.make(config, 'emp_ssl', shape, compare, ('projector', projector))
