"""CIFAR-10 with 5,000 labelled and 20,000 unlabelled images: MobileNet from the labels alone, and with the rest.

    ssljax train --config=mobilenet_cifar10 --workdir=runs/mobilenet

A published walk-through reports 43.66% from the labels and 55.89% with a commercial platform that tunes itself and then
trains in two phases, supervised and semi-supervised, each until validation settles. Here `plain` is the first, without
augmentation; `scratch` has the same labels with crops, flips and AdamW; `fixmatch` continues from its weights with the
unlabelled images added. Add --config.tune=True to choose batch size, learning rate and regularisation automatically.

    ssljax train --config=mobilenet_cifar10:cifar --workdir=runs/mobilenet_cifar

has no stride in the first convolution: with the stride of the walk-through, which is for ImageNet, the last maps of a
32-pixel image have one pixel. Measured (docs/results.md): 58.5 +- 1.3 from the labels and 61.0 +- 0.9 with
FixMatch (three seeds); without the stride 66.4 and 71.1, and 72.2 after 3,000 steps of FixMatch (one seed).
"""

from ssljax.config import base, one_of

STEMS = 'imagenet', 'cifar'
WEAK = 'crop(4)|flip'
STRONG = 'crop(4)|flip|rand_augment(1, 10)|cutout(12)'
PLAIN = {'name': 'sgd', 'lr': 0.05, 'weight_decay': 5e-4}
ADAMW = {'name': 'adamw', 'b1': 0.9, 'weight_decay': 0.05}


def get_config(stem='imagenet'):
    c = base()
    c.name = 'mobilenet_cifar10' + ('' if one_of(STEMS, stem, 'stem') == 'imagenet' else f'_{stem}')
    c.seeds = (0, 1, 2)
    c.data.source = 'tfds:cifar10'
    c.data.labels = '5000'
    c.data.pool = 20000
    c.data.val = '5000'
    c.backbone.update(name='mobilenet', stem=stem)
    c.pretrain.method = 'none'
    c.transfer.ways = ('plain', 'scratch', 'fixmatch')
    c.transfer.update(batch_size=64, augment=WEAK)
    c.transfer.scratch.update(steps=4000, evals=10)
    c.transfer.scratch.optim.update(lr=2e-3, **ADAMW)
    plain = (('transfer.augment', ''), ('transfer.scratch.steps', 1000))
    plain += tuple((f'transfer.scratch.optim.{k}', v) for k, v in PLAIN.items())
    c.variants = (('plain', 'scratch', plain),)
    c.semi.update(start='scratch', epochs=0.0, steps=2000, evals=10, batch_size=128, labeled_batch_size=64, ema=0.99)
    c.semi.update(augment=WEAK, strong=STRONG, idle=0.0)
    c.semi.fixmatch.threshold = 0.8
    c.semi.optim.update(lr=1e-3, **ADAMW)
    c.evaluate.update(knn=0, probe=False)
    c.published = (
        ('plain', 43.66, 'MobileNet, 5,000 labels', 'a published walk-through'),
        ('fixmatch', 55.89, 'MobileNet, 5,000 + 20,000, tuned, another method', 'a published walk-through'),
    )
    return c
