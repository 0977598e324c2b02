"""Semi-supervised GAN on Fashion-MNIST with 100 labels, ten a class, beside the same network trained on those labels.

    ssljax train --config=sgan_fashion_mnist --workdir=runs/sgan_fashion_mnist \\
      --config.data.manual_dir=DIR_WITH_THE_FOUR_GZ_FILES

Measured on CPU cores, from an .npz of the four files, three seeds, 3 minutes per seed on one core: 72.24 +- 0.32%
against 66.50 +- 0.92 from scratch, paired difference 5.74 +- 1.11 (docs/results.md).
"""

from ssljax.config import base


def get_config():
    c = base()
    c.name = 'sgan_fashion_mnist'
    c.seeds = (0, 1, 2)
    c.data.source = 'tfds:fashion_mnist'
    c.data.labels = '10/class'
    c.data.val = '1000'
    c.backbone.update(name='mlp', width=500, norm='weight')
    c.pretrain.method = 'none'
    c.transfer.ways = ('scratch', 'sgan')
    c.transfer.batch_size = 50
    c.transfer.augment = 'crop(2)|flip'
    c.transfer.scratch.update(steps=3000)
    c.transfer.scratch.optim.update(name='adamw', lr=1e-3, weight_decay=0.3)
    c.semi.update(epochs=0.0, steps=3000, batch_size=64, labeled_batch_size=50)
    c.semi.optim.update(lr=1e-3, weight_decay=0.3, decay='(?!generator).*kernel=1; .*=0')
    c.semi.sgan.update(width=8, input_noise=0.1, unlabeled=5.0)
    c.evaluate.update(knn=0, probe=False)
    return c
