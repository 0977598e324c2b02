"""Semi-supervised GANs on CIFAR-10 with 4,000 labels: the nine-layer network of Salimans et al. 2016, with feature
matching and with the complement generator of Dai et al. 2017, beside the same network trained on the labels alone.

    ssljax train --config=sgan_cifar10 --workdir=runs/sgan_cifar10

For a GPU; not yet measured here. Published test error: feature matching 18.63 +- 2.32%, complement generator
14.41 +- 0.30% (the classifier with weight normalisation, the generator with its last layer so).
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
    c.transfer.ways = ('scratch', 'sgan', 'badgan')
    c.transfer.batch_size = 100
    c.transfer.augment = 'crop(2)|flip'
    c.transfer.scratch.update(steps=20000)
    c.transfer.scratch.optim.update(name='adamw', lr=3e-4, b1=0.5, weight_decay=0.0)
    c.semi.update(epochs=200.0, batch_size=100, labeled_batch_size=100)
    c.semi.optim.update(lr=3e-4)
    for method in ('sgan', 'badgan'):
        c.semi[method].update(noise=100, width=128, weight_norm=True)
    c.evaluate.update(knn=0, probe=False)
    c.published = (
        ('sgan', 81.37, 'feature matching, the same classifier, 4,000 labels', 'Salimans et al. 2016, table 2'),
        ('badgan', 85.59, 'complement generator, 4,000 labels', 'Dai et al. 2017, table 1'),
    )
    return c
