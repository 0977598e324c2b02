"""Complement generator of Dai et al. 2017 as the authors' code trains it, on CIFAR-10 with 4,000 labels or on SVHN with
1,000, beside the same network trained on the labels alone.

    ssljax train --config=badgan:cifar10 --workdir=runs/badgan_cifar10
    ssljax train --config=badgan:svhn --workdir=runs/badgan_svhn

For a GPU; not yet measured here. Published test error: CIFAR-10 14.41 +- 0.30%, SVHN 4.25 +- 0.03. On CIFAR-10 the
generator has feature matching and the variational term, no conditional entropy; on SVHN pull-away and conditional
entropy; neither has the density term. The generator's learning rate is half of the classifier's on CIFAR-10, and its b1
is 0. Unlike the authors', the generator has kernels of 4 pixels, and the lengths of the weights are those of He et
al.'s initialisation.
"""

from ssljax.config import base, one_of

DATA = {  # name: labels, validation, epochs, batch, learning rate, the published accuracy
    'cifar10': ('4000', '2000', 1200.0, 100, 6e-4, 85.59),
    'svhn': ('1000', '2000', 900.0, 64, 1e-3, 95.75),
}
FIXED = 'backbone/.*scale=0'  # lengths of normalised weights that are not trained
MAKERS = '(generator|encoder)/.*'


def get_config(data='cifar10'):
    labels, val, epochs, batch, rate, published = DATA[one_of(DATA, data, 'data')]
    cifar = data == 'cifar10'
    c = base()
    c.name = f'badgan_{data}'
    c.seeds = (0, 1, 2)
    c.data.source = 'tfds:cifar10' if cifar else 'tfds:svhn_cropped'
    c.data.update(labels=labels, val=val)
    c.backbone.update(name='conv9', norm='weight', dropped_channels='image' if cifar else 'all')
    if not cifar:
        c.backbone.update(width=64, image_dropout=0.15)
    c.pretrain.method = 'none'
    c.transfer.ways = ('scratch', 'badgan')
    c.transfer.update(batch_size=batch, head_norm='weight')
    c.transfer.scratch.update(steps=20000)
    c.transfer.scratch.optim.update(name='adamw', lr=rate, b1=0.5, weight_decay=0.0, rules=f'{FIXED}; .*=1')
    c.semi.update(epochs=epochs, batch_size=batch, labeled_batch_size=batch)
    slower = f'{MAKERS}=0.5; ' if cifar else ''
    c.semi.optim.update(lr=rate, b1_rules=f'{MAKERS}=0', rules=f'{FIXED}; {slower}.*=1')
    c.semi.optim.update(schedule='flat_linear', milestones=(2 / 3,))
    c.semi.badgan.update(noise=100, width=128, weight_norm=True, input_noise=0.05, low_density=0.0)
    if cifar:
        c.semi.badgan.update(entropy=0.0, diversity=0.0, variational=0.01)
    else:
        c.semi.badgan.update(entropy=0.1, diversity=0.8)
    c.evaluate.update(knn=0, probe=False)
    c.published = (('badgan', published, 'complement generator, the same network', 'Dai et al. 2017, table 1'),)
    return c
