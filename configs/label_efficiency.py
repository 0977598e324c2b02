"""Accuracy against the number of labels: Fashion-MNIST, seven budgets, five label sets, five ways of training.

    python -m ssljax.study --config=configs/label_efficiency.py --workdir=runs/label_efficiency

From scratch, with the features of a rotation-pretrained backbone frozen and fine-tuned, fine-tuned from SimCLR, and
with FixMatch; 175 cells and ten pretrainings. A study that was stopped goes on with the same command.
"""

from ssljax.config import base

SIMCLR = (
    ('pretrain.method', 'simclr'),
    ('pretrain.augment', 'random_resized_crop((0.3, 1.0))|flip|color_jitter(0.4, 0.4, 0.0, 0.0)'),
)


def get_config():
    c = base()
    c.name = 'label_efficiency'
    c.seeds = (0, 1, 2, 3, 4)
    c.data.source = 'tfds:fashion_mnist'
    c.data.val = '2000'
    c.study.labels = ('1/class', '3/class', '10/class', '30/class', '100/class', '300/class', '600/class')
    c.study.pretrained = (('rotation', (('pretrain.method', 'rotation'),)), ('simclr', SIMCLR))
    return c
