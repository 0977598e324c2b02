"""FixMatch on CIFAR-10 with 250 labels, the paper's network and settings, on a twentieth of its steps by default.

    ssljax train --config=fixmatch_cifar10 --workdir=runs/fixmatch_cifar10

For an accelerator; not yet measured here. Published error: 5.07 +- 0.65% after 2^20 steps (Sohn et al. 2020, table 2),
4.97 in USB. The paper's average has a decay of 0.999.
"""

from ssljax.config import base


def get_config():
    c = base()
    c.name = 'fixmatch_cifar10'
    c.seeds = (0, 1, 2)
    c.data.source = 'tfds:cifar10'
    c.data.labels = '25/class'
    c.data.val = '1000'
    c.backbone.name = 'wrn28_2'
    c.pretrain.method = 'none'
    c.transfer.ways = ('scratch', 'fixmatch')
    c.transfer.batch_size = 64
    c.transfer.augment = 'crop(4)|flip'
    c.transfer.scratch.update(steps=10000)
    c.transfer.scratch.optim.update(lr=0.03)
    c.semi.update(epochs=0.0, steps=2**20 // 20, evals=50, batch_size=448, labeled_batch_size=64)
    c.semi.strong = 'crop(4)|flip|rand_augment(2, 10)|cutout(16)'
    c.semi.optim.update(name='sgd', lr=0.03, weight_decay=5e-4, schedule='slow_cosine')
    c.evaluate.update(knn=0, probe=False)
    c.published = (('fixmatch', 94.93, 'the same network and labels, 2^20 steps', 'Sohn et al. 2020, table 2'),)
    return c
