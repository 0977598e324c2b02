"""Triplets with affine positives: is a turned, moved and zoomed copy of an image nearer than another image?

The network is siamese and the loss FaceNet's (Schroff, Kalenichenko & Philbin, CVPR 2015, arXiv:1503.03832); positives
by random affine transformation, as in exemplar networks (Dosovitskiy et al. 2014, arXiv:1406.6909), in place of labels.
"""

from ssljax import losses
from ssljax.core import Method
from ssljax.losses import unit
from ssljax.methods import joint
from ssljax.models.heads import Projector
from ssljax.settings.fields import choice, pipeline, real, widths

OPTIONS = dict(
    # Between squared distances of unit-length embeddings, which are at most 4; FaceNet's is 0.2.
    margin=real(0.5, 0.0, 4.0),
    mining=choice('semi_hard', 'random', 'semi_hard'),  # of the negative: random | semi_hard
    projector=widths((128,), 1),  # widths of the layers on the backbone; the last is the embedding
    augment2=pipeline('affine(30, 0.15, (0.7, 1.3), 15)'),  # of the positive
)
REMEDY = 'raise the batch size (more negatives), set mining=random, or lower optim.lr'
LEAST = 2  # images of a batch


def make(config, shape) -> Method:
    """The anchor is the image under `augment` (none is fine), the positive under `augment2`; negatives are positives of
    other images. top1 is how often the positive is nearer than the negative.

    Raises:
      ValueError: an option out of range.
    """
    options = config.pretrain.triplet
    joint.positive(config, 'triplet', 'margin')
    if options.mining not in ('random', 'semi_hard'):
        raise ValueError(f"pretrain.triplet.mining is {options.mining!r}; it can be 'random' or 'semi_hard'.")
    projector = Projector(joint.widths(config, 'triplet', 'projector'), config.pretrain.pool)

    def compare(student, teacher, state, progress):
        anchor, positive = unit(student['projector'])
        loss, right = losses.triplet(anchor, positive, options.margin, mining=options.mining)
        return {'loss': loss, 'top1': right}, state

    return joint.make(config, 'triplet', shape, compare, ('projector', projector))
