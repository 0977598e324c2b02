"""Every joint semi-supervised method on the bundled digits with 50 labels, compared with the labels alone.

    ssljax train --config=semi_digits --workdir=runs/semi_digits

Weights of the unlabelled losses, and Noisy Student's threshold, are as in the methods' own papers. Measured on two CPU
cores, five seeds, 8 minutes in total: from scratch 81.56 +- 4.14%, freematch 94.04 +- 1.69, flexmatch 93.93 +- 1.43,
mixmatch 93.37 +- 3.74, fixmatch 89.47 +- 3.26 (docs/results.md).
"""

from ssljax.config import base
from ssljax.methods import JOINT


def get_config():
    c = base()
    c.name = 'semi_digits'
    c.seeds = (0, 1, 2, 3, 4)
    c.data.labels = '50'
    c.data.val = '200'
    c.pretrain.method = 'none'
    c.transfer.ways = ('scratch', *JOINT)
    c.transfer.augment = 'crop(1)'
    c.transfer.scratch.update(steps=800, evals=8)
    c.semi.update(epochs=0.0, steps=800, evals=8, batch_size=64, labeled_batch_size=32, ema=0.95)
    c.semi.strong = 'crop(1)|cutout(3)'
    c.semi.optim.update(name='sgd', lr=0.05, weight_decay=0.0, schedule='cosine')
    c.semi.s4l_rotation.classified = 'upright'  # a 6 on its head is a 9
    c.evaluate.update(knn=0, probe=False)
    return c
