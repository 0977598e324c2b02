"""What pretraining adds to few labels with AlexNet: Imagenette at 64 pixels, seven budgets, five label sets; SimCLR,
then its features at conv4, frozen, under three dense layers, or two-stage, against the labels alone.

    ssljax study --config=few_labels_imagenette --workdir=runs/few_labels_imagenette

AlexNet a quarter as wide: 15 million multiplications per image of 64 pixels, 1.5 million weights. One pretraining, with
the images of the first seed, is for all label sets and takes 27 minutes of one core. Training from scratch has as many
steps as the two stages together. Measured, points over training from scratch at 5, 20, 100 and 400 labels per class:
frozen features 16.2 +- 4.2, 13.3 +- 1.7, 4.8 +- 0.9 and 4.5 +- 0.4; two-stage 16.1 +- 4.2, 13.8 +- 1.0, 6.1 +- 0.7 and
4.4 +- 0.6. With four times the steps for both, two-stage still gains 4.4 +- 1.4 at 100, and loses 0.9 +- 0.6 at 400
(docs/results.md).
"""

from ssljax.config import base

BUDGETS = (5, 10, 20, 50, 100, 200, 400)


def get_config():
    c = base()
    c.name = 'few_labels_imagenette'
    c.seeds = (1, 2, 3, 4, 5)
    c.data.update(source='folder:imagenette', image_size=64, labels='20/class', val='10%')
    c.backbone.update(name='alexnet', width=16)
    c.study.labels = tuple(f'{budget}/class' for budget in BUDGETS)
    c.pretrain.update(method='simclr', shared=True, batch_size=128, epochs=0.0, steps=4000, evals=8)
    c.pretrain.augment = 'random_resized_crop((0.2, 1.0))|flip|color_jitter(0.4, 0.4, 0.2, 0.1, p=0.8)|grayscale(0.2)'
    c.pretrain.optim.update(name='muon', lr=0.015, weight_decay=0.01, warmup=0.05)
    c.pretrain.simclr.projector = (256, 128)
    c.transfer.ways = ('scratch', 'frozen', 'two_stage')
    c.transfer.update(layer='conv4', hidden=(200, 200), pool='flatten', batch_size=50)
    c.transfer.augment = 'random_resized_crop((0.3, 1.0))|flip'
    c.transfer.scratch.update(epochs=0.0, steps=1000, evals=10)
    c.transfer.frozen.update(epochs=0.0, steps=700, evals=7)
    c.transfer.second.update(epochs=0.0, steps=300, evals=6)
    c.transfer.second.optim.lr = 0.02
    return c
