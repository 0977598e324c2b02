"""RotNet on CIFAR-10 (Gidaris et al. 2018): NIN with 4 blocks, all four rotations of each image, 200 epochs; then three
dense layers on block 2, and a linear probe on every block.

ssljax train --config=rotnet --workdir=DIR
"""

from ssljax.config import base


def get_config():
    c = base()
    c.name = 'rotnet'
    c.data.source = 'tfds:cifar10'
    c.data.labels = 'all'
    c.data.val = '500'  # the paper trains on all 50,000; 5,000 fewer cost about half a point
    c.backbone.name = 'nin'
    c.backbone.blocks = 4
    c.pretrain.method = 'rotation'
    c.pretrain.augment = 'crop(4)|flip'
    c.pretrain.batch_size = 128
    c.pretrain.epochs = 200.0
    c.pretrain.optim = _sgd(c.pretrain.optim, milestones=(0.3, 0.6, 0.8))
    c.transfer.ways = ('random_frozen', 'frozen')
    c.transfer.layer = 'conv2'
    c.transfer.hidden = (200, 200)
    c.transfer.pool = 'flatten'
    c.transfer.augment = 'crop(4)|flip'
    c.transfer.batch_size = 128
    c.transfer.frozen.epochs = 50.0
    c.transfer.frozen.optim = _sgd(c.transfer.frozen.optim, milestones=(0.4, 0.8, 0.9))
    paper = 'Gidaris et al. 2018'
    c.published = (
        (
            'frozen',
            89.06,
            'RotNet with 4 blocks, 200 epochs, 3 dense layers on block 2, 50,000 labels',
            paper,
        ),
    )
    return c


def _sgd(optim, milestones):
    """The paper's optimiser: the learning rate falls by a factor of 5 three times; L2 on all weights."""
    optim.update(
        name='sgd', lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4, decay='.*=1',
        schedule='multistep', milestones=milestones, gamma=0.2,
    )  # fmt: skip
    return optim
