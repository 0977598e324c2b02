"""What unlabelled images add to few labels: Fashion-MNIST, four budgets, ten label sets, FlexMatch against the labels
alone.

    ssljax study --config=joint_label_efficiency --workdir=runs/joint_label_efficiency \
      --config.data.manual_dir=DIR_WITH_THE_FOUR_GZ_FILES

A network of three convolutions of 32 features: 1,000 steps of 64 labelled images, or 4,000 of 32 labelled and 128
unlabelled ones. Settings were chosen on validation images of seed 0, which is no label set of the study. Measured at
ten labels a class, six of the label sets: from scratch 71.43 +- 1.50%, FlexMatch 78.24 +- 0.99 (docs/results.md).
"""

from ssljax.config import base


def get_config():
    c = base()
    c.name = 'joint_label_efficiency'
    c.seeds = tuple(range(1, 11))
    c.data.source = 'tfds:fashion_mnist'
    c.data.val = '1000'
    c.backbone.update(name='cnn', width=32, depth=3)
    c.study.labels = ('3/class', '10/class', '30/class', '100/class')
    c.pretrain.method = 'none'
    c.transfer.ways = ('scratch', 'flexmatch')
    c.transfer.update(batch_size=64, pool='flatten', augment='crop(2)|flip')
    c.transfer.scratch.update(epochs=0.0, steps=1000, evals=10)
    c.transfer.scratch.optim.update(lr=0.05, weight_decay=3e-3)
    c.semi.update(epochs=0.0, steps=4000, evals=10, batch_size=128, labeled_batch_size=32, ema=0.995, idle=0.0)
    c.semi.strong = 'crop(2)|flip|rand_augment(2, 10)|cutout(8)'
    c.semi.optim.update(name='sgd', lr=0.03, weight_decay=5e-4, schedule='slow_cosine')
    return c
