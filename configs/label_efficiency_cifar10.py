"""Accuracy against the number of labels with NIN on CIFAR-10 (Gidaris et al. 2018, figure 4): rotation-pretrained for
200 epochs, fine-tuned and frozen, and from scratch, at 20 to 5,000 labels a class, three label sets; on an accelerator.

    ssljax study --config=label_efficiency_cifar10 --workdir=runs/label_efficiency_cifar10

As in the paper, `frozen_block2` trains a further convolutional block on the frozen features of block 2 for 39,000
steps, and `supervised` a network of three blocks for 78,000. `finetune` trains all weights of the pretrained network.
"""

from ssljax.config import base

LABELS = (20, 100, 400, 1000, 5000)  # a class
ROTATION, SUPERVISED = (35.37, 24.72, 17.16, 13.57, 8.05), (66.34, 52.74, 25.81, 16.53, 6.93)  # errors in percent


def get_config():
    c = base()
    c.name = 'label_efficiency_cifar10'
    c.seeds = (0, 1, 2)
    c.data.source = 'tfds:cifar10'
    c.data.val = '10/class'
    c.study.labels = tuple(f'{n}/class' for n in LABELS[:-1]) + ('4990/class',)
    c.backbone.update(name='nin', blocks=4)
    c.pretrain.update(method='rotation', augment='crop(4)|flip', batch_size=128, epochs=200.0)
    c.transfer.ways = ('supervised', 'frozen_block2', 'finetune')
    c.transfer.update(augment='crop(4)|flip', batch_size=128)
    c.study.reference = 'supervised'
    block2 = (('transfer.layer', 'conv2'), ('transfer.conv', 192))
    c.variants = (
        ('supervised', 'scratch', (('transfer.layer', 'conv3'),)),
        ('frozen_block2', 'frozen', block2),
    )
    for way, steps in (('scratch', 78000), ('frozen', 39000), ('finetune', 39000)):
        c.transfer[way].update(epochs=0.0, steps=steps)
    t = c.transfer
    for stage, lr in ((c.pretrain, 0.1), (t.scratch, 0.1), (t.frozen, 0.1), (t.finetune, 0.01)):
        stage.optim.update(lr=lr, decay='.*=1', schedule='multistep', milestones=(0.3, 0.6, 0.8))
    paper = 'Gidaris et al. 2018, figure 4'
    curves = (
        ('frozen_block2', 'RotNet, a convolutional block on block 2', ROTATION),
        ('supervised', 'supervised NIN of three blocks', SUPERVISED),
    )
    c.published = tuple(
        (way, round(100 - error, 2), setting, paper, f'{n}/class')
        for way, setting, errors in curves
        for n, error in zip(LABELS, errors)
    )
    return c
