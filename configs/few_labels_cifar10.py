"""What pretraining adds to few labels: CIFAR-10, three budgets, five label sets; a pretext task, then frozen features
and fine-tuning, against the labels alone; name the task after a colon:

    ssljax study --config=few_labels_cifar10:rotation --workdir=runs/few_labels_rotation

One pretraining, with the images of the first seed, is for all label sets (pretrain.shared=False: each has its own).
ResNet-18 with one residual unit of 16 to 128 features in each block and the CIFAR stem: 16 million multiplications an
image of 32 pixels, 0.3 million weights. SimCLR takes six minutes of one core, or 42 to 78 with
--config.pretrain.steps=20000; rotation takes 67. Then 500 steps of 64 labelled images in every way. FlexMatch can start
from the pretrained weights, with 1,000 steps of 32 labelled and 96 unlabelled images (150 s of one core):

    --config.transfer.ways="('scratch','frozen','finetune','flexmatch')"

Measured, points over training from scratch at 10, 40 and 100 labels per class: SimCLR's frozen features 12.8 +- 2.6,
8.5 +- 2.5 and 1.5 +- 1.6 after six minutes (five pretrainings); 24.2 +- 1.4, 19.5 +- 1.5 and 12.9 +- 1.1 after 20,000
steps and, with another pretraining, 23.8 +- 2.1, 19.3 +- 1.9 and 13.3 +- 0.8, where FlexMatch gains 26.8 +- 1.9, 21.3
+- 2.2 and 15.8 +- 1.1; rotation, fine-tuned, 12.9 +- 1.9, 13.3 +- 1.9 and 10.5 +- 0.9 (docs/results.md, with what more
steps from scratch change). Half an hour of one core was not enough for colorization, which loses at 40 labels per class
(fine-tuned -2.7 +- 1.7). lejepa as here, byol and jigsaw were pretrained but not transferred.
"""

from ssljax.config import of_task

VIEWS = 'random_resized_crop((0.2, 1.0))|flip|color_jitter(0.4, 0.4, 0.2, 0.1, p=0.8)|grayscale(0.2)'
# In a crop that is resized to the size of the image, objects are 1.4 times as large as in the image, on average; in
# views of 20 or 16 of 32 pixels 0.9 or 0.7 times, and those take half the time, or a quarter.
SMALL = VIEWS.replace('(0.2, 1.0)', '(0.2, 1.0), size=20')
SMALLER = VIEWS.replace('(0.2, 1.0)', '(0.2, 1.0), size=16')
MUON = {'batch_size': 128, 'optim.name': 'muon', 'optim.lr': 0.015, 'optim.weight_decay': 0.01}
ADAMW = {'optim.name': 'adamw', 'optim.lr': 0.002, 'optim.weight_decay': 0.01}

# Steps, then each task's own fields: of one core, six minutes for simclr and lejepa, 67 for rotation, ten for jigsaw
# (which solves four of five puzzles by then), and some 30 for the others.
TASKS = {
    'simclr': (1500, MUON | {'augment': SMALL, 'simclr.projector': (256, 128)}),
    'rotation': (
        31200,
        {'augment': 'crop(4)|flip', 'batch_size': 32, 'optim.lr': 0.05, 'optim.weight_decay': 5e-4},
    ),
    'jigsaw': (
        4000,
        ADAMW | {'augment': 'flip|grayscale(0.3)', 'batch_size': 128, 'jigsaw.gap': 2, 'jigsaw.permutations': 1000},
    ),
    'colorization': (4600, ADAMW | {'augment': 'crop(4)|flip', 'batch_size': 128}),
    'byol': (2800, {'augment': VIEWS, 'batch_size': 128, 'optim.lr': 0.06, 'optim.weight_decay': 5e-4}),
    'lejepa': (1100, MUON | {'augment': SMALLER}),
}


def get_config(task='simclr'):
    c = of_task(TASKS, task, 'few_labels_cifar10')
    c.seeds = (1, 2, 3, 4, 5)
    c.data.source = 'tfds:cifar10'
    c.data.val = '1000'
    c.backbone.update(name='resnet18', stem='cifar', width=16, depth=1)
    c.study.labels = ('10/class', '40/class', '100/class')
    c.pretrain.update(shared=True, evals=13)
    c.pretrain.optim.warmup = 0.05
    c.transfer.ways = ('scratch', 'frozen', 'finetune')
    c.transfer.update(batch_size=64, augment='crop(4)|flip')
    for way in c.transfer.ways:
        c.transfer[way].update(epochs=0.0, steps=500, evals=10)
    c.transfer.scratch.optim.update(lr=0.2, weight_decay=0.005)
    c.semi.update(start='pretrained', epochs=0.0, steps=1000, batch_size=96, labeled_batch_size=32)
    c.semi.strong = 'crop(4)|flip|rand_augment(2,10)|cutout(16)'
    return c
