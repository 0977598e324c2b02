"""LeJEPA: do all views of an image agree, while the embeddings of all images form an isotropic Gaussian?
Balestriero & LeCun 2025 (arXiv:2511.08544).

No teacher, no stop-gradient, and one weight. Published on Imagenette at 128 pixels, ViT-S/8, 800 epochs, online linear
classifier: 90.7% (the authors' MINIMAL.md).
"""

import jax
import jax.numpy as jnp

from ssljax.core import Method
from ssljax.losses import sigreg
from ssljax.methods import joint
from ssljax.models.heads import Projector
from ssljax.settings.fields import share, whole, widths

OPTIONS = dict(
    # Widths of the projector's layers; the last is the embedding, 16 to 128 in the paper.
    projector=widths((256, 64), 1),
    weight=share(0.05),  # of the Gaussian term; agreement gets the rest. 0.02 to 0.05 in the paper
    views=whole(4, 2, 100),  # views per image
    directions=whole(256, 1, 2**16),  # on which the embeddings are projected, drawn anew for each step
)
REMEDY = 'raise the weight of the Gaussian term, or the batch size; or lower optim.lr'
LEAST = 2  # images of a batch


def make(config, shape) -> Method:
    """(1 - weight) times the mean squared difference of the views' projections from their mean, plus weight times
    SIGReg, the Epps-Pulley statistic on random directions, one view at a time (sections 4 and 5).

    Raises:
      ValueError: no augmentation, or an option out of range.
    """
    options = config.pretrain.lejepa
    projector = Projector(joint.widths(config, 'lejepa', 'projector'), config.pretrain.pool)

    def compare(student, teacher, state, progress):
        z = student['projector']
        agreement = jnp.square(z - z.mean(0)).mean((0, 2))
        # As in the authors' code, the directions depend on the step alone.
        step = jax.lax.bitcast_convert_type(jnp.asarray(progress, jnp.float32), jnp.int32)
        key = jax.random.fold_in(jax.random.key(0), step)
        gaussian = jnp.mean(jax.vmap(lambda view: sigreg(key, view, options.directions))(z))
        loss = (1 - options.weight) * agreement + options.weight * gaussian
        return {'loss': loss, 'agreement': agreement, 'gaussian': gaussian}, state

    return joint.make(config, 'lejepa', shape, compare, ('projector', projector))
