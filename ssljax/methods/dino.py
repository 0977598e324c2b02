"""DINO: to which of many prototypes does a slowly moving teacher assign another view of the image? Caron, Touvron,
Misra, Jégou, Mairal, Bojanowski & Joulin, ICCV 2021 (arXiv:2104.14294).

Published on CIFAR-10, ResNet-18: lightly's benchmark, 200 epochs, batch 128, k-NN (k = 200): 84.0%; solo-learn, 1,000
epochs, online linear classifier: 89.52%.
"""

import itertools

import jax.numpy as jnp

from ssljax.core import Method
from ssljax.losses import dino
from ssljax.methods import joint
from ssljax.models.heads import Projector, Prototypes
from ssljax.settings.fields import pipeline, share, temperature, whole, widths

OPTIONS = dict(
    projector=widths((256, 64), 1),  # widths of the projector's layers; the last is the embedding
    prototypes=whole(1024, 2, 2**17),  # dimensions of the output; 65536 in the paper
    student_temperature=temperature(0.1),  # the paper's
    teacher_temperature=temperature(0.04),  # the paper's at first; it rises to 0.07
    centre_momentum=share(0.9),  # of the running mean of the teacher's scores, the paper's
    momentum=share(0.99),  # of the teacher, rising to 1 on a cosine; 0.996 in the paper
    frozen=share(0.05),  # share of the steps before the prototypes move; the paper's is one epoch
    local_views=whole(0, 0, 100),  # smaller views, seen by the student only; 6 to 10 in the paper
    local_augment=pipeline('random_resized_crop((0.1, 0.4), size=16)|flip|color_jitter(0.4, 0.4, 0.2, 0.1)'),
)
REMEDY = (
    'check what keeps the prototypes in use (sharper temperatures, centring); raise the batch size, or lower optim.lr'
)


def make(config, shape) -> Method:
    """Cross-entropy of the student's distribution over prototypes against the teacher's of each other view; the
    teacher's is centred and sharpened.

    The projector has BatchNorm, and ReLU instead of GELU; it ends, as in the authors' code, in a layer with weight
    normalisation, its lengths fixed at 1, on normalised embeddings. The teacher's temperature is constant. The student
    is evaluated and transferred; in the paper, it is the teacher.

    Raises:
      ValueError: no augmentation, or an option out of range.
    """
    options = config.pretrain.dino
    joint.positive(config, 'dino', 'prototypes', 'student_temperature', 'teacher_temperature')
    if not 0 <= options.centre_momentum < 1:
        raise ValueError(f'pretrain.dino.centre_momentum is {options.centre_momentum}; it must be in [0, 1).')
    temperatures = {k: options[k] for k in ('student_temperature', 'teacher_temperature')}

    def compare(student, teacher, state, progress):
        scores, targets, centre = student['prototypes'], teacher['prototypes'], state['dino']['centre']
        pairs = [(s, t) for t, s in itertools.product(range(2), range(len(scores))) if s != t]
        losses = [dino(scores[s], targets[t], centre, **temperatures) for s, t in pairs]
        mean = jnp.mean(targets, axis=(0, 1))
        centre = options.centre_momentum * centre + (1 - options.centre_momentum) * mean
        return {'loss': sum(losses) / len(losses)}, state | {'dino': {'centre': centre}}

    heads = (
        ('projector', Projector(joint.widths(config, 'dino', 'projector'), config.pretrain.pool)),
        ('prototypes', Prototypes(options.prototypes)),
    )
    tau, held = joint.momentum('dino', options.momentum), {'prototypes': options.frozen}
    memory = {'dino': {'centre': jnp.zeros(options.prototypes, jnp.float32)}}
    method = joint.make(config, 'dino', shape, compare, *heads, tau=tau, held=held, memory=memory)
    return method._replace(per_image=True)  # the centre is a running mean
