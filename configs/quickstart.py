"""The main job on scikit-learn's digits (8x8, no download): 50 labels with and without pretraining.

ssljax train --config=quickstart
"""

from ssljax.config import base


def get_config():
    c = base()
    c.name = 'quickstart'
    c.seeds = (0, 1, 2)
    c.data.source = 'digits'
    c.data.labels = '50'
    c.data.val = '200'
    c.backbone.name = 'cnn'
    c.pretrain.epochs = 60.0
    c.pretrain.batch_size = 64
    c.pretrain.augment = 'crop(1)'
    c.pretrain.pool = 'flatten'
    c.transfer.augment = 'crop(1)'
    c.transfer.batch_size = 50
    c.transfer.pool = 'flatten'
    c.transfer.frozen.epochs = 100.0
    c.transfer.second.epochs = 100.0
    c.transfer.second.optim.lr = 0.02
    c.transfer.finetune.optim.lr = 0.02
    return c
