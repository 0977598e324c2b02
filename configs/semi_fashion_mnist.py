"""Joint semi-supervised training on Fashion-MNIST, one method at a time, beside the same network trained on the labels.

python -m ssljax.main --config=configs/semi_fashion_mnist.py:fixmatch --workdir=runs/fixmatch
"""

from ssljax.config import base


def get_config(method='fixmatch'):
    c = base()
    c.name = f'semi_fashion_mnist_{method}'
    c.seeds = (0, 1, 2)
    c.data.source = 'tfds:fashion_mnist'
    c.data.labels = '100/class'
    c.data.val = '1000'
    c.backbone.update(name='cnn', width=32, depth=3)
    c.pretrain.method = 'none'
    c.transfer.ways = ('scratch', method)
    c.transfer.batch_size = 64
    c.transfer.augment = 'crop(2)|flip'
    c.transfer.scratch.update(steps=2000)
    c.semi.update(epochs=0.0, steps=2000, batch_size=128, labeled_batch_size=64, ema=0.99)
    c.semi.strong = 'crop(2)|flip|affine(20, 0.1, (0.9, 1.1), 10)|color_jitter(0.4, 0.4)|cutout(14)'
    c.semi.optim.update(name='sgd', lr=0.05, momentum=0.9, weight_decay=5e-4)
    c.evaluate.update(knn=0, probe=False)
    return c
