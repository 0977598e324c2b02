"""SwAV: to which prototype would the other view be assigned, if all are to be used equally? Caron, Misra, Mairal,
Goyal, Bojanowski & Joulin, NeurIPS 2020 (arXiv:2006.09882).

Published on CIFAR-10, ResNet-18: lightly's benchmark, 200 epochs, batch 128, k-NN (k = 200): 81.2%; solo-learn, 1,000
epochs, online linear classifier: 89.17%.
"""

import itertools

import jax

from ssljax.core import Method
from ssljax.losses import sinkhorn, swav
from ssljax.methods import joint
from ssljax.models.heads import Projector, Prototypes, unit_columns
from ssljax.settings.fields import pipeline, share, temperature, whole, widths

OPTIONS = dict(
    projector=widths((256, 64), 1),  # widths of the projector's layers; the last is the embedding
    prototypes=whole(128, 2, 2**17),  # 3000 in the paper; no more than the images of a batch, as there is no queue
    temperature=temperature(0.1),  # the paper's
    epsilon=temperature(0.05),  # weight of the codes' entropy, the paper's
    iterations=whole(3, 1, 1000),  # of Sinkhorn, the paper's
    frozen=share(0.05),  # share of the steps before the prototypes move; the paper's is one epoch
    local_views=whole(0, 0, 100),  # smaller views, whose codes are not computed; 6 in the paper
    local_augment=pipeline('random_resized_crop((0.1, 0.4), size=16)|flip|color_jitter(0.4, 0.4, 0.2, 0.1)'),
)
REMEDY = (
    'check what keeps the prototypes in use (a sharper temperature, more Sinkhorn iterations); raise the batch size, '
    'or lower optim.lr'
)


def make(config, shape) -> Method:
    """Cross-entropy of each view's softmax over prototypes against the codes of each other view; codes come from
    Sinkhorn's iterations over the batch.

    No queue. The prototypes have length 1 and are normalised again after each step.

    Raises:
      ValueError: no augmentation, or an option out of range.
    """
    options = config.pretrain.swav
    joint.positive(config, 'swav', 'prototypes', 'temperature', 'epsilon', 'iterations')

    def compare(student, teacher, state, progress):
        scores = student['prototypes']
        view_codes = [
            sinkhorn(jax.lax.stop_gradient(t), epsilon=options.epsilon, iterations=options.iterations)
            for t in teacher['prototypes'][:2]
        ]
        pairs = [(s, t) for t, s in itertools.product(range(2), range(len(scores))) if s != t]
        losses = [swav(scores[s], view_codes[t], options.temperature) for s, t in pairs]
        return {'loss': sum(losses) / len(losses)}, state

    heads = (
        ('projector', Projector(joint.widths(config, 'swav', 'projector'), config.pretrain.pool)),
        ('prototypes', Prototypes(options.prototypes, on_sphere=True)),
    )
    project = lambda params: params | {'prototypes': jax.tree.map(unit_columns, params['prototypes'])}
    held = {'prototypes': options.frozen}
    return joint.make(config, 'swav', shape, compare, *heads, held=held)._replace(project=project)
