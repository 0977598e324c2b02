"""What unlabelled images add to few labels: Fashion-MNIST, four budgets, ten label sets; rotation, then frozen features
and fine-tuning, and FlexMatch, against the labels alone.

    ssljax study --config=few_labels --workdir=runs/few_labels --config.data.manual_dir=DIR_WITH_THE_FOUR_GZ_FILES

A network of three convolutions of 32 features: from scratch, frozen and fine-tuned 1,000 steps of 64 labelled images,
FlexMatch 4,000 of 32 labelled and 128 unlabelled ones; 2,500 steps of rotation before. Settings were chosen on
validation images of seed 0, not a label set of the study. Measured without its pretraining, on five label sets:
FlexMatch gains 7.09 +- 2.42 points at ten labels per class, 3.70 +- 1.25 at 30 and 1.23 +- 0.48 at 100
(docs/results.md).
"""

from ssljax.config import base


def get_config():
    c = base()
    c.name = 'few_labels'
    c.seeds = tuple(range(1, 11))
    c.data.source = 'tfds:fashion_mnist'
    c.data.val = '1000'
    c.backbone.update(name='cnn', width=32, depth=3)
    c.study.labels = ('3/class', '10/class', '30/class', '100/class')
    c.study.pretrained = (('rotation', (('pretrain.method', 'rotation'),)),)
    c.pretrain.update(epochs=0.0, steps=2500, evals=5, batch_size=64, augment='crop(2)', pool='flatten')
    c.pretrain.optim.update(lr=0.05, weight_decay=5e-4)
    c.transfer.ways = ('scratch', 'frozen', 'finetune', 'flexmatch')
    c.transfer.update(batch_size=64, pool='flatten', augment='crop(2)|flip')
    for way in ('scratch', 'frozen', 'finetune'):
        c.transfer[way].update(epochs=0.0, steps=1000, evals=10)
    c.transfer.scratch.optim.update(lr=0.05, weight_decay=3e-3)
    c.transfer.finetune.optim.update(lr=0.02, weight_decay=3e-3)
    c.transfer.frozen.optim.lr = 0.01
    c.semi.update(epochs=0.0, steps=4000, evals=10, batch_size=128, labeled_batch_size=32, ema=0.995, idle=0.0)
    c.semi.strong = 'crop(2)|flip|rand_augment(2, 10)|cutout(8)'
    c.semi.optim.update(name='sgd', lr=0.03, weight_decay=5e-4, schedule='slow_cosine')
    return c
