"""Accuracies to reach, as plain data: each a recipe of configs/, a measure on validation, and what was published."""

from typing import NamedTuple

from benchmarks.record import known_names


class Goal(NamedTuple):
    """An accuracy that an ordinary run is to reach.

    recipe: as `--config` has it. data: the images. stage: of the run. section: of the config, the stage's own. metric:
    of an evaluation in the stage's metrics.jsonl. value: a share, in [0, 1]. steps: the stage ends there, reached or
    not. evals: evaluations, evenly spaced. fields: of the config, {dotted name: value}. measure: the metric in words.
    published, source: what was published, where. minutes: the published time, on `published_on`; 0: none is known.
    large: for an accelerator.
    """

    name: str
    recipe: str
    data: str
    stage: str
    section: str
    metric: str
    value: float
    steps: int
    evals: int
    fields: dict
    measure: str
    published: str
    source: str
    minutes: float = 0.0
    published_on: str = ''
    large: bool = False

    @property
    def every(self) -> int:
        """Steps between evaluations."""
        return self.steps // self.evals

    def flags(self, seed: int, source: str = '') -> list[str]:
        """Of `python -m ssljax.main`, but for --workdir. Each evaluation follows a line of training metrics."""
        stage = {'epochs': 0.0, 'steps': self.steps, 'evals': self.evals}
        fields = self.fields | {f'{self.section}.{k}': v for k, v in stage.items()}
        fields |= {'seeds': (seed,), 'log_every': self.every} | ({'data.source': source} if source else {})
        return [f'--config={self.recipe}', *(f'--config.{k}={v}' for k, v in fields.items())]


ROTATION = Goal(
    name='rotation_nin',
    recipe='configs/rotnet.py',
    data='CIFAR-10',
    stage='frozen',
    section='transfer.frozen',
    metric='val/top1',
    value=0.88,
    steps=17500,
    evals=50,
    fields={'transfer.ways': ('frozen',), 'pretrain.watch': 0, 'pretrain.evals': 1},
    measure='top-1 of three dense layers on the frozen block 2, 45,000 labels, 5,000 validation images; all 200 epochs '
    'of pretraining are in the time',
    published='89.06 on test, 50,000 labels',
    source='Gidaris et al. 2018, RotNet with 4 blocks',
    large=True,
)
SIMCLR = Goal(
    name='simclr_resnet18',
    recipe='configs/pretext_cifar10.py:simclr',
    data='CIFAR-10',
    stage='pretrain',
    section='pretrain',
    metric='val/knn',
    value=0.847,
    steps=70000,
    evals=100,
    fields={
        'backbone.stem': 'cifar',
        'data.labels': 'all',
        'data.val': '5000',
        'pretrain.batch_size': 128,
        'pretrain.optim.lr': 0.06,
        'pretrain.optim.nesterov': False,
        'pretrain.simclr.temperature': 0.5,
        'pretrain.watch': 50000,
        'evaluate.knn': 200,
    },
    measure='200 nearest of 45,000 images (temperature 0.07), 5,000 validation images; 199 epochs at most',
    published='84.7 on test by the 200 nearest of 50,000 (temperature 0.1) after 200 epochs of 50,000, batch 128',
    source="lightly's benchmark on CIFAR-10, docs.lightly.ai",
    minutes=97.7,
    published_on='one NVIDIA RTX A6000, all 200 epochs',
    large=True,
)
FIXMATCH = Goal(
    name='fixmatch_wrn28_2',
    recipe='configs/fixmatch_cifar10.py',
    data='CIFAR-10',
    stage='fixmatch',
    section='semi',
    metric='val/top1',
    value=0.94,
    steps=2**20,
    evals=256,
    fields={'transfer.ways': ('fixmatch',), 'steps_per_call': 8},
    measure='top-1 of the averaged weights, 250 labels, 1,000 validation images',
    published='94.93 +- 0.65 on test after 2^20 steps',
    source='Sohn et al. 2020, table 2',
    large=True,
)
SIMCLR_FASHION = Goal(
    name='simclr_fashion',
    recipe='configs/pretext_fashion_mnist.py:simclr',
    data='Fashion-MNIST',
    stage='pretrain',
    section='pretrain',
    metric='val/knn',
    value=0.77,
    steps=1500,
    evals=15,
    fields={'pretrain.watch': 5000},
    measure='20 nearest of 1,000 labelled images, 5,000 validation images; two convolutions of 16 features',
    published='',
    source='',
)
FIXMATCH_FASHION = Goal(
    name='fixmatch_fashion',
    recipe='configs/semi_fashion_mnist.py:fixmatch',
    data='Fashion-MNIST',
    stage='fixmatch',
    section='semi',
    metric='val/top1',
    value=0.83,
    steps=1500,
    evals=15,
    fields={'transfer.ways': ('fixmatch',), 'data.val': '5000'},
    measure='top-1 of the averaged weights, 1,000 labels, 5,000 validation images; two convolutions of 16 features',
    published='',
    source='',
)
GOALS = {goal.name: goal for goal in (ROTATION, SIMCLR, FIXMATCH, SIMCLR_FASHION, FIXMATCH_FASHION)}


def chosen(names, accelerator: bool, source: str = '') -> list[Goal]:
    """The goals of these names; without any, those for this device.

    Raises:
      ValueError: an unknown name, or one `source` for goals on different images.
    """
    known_names(names, GOALS, 'goal')
    goals = [GOALS[n] for n in names] if names else [g for g in GOALS.values() if g.large == accelerator]
    if source and len(data := sorted({goal.data for goal in goals})) > 1:
        raise ValueError(f'--source={source} would be the images of goals on {" and ".join(data)}: name those of one.')
    return goals
