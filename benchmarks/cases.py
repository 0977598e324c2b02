"""What `benchmarks.users` compares, as plain data that all sides read; neither JAX nor PyTorch is imported here."""

from typing import NamedTuple

from benchmarks.record import known_names

VIEWS = 'random_resized_crop((0.08, 1.0))|flip|color_jitter(0.4, 0.4, 0.4, 0.1, p=0.8)|grayscale(0.2)'
STRONG = 'crop(4)|flip|rand_augment(3, 10)|cutout(16)'
PHOTOS = 'random_resized_crop((0.08, 1.0))|flip|color_jitter(0.4, 0.4, 0.4)'
SIMCLR = {
    'pretrain.method': 'simclr',
    'pretrain.augment': VIEWS,
    'pretrain.simclr.temperature': 0.5,
    'pretrain.simclr.projector': (512, 128),
    'pretrain.simclr.last_norm': True,
    'pretrain.optim.lr': 0.06,
    'pretrain.optim.nesterov': False,
    'pretrain.optim.decay': '.*=1',
    'pretrain.watch': 5000,
    'evaluate.knn': 20,
}
FIXMATCH = {
    'pretrain.method': 'none',
    'transfer.ways': ('fixmatch',),
    'transfer.augment': 'crop(4)|flip',
    'semi.strong': STRONG,
    'semi.one_batch': True,
    'backbone.norm_momentum': 0.9,
    'backbone.norm_epsilon': 1e-5,
    'semi.epochs': 0.0,
    'semi.idle': 0.0,  # semilearn does not stop, either
    'semi.optim.schedule': 'constant',
}
FINETUNE = {
    'pretrain.method': 'none',
    'transfer.ways': ('scratch',),
    'transfer.augment': PHOTOS,
    'transfer.scratch.optim.nesterov': True,
}


class Case(NamedTuple):
    """One training as a user of another tool would run it.

    tool: its package. module: that trains with it, of benchmarks.peers. recipe: ours, of configs/; stage, section: of
    that run and its config.
    network, stem, size: the backbone and the pixels of a side. batch: images of a step, unlabelled ones where there are
    `labeled` ones, too. labels: labelled training images a class; 0: all. every: steps between two rows. metric: of our
    evaluation, '' where none is compared; measure: the same in words. fields: of our config.
    """

    name: str
    tool: str
    module: str
    recipe: str
    stage: str
    section: str
    network: str
    stem: str
    size: int
    batch: int
    labels: int
    every: int
    fields: dict
    lr: float
    labeled: int = 0
    metric: str = ''
    measure: str = ''

    @property
    def images(self) -> int:
        """Images that a step reads."""
        return self.batch + self.labeled


_SIMCLR = dict(
    tool='lightly', module='lightly_simclr', recipe='pretext_cifar10:simclr', stage='pretrain', section='pretrain',
    network='resnet18', size=32, batch=128, labels=400, lr=0.06, fields=SIMCLR, metric='val/knn',
    measure='top-1 of the 20 nearest of 4,000 labelled images, 5,000 validation images',
)  # fmt: skip
_FIXMATCH = dict(
    tool='semilearn', module='semilearn_fixmatch', recipe='joint_cifar10:fixmatch', stage='fixmatch', section='semi',
    network='wrn28_2', stem='', size=32, batch=64, labeled=32, labels=400, lr=0.03, fields=FIXMATCH, metric='val/top1',
    measure='top-1, 4,000 labels, 5,000 validation images',
)  # fmt: skip
_FINETUNE = dict(
    tool='timm', module='timm_finetune', recipe='quickstart', stage='scratch', section='transfer.scratch',
    network='resnet18', stem='imagenet', size=128, batch=64, labels=0, lr=0.05, fields=FINETUNE,
)  # fmt: skip
CASES = (
    Case('simclr_example', stem='imagenet', every=5, **_SIMCLR),
    Case('simclr_cifar_stem', stem='cifar', every=2, **_SIMCLR),
    Case('fixmatch', every=5, **_FIXMATCH),
    Case('finetune', every=4, **_FINETUNE),
)


def chosen(names) -> list[Case]:
    """The cases of these names, by default all; raises ValueError for an unknown name."""
    known = {case.name: case for case in CASES}
    known_names(names, known, 'case')
    return [known[name] for name in names or known]
