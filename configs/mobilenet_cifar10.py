"""CIFAR-10 with 5,000 labelled and 20,000 unlabelled images: MobileNet from the labels alone, and with the rest.

    python -m ssljax.main --config=configs/mobilenet_cifar10.py --workdir=runs/mobilenet

A published walk-through has 43.66% from the labels and 55.89% with a commercial platform that tunes itself and then
trains in two phases, supervised and semi-supervised, each until validation settles. Here `scratch` is the first,
without augmentation, `augmented` the same with augmentation alone, and `fixmatch` the second phase, which begins with
the weights of `scratch`. Add --config.tune=True to let it choose batch size, learning rate and regularisation itself.
"""

from ssljax.config import base

STRONG = 'crop(4)|flip|rand_augment(2, 10)|cutout(16)'


def get_config():
    c = base()
    c.name = 'mobilenet_cifar10'
    c.seeds = (0, 1, 2)
    c.data.source = 'tfds:cifar10'
    c.data.labels = '5000'
    c.data.pool = 20000
    c.data.val = '5000'
    c.backbone.update(name='mobilenet', stem='imagenet')
    c.pretrain.method = 'none'
    c.transfer.ways = ('scratch', 'augmented', 'fixmatch')
    c.transfer.batch_size = 64
    c.transfer.scratch.update(epochs=50.0, patience=6)
    c.variants = (('augmented', 'scratch', (('transfer.augment', STRONG),)),)
    c.semi.update(epochs=30.0, batch_size=128, labeled_batch_size=64, patience=6, start='scratch')
    c.semi.update(augment='crop(4)|flip', strong=STRONG)
    c.semi.optim.update(name='sgd', lr=0.03, momentum=0.9, weight_decay=5e-4)
    c.evaluate.update(knn=0, probe=False)
    c.published = (
        ('scratch', 43.66, 'MobileNet, 5,000 labels', 'a published walk-through'),
        ('fixmatch', 55.89, 'MobileNet, 5,000 + 20,000, tuned, another method', 'a published walk-through'),
    )
    return c
