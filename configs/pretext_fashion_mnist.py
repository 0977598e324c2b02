"""Every pretext task on Fashion-MNIST with 1,000 labels, at equal wall time; name the task after a colon:

ssljax train --config=pretext_fashion_mnist:simclr --workdir=runs/simclr \
  --config.data.manual_dir=DIR_WITH_THE_FOUR_GZ_FILES

Results are in docs/results.md. Colourisation is not included: the images are gray.
"""

from ssljax.config import of_task

CROP = 'random_resized_crop((0.3, 1.0))|flip|color_jitter(0.4, 0.4)'
SMALL = CROP.replace('(0.3, 1.0)', '(0.25, 0.25), (1, 1)')
SGD = {'optim.lr': 0.2}
ADAMW = {'optim.name': 'adamw', 'optim.lr': 0.003}

# Steps of about 40 seconds on one core (`taskset -c 0 python -m benchmarks.pretext configs/pretext_fashion_mnist.py`),
# then each task's own fields, chosen among a few on validation images (of seed 0, or of another split of the training
# images).
TASKS = {
    'rotation': (600, {'optim.lr': 0.05, 'batch_size': 64}),
    'jigsaw': (2600, ADAMW),
    'jigsaw_grid': (900, ADAMW | {'pool': 'grid4', 'hidden': (128,)}),
    'relative_position': (8000, ADAMW),
    'autoencoder': (600, ADAMW | {'pool': 'grid4'}),
    'context_encoder': (850, ADAMW | {'context_encoder.size': 0.7}),
    'mae': (1950, ADAMW | {'optim.lr': 0.002, 'optim.b2': 0.95, 'optim.warmup': 0.1, 'optim.weight_decay': 0.05}),
    'gan': (
        1200,
        ADAMW
        | {'augment': 'crop(3)|flip', 'pool': 'avg', 'optim.lr': 0.001, 'optim.b1': 0.5, 'label_smoothing': 0.1}
        | {'gan.width': 8, 'batch_size': 64},
    ),
    'triplet': (
        760,
        SGD | {'augment': CROP, 'triplet.margin': 1.0, 'triplet.augment2': f'{CROP}|affine(30, 0.1, (0.8, 1.2), 15)'},
    ),
    'exemplar': (1400, ADAMW | {'augment': CROP, 'pool': 'grid2', 'hidden': (128,), 'exemplar.classes': 1000}),
    'simclr': (760, SGD | {'augment': CROP}),
    'moco': (500, SGD | {'augment': CROP, 'optim.lr': 0.3, 'moco.momentum': 0.9, 'moco.temperature': 0.3}),
    'byol': (520, SGD | {'augment': CROP, 'optim.lr': 0.3, 'byol.momentum': 0.9}),
    'simsiam': (720, SGD | {'augment': CROP, 'optim.lr': 0.3}),
    'barlow_twins': (720, SGD | {'augment': CROP, 'optim.lr': 0.1, 'barlow_twins.off_diagonal': 0.02}),
    'vicreg': (720, SGD | {'augment': CROP, 'optim.lr': 0.1}),
    'dino': (450, SGD | {'augment': CROP, 'dino.momentum': 0.95, 'dino.prototypes': 256}),
    'swav': (660, SGD | {'augment': CROP}),
    'lejepa': (400, ADAMW | {'augment': CROP}),
    'emp_ssl': (200, SGD | {'augment': SMALL}),
    'rotation + simclr': (400, SGD | {'augment': CROP, 'optim.lr': 0.05, 'batch_size': 64}),
}


def get_config(task='rotation'):
    c = of_task(TASKS, task, 'pretext_fashion_mnist', pool='flatten')
    c.seeds = (0, 1, 2)
    c.data.source = 'tfds:fashion_mnist'
    c.data.labels = '1000'
    c.data.val = '5000'
    if task == 'mae':
        c.backbone.update(name='vit', width=64, depth=2, patch=7)
    c.transfer.ways = ('scratch', 'finetune')
    c.transfer.batch_size = 50
    c.transfer.pool = 'flatten'
    c.transfer.augment = 'crop(2)|flip'
    for way, rate in (('scratch', 0.05), ('finetune', 0.03)):
        c.transfer[way].update(epochs=0.0, steps=1000)
        c.transfer[way].optim.update(lr=rate, weight_decay=3e-3)
    return c
