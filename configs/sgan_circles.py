"""Two rings in the plane with four labels each: the supervised network beside semi-supervised GANs.

    ssljax train --config=sgan_circles --workdir=runs/sgan_circles

`sgan` with a complement generator puts its points between the rings, and the boundary runs there. `good_gan` has a
generator that puts them on the rings; labelled by the nearest of the eight labels, they only repeat its mistakes.

Measured on two CPU cores in under two minutes, five seeds: 99.92 +- 0.13% of test points, from scratch 53.97 +- 2.78,
good_gan 75.51 +- 5.25.
"""

from ssljax.config import base


def get_config():
    c = base()
    c.name = 'sgan_circles'
    c.seeds = (0, 1, 2, 3, 4)
    c.data.source = 'circles'
    c.data.labels = '4/class'
    c.data.val = '200'
    c.backbone.update(name='mlp', norm='none')
    c.pretrain.method = 'none'
    c.transfer.ways = ('scratch', 'sgan', 'good_gan')
    c.steps_per_call = 25  # quick where a step has no convolution
    c.transfer.batch_size = 8
    c.transfer.pool = 'flatten'
    c.transfer.scratch.update(steps=1000, evals=10)
    c.transfer.scratch.optim.update(name='adamw', lr=1e-3, weight_decay=0.0)
    c.semi.update(epochs=0.0, steps=3000, evals=20, batch_size=128)
    c.semi.optim.update(lr=3e-3, weight_decay=0.3, decay='(?!generator).*kernel=1; .*=0')
    for method in ('sgan', 'good_gan'):
        c.semi[method].update(noise=8, width=32)
    c.semi.sgan.update(unlabeled=10.0, input_noise=0.1)
    c.evaluate.update(knn=0, probe=False)
    return c
