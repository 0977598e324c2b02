"""The main job on scikit-learn's digits (8x8, no download): 50 labels, with and without the other 1,000 images.

ssljax train --config=quickstart

Every way trains for 400 steps of 50 labelled images; the semi-supervised one, for 400 steps of 32 labelled and 64
unlabelled ones. Two views of a digit are shifted, turned and sheared a little: turned further, a 6 would become a 9.
"""

from ssljax.config import base


def get_config():
    c = base()
    c.name = 'quickstart'
    c.seeds = (0, 1, 2, 3, 4)
    c.data.source = 'digits'
    c.data.labels = '50'
    c.data.val = '200'
    c.backbone.name = 'cnn'
    c.pretrain.update(method='simclr', augment='crop(1)|affine(15, 0.1, (0.8, 1.2), 10)')
    c.pretrain.update(epochs=40.0, batch_size=64, pool='flatten')
    c.pretrain.optim.lr = 0.1
    c.pretrain.simclr.temperature = 0.5
    c.transfer.ways = ('random_frozen', 'scratch', 'frozen', 'finetune', 'two_stage', 'freematch')
    c.transfer.update(augment='crop(1)', batch_size=50, pool='flatten')
    c.transfer.frozen.update(epochs=0.0, steps=200)
    c.transfer.second.update(epochs=0.0, steps=200)
    c.transfer.second.optim.lr = 0.02
    c.transfer.finetune.optim.lr = 0.02
    c.semi.update(epochs=0.0, steps=400, evals=8, batch_size=64, labeled_batch_size=32, ema=0.95)
    c.semi.strong = 'crop(1)|cutout(3)'
    c.semi.optim.update(lr=0.05, weight_decay=0.0, schedule='cosine')
    return c
