"""Semi-supervised GAN on photographs of cats and dogs with 100 labels, 50 each, compared with the same network
trained on those labels. ResNet-18, not pretrained; five label sets.

    ssljax train --config=sgan_cats_dogs --workdir=runs/sgan_cats_dogs

224 pixels need a GPU. Another folder, and a size and network for a CPU:

    ... --config.data.source=folder:cats_dogs.zip --config.data.image_size=48 --config.backbone.name=cnn \\
      --config.backbone.width=32 --config.backbone.depth=4

Your own choice of labels: --config.data.labels=list:labels.txt. Representative ones: --config.data.choose=typical
--config.data.labels=100 with --config.data.features, a run that trained a backbone without labels; within each class,
by an oracle that knows the class of every image: --config.data.choose=typical_oracle.

Measured on one CPU core with 700 steps of 32 at 48 pixels, five label sets: 61.56 +- 1.35 against 60.85 +- 2.09% from
scratch; from scratch on the oracle's representative labels 64.79 +- 0.27 (docs/results.md). ResNet-18 has not been run.
"""

from ssljax.config import base


def get_config():
    c = base()
    c.name = 'sgan_cats_dogs'
    c.seeds = (0, 1, 2, 3, 4)
    c.data.source = 'tfds:cats_vs_dogs'
    c.data.image_size = 224
    c.data.labels = '50/class'
    c.data.val = '1000'
    c.data.test = '2000'
    c.backbone.name = 'resnet18'
    c.pretrain.method = 'none'
    c.transfer.ways = ('scratch', 'sgan')
    c.transfer.batch_size = 50
    c.transfer.augment = 'random_resized_crop((0.5, 1.0))|flip'
    c.transfer.scratch.update(steps=10000)
    c.transfer.scratch.optim.update(lr=0.05, weight_decay=3e-3)
    c.semi.update(epochs=30.0, batch_size=64, labeled_batch_size=50)
    c.semi.optim.update(lr=1e-3, weight_decay=0.3, decay='(?!generator).*kernel=1; .*=0')
    c.semi.sgan.update(unlabeled=2.0, input_noise=0.1)
    c.evaluate.update(knn=0, probe=False)
    c.published = (('scratch', 60.2, 'ResNet-18 at 96 pixels, 100 labels', 'a report without a paper'),)
    return c
