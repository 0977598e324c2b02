"""Joint semi-supervised training on Fashion-MNIST with 1,000 labels: one method, or all, compared with the same
network trained on the labels alone.

    ssljax train --config=semi_fashion_mnist:fixmatch --workdir=runs/fixmatch
    ssljax train --config=semi_fashion_mnist:all --workdir=runs/joint --config.data.labels=10/class

Measured on CPU cores, three seeds: with 100 labels from scratch 70.72 +- 1.27%, mixmatch 73.98 +- 0.90, fixmatch
73.49 +- 2.15; with 1,000 83.63 +- 0.71 and 84.03 +- 0.23 (docs/results.md).
"""

from ssljax.config import base
from ssljax.methods import JOINT


def get_config(method='fixmatch'):
    c = base()
    c.name = f'semi_fashion_mnist_{method}'
    c.seeds = (0, 1, 2)
    c.data.source = 'tfds:fashion_mnist'
    c.data.labels = '100/class'
    c.data.val = '1000'
    c.pretrain.method = 'none'
    c.transfer.ways = ('scratch', *(JOINT if method == 'all' else (method,)))
    c.transfer.pool = 'flatten'
    c.transfer.batch_size = 64
    c.transfer.augment = 'crop(2)|flip'
    c.transfer.scratch.update(steps=800, evals=10)
    c.semi.update(epochs=0.0, steps=800, evals=10, batch_size=128, labeled_batch_size=64, ema=0.99)
    c.semi.strong = 'crop(2)|flip|cutout(8)'
    c.semi.optim.update(name='sgd', lr=0.05, weight_decay=5e-4, schedule='cosine')
    c.evaluate.update(knn=0, probe=False)
    return c
