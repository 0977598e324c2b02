"""Low-label experiment with AlexNet: rotation pretraining under strong augmentation, features tapped at conv4, three
new dense layers on a falling schedule with early stopping, then 15 epochs on all weights with a small learning rate.

ssljax train --config=alexnet_rotnet --config.data.source=folder:imagenette.zip
"""

from ssljax.config import base


def get_config():
    c = base()
    c.name = 'alexnet_rotnet'
    c.data.source = 'folder:imagenette'
    c.data.image_size = 64
    c.data.labels = '20/class'
    c.data.val = '10%'
    c.backbone.name = 'alexnet'
    c.pretrain.augment = 'random_resized_crop(scale=(0.3, 1.0))|flip|color_jitter(0.4, 0.4, 0.4, 0.1)|grayscale(0.2)'
    c.pretrain.batch_size = 64
    c.pretrain.epochs = 50.0
    c.pretrain.optim.lr = 0.05
    c.transfer.layer = 'conv4'
    c.transfer.hidden = (200, 200)
    c.transfer.pool = 'flatten'
    c.transfer.augment = 'random_resized_crop(scale=(0.3, 1.0))|flip'
    c.transfer.batch_size = 50
    c.transfer.frozen.epochs = 60.0
    c.transfer.frozen.patience = 8
    c.transfer.second.epochs = 15.0
    c.transfer.second.optim.lr = 0.005
    return c
