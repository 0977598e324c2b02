"""Joint-embedding methods on CIFAR-10 for 200 epochs with the network, heads and optimiser of lightly's benchmark,
judged by the votes of the 200 nearest of all labelled images.

    ssljax train --config=embedding_cifar10:byol --workdir=runs/byol

For an accelerator; not yet measured here. Published accuracy of the neighbours with the same epochs and batch
(docs.lightly.ai): SimCLR 84.7, BYOL 86.9, DINO 84.0, MoCo 83.8, Barlow Twins 84.2, SimSiam 81.9, SwAV 81.2. There SwAV
has Adam, MoCo a queue of 4,096 keys, and the teachers' momentum is constant; VICReg has no published number there.
"""

from ssljax.config import base, one_of

CROP = 'random_resized_crop((0.08, 1.0))|flip|color_jitter(0.4, 0.4, 0.4, 0.1, p=0.8)|grayscale(0.2)'
METHODS = {  # name: (the published accuracy, the method's fields)
    'simclr': (84.7, {'projector': (512, 128), 'temperature': 0.5}),
    'byol': (86.9, {'projector': (1024, 256), 'predictor': (1024,), 'momentum': 0.99}),
    'dino': (84.0, {'projector': (2048, 256), 'prototypes': 2048, 'momentum': 0.99}),
    'moco': (83.8, {'projector': (512, 128), 'predictor': (512,), 'temperature': 0.1}),
    'barlow_twins': (84.2, {'projector': (2048, 2048)}),
    'simsiam': (81.9, {'projector': (2048, 2048), 'predictor': (512,)}),
    'swav': (81.2, {'projector': (512, 128), 'prototypes': 512}),
    'vicreg': (None, {'projector': (2048, 2048)}),
}


def get_config(method='simclr'):
    published, options = METHODS[one_of(METHODS, method, 'method')]
    c = base()
    c.name = f'embedding_cifar10_{method}'
    c.data.source = 'tfds:cifar10'
    c.data.update(labels='all', val='500')
    c.backbone.update(name='resnet18', stem='cifar')
    c.pretrain.update(method=method, augment=CROP, batch_size=128, epochs=200.0)
    c.pretrain.optim.update(lr=0.06, nesterov=False, weight_decay=5e-4)
    if method == 'swav':
        c.pretrain.optim.update(name='adamw', lr=1e-3, weight_decay=1e-6)
    c.pretrain[method].update(options)
    c.transfer.ways = ()
    c.evaluate.update(knn=200, probe_pool='avg')
    if published:
        setting = "200 nearest neighbours, 200 epochs, batch 128, lightly's benchmark"
        c.published = (('knn', published, setting, 'docs.lightly.ai'),)
    return c
