"""Semi-supervised GAN on CIFAR-10 with 4,000 labels as Salimans et al. 2016 trained it: the nine-layer network with
weight normalisation, feature matching, 1,200 epochs, a learning rate that is constant for 800 of them and then falls to
0, and an averaged classifier; beside the same network trained on the labels alone.

    ssljax train --config=sgan_cifar10 --workdir=runs/sgan_cifar10

For a GPU; not yet measured here. Published test error 18.63 +- 2.32%. The authors set the lengths of the weights from a
first batch and train only the last layer's; here they stay as in He et al.'s initialisation.
"""

from ssljax.config import base


def get_config():
    c = base()
    c.name = 'sgan_cifar10'
    c.seeds = (0, 1, 2)
    c.data.source = 'tfds:cifar10'
    c.data.labels = '4000'
    c.data.val = '2000'
    c.backbone.update(name='conv9', norm='weight')
    c.pretrain.method = 'none'
    c.transfer.ways = ('scratch', 'sgan')
    c.transfer.update(batch_size=100, head_norm='weight')
    c.transfer.scratch.update(steps=20000)
    c.transfer.scratch.optim.update(name='adamw', lr=3e-4, b1=0.5, weight_decay=0.0, rules=FIXED)
    c.semi.update(epochs=1200.0, batch_size=100, labeled_batch_size=100)
    c.semi.optim.update(lr=3e-4, schedule='flat_linear', milestones=(2 / 3,), rules=FIXED)
    c.semi.sgan.update(noise=100, width=128, weight_norm=True, average=0.9999)
    c.evaluate.update(knn=0, probe=False)
    c.published = (
        ('sgan', 81.37, 'feature matching, the same classifier, 4,000 labels', 'Salimans et al. 2016, table 2'),
    )
    return c


FIXED = 'backbone/.*scale=0; .*=1'  # lengths of normalised weights that are not trained
