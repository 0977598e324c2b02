"""The rules for photographs in colour on a CPU, where pretraining is what gains most (docs/results.md): network, views,
optimiser and lengths of the recipes few_labels_cifar10 and few_labels_cats_dogs, measured at 32 pixels."""

import math

from ssljax.planning.budget import HALF, QUARTER, Rung
from ssljax.planning.fingerprint import Fingerprint
from ssljax.settings.resolve import Decision

LEAST = 32  # pixels, below which views of five eighths would be smaller than any that were measured
VIEW = 5 / 8  # of the size of an image: 20 of 32 pixels
STEM_CIFAR = 64  # pixels, from which on the stem halves the image twice
FEW_CLASSES = 4  # up to which training from scratch uses the learning rate for cats and dogs
BATCH = 128  # images of a step of pretraining
WHERE = 'CIFAR-10 and cats and dogs'
NETWORK, TASK = 'resnet18', 'simclr'
# SimCLR's leads over training from scratch, frozen and fine-tuned, five label sets each: where, labels per class,
# points. Six minutes of one core for the first two (the lower of two pretrainings), half an hour for cats and dogs, 78
# minutes for the last.
LEADS = (
    ('CIFAR-10', 10, 11.4, 9.8), ('CIFAR-10', 40, 7.5, 6.0), ('cats and dogs', 50, 13.6, 12.3),
    ('CIFAR-10', 100, 12.9, 12.0),
)  # fmt: skip
WHY_FIRST = 'measured: in minutes on a CPU, only pretraining helped with photographs (CIFAR-10, cats and dogs)'
# From the best to the least, as budget.LADDER: STEPS of a way are what was measured, and the time that is left goes
# into pretraining, up to the 20,000 steps after which it had levelled off on CIFAR-10.
STEPS, MOST = 500, 20_000
LADDER = (
    Rung(5, STEPS, 1, QUARTER, 8000, MOST), Rung(5, STEPS, 1, HALF, 3000, MOST), Rung(3, STEPS, 1, HALF, 2000, MOST),
    Rung(3, STEPS, 1, (), 1500, MOST), Rung(3, 350, 1, (), 800, MOST),
)  # fmt: skip


def suits(fp: Fingerprint, size: int) -> bool:
    """Whether images of `size` pixels are such photographs."""
    return fp.device == 'cpu' and fp.channels > 2 and not fp.gray and size >= LEAST


def allows(given: dict) -> bool:
    """Whether what was measured holds with the fields that are given: for this network, from random weights, and this
    task."""
    network, task = given.get('backbone.name', NETWORK), given.get('pretrain.method', TASK)
    return network == NETWORK and task in (TASK, '', 'none') and not given.get('backbone.init_from')


def backbone(size: int) -> list[Decision]:
    """A ResNet-18 narrow enough to see the images many times."""
    narrow = f'measured: narrow enough for many steps ({WHERE} at 32 pixels: 16 million multiplications an image)'
    stem = 'cifar' if size < STEM_CIFAR else 'imagenet'
    return [
        Decision('backbone.name', NETWORK, narrow),
        Decision('backbone.width', 16, narrow),
        Decision('backbone.depth', 1, narrow),
        Decision('backbone.stem', stem, f'fixed: for images below {STEM_CIFAR} pixels, and for the views of them'
                 if size < STEM_CIFAR else f'fixed: from {STEM_CIFAR} pixels on, and for the views of them'),
    ]  # fmt: skip


def views(flip: str, size: int) -> tuple[str, str]:
    """(pretrain.augment, why); flip: '|flip' or ''."""
    small = round(VIEW * size)
    jitter = '|color_jitter(0.4, 0.4, 0.2, 0.1, p=0.8)|grayscale(0.2)'
    return f'random_resized_crop((0.2, 1.0), size={small}){flip}{jitter}', (
        f'measured: views of five eighths of the image take less than half the time, and neighbour accuracy is 4 to 6 '
        f'points higher after equal time (CIFAR-10, SimCLR, 20 of 32 pixels); here {small} of {size}'
    )


def pretext() -> Decision:
    """The pretext task."""
    why = 'measured: frozen features gain 13 points on CIFAR-10 at 10 labels per class and on cats and dogs at 50'
    return Decision('pretrain.method', TASK, why)


def way(per_class: float) -> tuple[str, str]:
    """(how the pretrained weights are used, why): 'frozen' or 'finetune'."""
    row = min(LEADS, key=lambda row: abs(math.log(row[1]) - math.log(max(per_class, 1))))
    what, at, frozen, tuned = row
    best = 'frozen' if frozen >= tuned else 'finetune'
    return best, (
        f'measured: on {what} with {at} labels per class frozen SimCLR {frozen:+.1f} points, fine-tuned {tuned:+.1f}'
    )


def rates(classes: int) -> list[Decision]:
    """Optimisers, rates and what goes with them."""
    few = classes <= FEW_CLASSES
    why = f'measured: chosen on validation for {"cats and dogs" if few else "CIFAR-10"}; ssljax tune searches'
    once = 'fixed: the time goes into one pretraining; intervals then cover label sets, not how another would turn out'
    muon = (
        'measured: with Muon and this rate, neighbour accuracy is 4 to 9 points above SGD after equal time (CIFAR-10)'
    )
    values = {'name': 'muon', 'lr': 0.015, 'weight_decay': 0.01, 'warmup': 0.05}
    return [
        Decision('pretrain.shared', True, once),
        Decision('transfer.scratch.optim.lr', 0.05 if few else 0.2, why),
        Decision('transfer.scratch.optim.weight_decay', 0.005, why),
        *(Decision(f'pretrain.optim.{field}', value, muon) for field, value in values.items()),
        Decision('pretrain.simclr.projector', (256, 128), 'measured: as on CIFAR-10'),
    ]
