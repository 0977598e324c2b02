"""Accuracy against the number of labels: Fashion-MNIST, seven budgets, five label sets, six ways of training.

    ssljax study --config=label_efficiency --workdir=runs/label_efficiency \
      --config.data.manual_dir=DIR_WITH_THE_FOUR_GZ_FILES

From scratch; with the features of a rotation-pretrained and of a SimCLR-pretrained network, frozen and fine-tuned; and
with FixMatch: 210 cells and ten pretrainings of a network of two convolutions with 16 features. Every way takes 1,000
steps of 50 labelled images (FixMatch plus 100 unlabelled ones); learning rates as in fashion_mnist and
pretext_fashion_mnist. 70 minutes on two busy CPU cores (docs/results.md has the table). A stopped study
resumes with the same command.
"""

from ssljax.config import base

CROP = 'random_resized_crop((0.3, 1.0))|flip|color_jitter(0.4, 0.4)'


def get_config():
    c = base()
    c.name = 'label_efficiency'
    c.seeds = (0, 1, 2, 3, 4)
    c.data.source = 'tfds:fashion_mnist'
    c.data.val = '1000'
    c.study.labels = ('1/class', '3/class', '10/class', '30/class', '100/class', '300/class', '600/class')
    c.study.pretrained = (
        ('rotation', (('pretrain.method', 'rotation'), ('pretrain.batch_size', 64))),
        (
            'simclr',
            (('pretrain.method', 'simclr'), ('pretrain.augment', CROP), ('pretrain.optim.lr', 0.2)),
        ),
    )
    c.pretrain.update(epochs=0.0, steps=1500, evals=3, pool='flatten')
    c.transfer.ways = ('scratch', 'frozen', 'finetune', 'fixmatch')
    c.transfer.update(batch_size=50, pool='flatten', augment='crop(2)|flip')
    for way in ('scratch', 'frozen', 'finetune'):
        c.transfer[way].update(epochs=0.0, steps=1000, evals=10)
    c.transfer.scratch.optim.update(lr=0.05, weight_decay=3e-3)
    c.transfer.finetune.optim.update(lr=0.03, weight_decay=3e-3)
    c.transfer.frozen.optim.lr = 0.01
    c.semi.update(epochs=0.0, steps=1000, evals=10, batch_size=100, labeled_batch_size=50, ema=0.99, idle=0.0)
    c.semi.strong = 'crop(2)|flip|cutout(8)'
    c.semi.optim.update(name='sgd', lr=0.05, weight_decay=5e-4, schedule='cosine')
    return c
