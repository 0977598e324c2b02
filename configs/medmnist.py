"""Joint semi-supervised training on MedMNIST (Yang et al. 2023) with the label budgets of two benchmarks: TissueMNIST
with 10 and 50 labels a class, as in USB (Wang et al. 2022, arXiv:2208.07204), or BloodMNIST with 5, 10, 20 and 50, as
in SPARSE (Manni et al. 2025, arXiv:2508.06429); beside the same network trained on the labels alone.

    ssljax train --config=medmnist:tissuemnist --workdir=runs/tissuemnist
    ssljax study --config=medmnist:bloodmnist --workdir=runs/bloodmnist      # all of its budgets

It reads MedMNIST's own file, by default tissuemnist.npz or bloodmnist.npz of the current directory
(--config.data.source=npz:PATH), with its validation and test images; `train` has the smallest budget.

For an accelerator; not yet measured. The network, its optimiser and its 52,428 steps are those of joint_cifar10. USB
trains a ViT that has ImageNet's weights; its table has an error of 60.36 +- 3.83 from 80 labels alone, freematch 58.24
+- 3.08, pi_model 55.94 +- 5.67; with 400 labels 54.08 +- 1.55, 52.19 +- 1.35, 47.05 +- 1.21. SPARSE trains an
EfficientNet-B3; the accuracies beside its code are means over eleven sets.
"""

from ssljax.config import base, one_of

BUDGETS = {'tissuemnist': ('10/class', '50/class'), 'bloodmnist': ('5/class', '10/class', '20/class', '50/class')}
USB = {'scratch': 39.64, 'freematch': 41.76}  # 80 labels


def get_config(data='tissuemnist'):
    c = base()
    c.study.labels = BUDGETS[one_of(BUDGETS, data, 'data')]
    c.name = f'medmnist_{data}'
    c.seeds = (0, 1, 2)
    c.data.source = f'npz:{data}.npz'
    c.data.labels = c.study.labels[0]
    c.backbone.update(name='wrn28_2', norm_momentum=0.999, norm_epsilon=1e-3)
    c.pretrain.method = 'none'
    c.transfer.ways = ('scratch', 'freematch')
    c.transfer.update(batch_size=64, augment='crop(3)|flip')
    c.transfer.scratch.update(steps=10000)
    c.transfer.scratch.optim.update(lr=0.03)
    c.semi.update(epochs=0.0, steps=2**20 // 20, evals=50, labeled_batch_size=64, batch_size=448, one_batch=True)
    c.semi.strong = 'crop(3)|flip|rand_augment(2, 10)|cutout(14)'
    c.evaluate.update(knn=0, probe=False)
    if data == 'tissuemnist':
        setting = 'ViT with ImageNet weights, 80 labels'
        c.published = tuple((way, top1, setting, 'USB, usb_cv') for way, top1 in USB.items())
    return c
