"""The rules of a plan: from the fingerprint to the fields of the config, each with its reason. Tables first; where the
project has measured nothing, the reason says that it is a rule of thumb."""

import math
from typing import NamedTuple

from ssljax import metrics
from ssljax.planning import evidence, photographs
from ssljax.planning.fingerprint import Fingerprint
from ssljax.settings.resolve import Decision
from ssljax.tune.rate import USUAL

THUMB = 'rule of thumb: '
# Device, minutes below which the row holds, largest size. Clear gains on photographs were measured at 32 pixels.
SIZES = (
    ('cpu', 60, 32), ('cpu', math.inf, 48),
    ('', 10, 64), ('', 60, 96), ('', math.inf, 128),
)  # fmt: skip
LONG = 60  # minutes, from which on the time of a method does not count
SMALL = 16  # pixels: below it views and rotated pictures keep too little, and a crop of one pixel was measured
# Below so many labelled images: the shares that are set aside for test, if the source has none, and validation.
TEST = ((200, '30%'), (1000, '25%'), (math.inf, '20%'))
VAL = ((1000, '20%'), (10_000, '10%'), (math.inf, '1000'))
FEW_VAL = 50  # validation images, below which the best of several evaluations is the luckiest
LEAST_UNLABELED = 1.0  # unlabelled images per labelled one, below which a joint method is left out
LEAST_PRETRAINED = 500  # images, below which pretraining is left out
DEVICE_BATCH = 256


class Asked(NamedTuple):
    """What a plan is asked for. minutes: for the whole command. flips: 'auto', 'yes' or 'no'. given: {field: value}
    that stays as it is."""

    minutes: float
    flips: str
    given: dict


class Regime(NamedTuple):
    """What most rules depend on. size: of the images, in pixels. photographs: whether the rules for photographs
    hold."""

    fp: Fingerprint
    size: int
    photographs: bool


class Sets(NamedTuple):
    """How many labelled training images, validation images and test images a run has."""

    labeled: int
    val: int
    test: int

    def per_class(self, fp: Fingerprint) -> float:
        """Labelled images per class, on average."""
        return self.labeled / len(fp.classes)


def data(fp: Fingerprint, asked: Asked) -> list[Decision]:
    """The fields of config.data."""
    found = [Decision('data.source', fp.source, 'given')]
    size, why = image_size(fp, asked.minutes)
    found.append(Decision('data.image_size', size, why))
    if fp.gray:
        found.append(Decision('data.channels', 1, 'seen here: the images are stored in colour and have none'))
    if 'data.labels' not in asked.given:
        found.append(Decision('data.labels', 'all', f'all {fp.labeled:,} there are, including those for validation'))
    test, left = 0, fp.labeled
    if not fp.test:
        share = _below(TEST, fp.labeled)
        test = int(fp.labeled * float(share[:-1]) / 100)
        error = 50 / math.sqrt(max(test, 1))
        why = f'{THUMB}there is no test split; with {test} images the standard error is up to {error:.0f} points'
        found.append(Decision('data.test', share, why))
        left -= test
    if not fp.val:
        share = _below(VAL, left)
        why = f'{THUMB}of {left:,} labelled images; validation chooses the weights'
        found.append(Decision('data.val', share, why))
    return found


def selection(fp: Fingerprint) -> list[Decision]:
    """The metric by which weights are chosen, where top-1 would mislead."""
    if fp.multilabel or fp.imbalance < metrics.IMBALANCED:
        return []
    why = f'fixed: the largest class has {fp.imbalance:.1f} times the images of the smallest, where top-1 misleads'
    return [Decision('select', 'balanced_accuracy', why)]


def sets(fp: Fingerprint, fields: dict) -> Sets:
    """Roughly how many images of each kind a run with the given fields, {field: value}, has."""
    test = fp.test or _amount(fields.get('data.test', '20%'), fp.labeled, fp)
    left = fp.labeled - (0 if fp.test else test)
    val = fp.val or _amount(fields.get('data.val', '10%'), left, fp)
    left -= 0 if fp.val else val
    labels = str(fields.get('data.labels', 'all'))
    labeled = left if labels == 'all' or labels.startswith('list:') else min(_amount(labels, left, fp), left)
    return Sets(max(labeled, 1), val, test)


def image_size(fp: Fingerprint, minutes: float) -> tuple[int, str]:
    """(data.image_size, why): the stored size, or the largest that suits the device and the time."""
    device = 'cpu' if fp.device == 'cpu' else ''
    most = next(size for kind, below, size in SIZES if kind == device and minutes < below)
    if fp.side <= most:
        if fp.equal:
            return 0, f'fixed: as stored, {fp.side} pixels'
        return max(fp.side // 4 * 4, min(fp.side, 4)), f'fixed: the median of the stored sizes, {fp.low} to {fp.high}'
    return most, (
        f'{THUMB}{most} pixels are the most in {minutes:g} minutes on a {fp.device.upper()} (on a CPU photographs '
        f'gained clearly at 32); stored at {fp.side}'
    )


def path(fp: Fingerprint, size: int) -> Decision:
    """Whether the images are kept in memory."""
    need = fp.images * size**2 * (1 if fp.gray else fp.channels)
    free = 'an unknown amount' if fp.memory is None else f'{fp.memory / 2**20:,.0f} MiB'
    where = 'in memory' if fp.memory is None or 4 * need <= fp.memory else 'read from their files in every epoch'
    return Decision('data.path', 'auto', f'{where}: {fp.images:,} images take {need / 2**20:,.1f} MiB, {free} are free')


def backbone(regime: Regime) -> list[Decision]:
    """The network, by device and size."""
    fp, size, of_photographs = regime
    if fp.device != 'cpu':
        return [Decision('backbone.name', 'resnet18', f'{THUMB}an accelerator has the time for it; not measured there')]
    if of_photographs:
        return photographs.backbone(size)
    depth = max(2, round(math.log2(size / 3)))
    width = 16 if size < 40 else 32
    left = size // 2**depth
    return [
        Decision('backbone.name', 'cnn', 'measured: in minutes on a CPU pretraining helps the small network '
                 '(Fashion-MNIST) and harms ResNet-18 (CIFAR-10, 100 labels per class: fine-tuned SimCLR -4.1 points)'),
        Decision('backbone.width', width, 'measured: 16 features at 8 to 32 pixels (digits, Fashion-MNIST), 32 at 48 '
                 '(cats and dogs)'),
        Decision('backbone.depth', depth, f'measured: 2 layers at 8 pixels, 4 at 48; it halves {size} pixels to a map '
                 f'of {left} x {left}'),
        Decision('transfer.pool', 'flatten', 'measured: as on digits and Fashion-MNIST; the map is small'),
        Decision('pretrain.pool', 'flatten', 'the same'),
    ]  # fmt: skip


def flips(fp: Fingerprint, asked: str) -> tuple[bool, str]:
    """Whether pictures may be mirrored, and why."""
    if asked != 'auto':
        return asked == 'yes', f'given: flips={asked}'
    names = [name.strip().lower() for name in fp.classes]
    if all(len(name) <= 2 for name in names):
        return False, 'no flips: the class names have one or two characters, which may be what the images show'
    if sided := [name for name in names if any(word in name for word in ('left', 'right', 'arrow', 'sign'))]:
        return False, f'no flips: the class {sided[0]!r} may depend on the side'
    return (
        True,
        'flips: no class name mentions a side; give --flips=no where left and right or a reading direction matter',
    )


def augmentation(regime: Regime, asked: Asked) -> list[Decision]:
    """The pipelines of labelled images, of pretraining and of strong views."""
    fp, size, of_photographs = regime
    mirrored, why = flips(fp, asked.flips)
    flip, colour = '|flip' * mirrored, fp.channels > 2 and not fp.gray
    shift = max(size // 14, 1)
    if size < 40:
        weak, of = (
            f'crop({shift}){flip}',
            f'measured: crops of {shift} pixel{"s" * (shift > 1)} as on digits, Fashion-MNIST and CIFAR-10',
        )
    else:
        weak = f'random_resized_crop((0.5, 1.0)){flip}'
        of = 'measured: as for photographs of cats and dogs'
    if colour:
        strong = f'{weak}|rand_augment(1, 10)|cutout({round(size * 0.375)})'
        said = 'measured: RandAugment and cutout, as with MobileNet on CIFAR-10 (+2.6 points)'
    else:
        strong = f'{weak}|cutout({max(round(size * 0.3), 1)})'
        said = 'measured: cutout alone, as on digits and Fashion-MNIST; no colour changes, since the images are gray'
    jitter = '|color_jitter(0.4, 0.4, 0.2, 0.1, p=0.8)|grayscale(0.2)' if colour else '|color_jitter(0.4, 0.4)'
    views = f'random_resized_crop(({0.2 if colour else 0.3}, 1.0)){flip}{jitter}'
    of_views = (
        'measured: as for SimCLR on CIFAR-10'
        if colour
        else 'measured: as for SimCLR on Fashion-MNIST; of color_jitter only brightness and contrast, for gray images'
    )
    if of_photographs:
        views, of_views = photographs.views(flip, size)
    if size < SMALL:
        views, of_views = weak, f'measured: as on digits; below {SMALL} pixels crops leave too little'
    return [
        Decision('transfer.augment', weak, f'{of}; {why}'),
        Decision('semi.strong', strong, said),
        Decision('pretrain.augment', views, of_views),
    ]


def pretext(regime: Regime) -> Decision:
    """The pretext task."""
    if regime.photographs:
        return photographs.pretext()
    if regime.size < SMALL:
        why = f'measured: on digits fine-tuned rotation +1.1 ± 3.4 points; below {SMALL} pixels no other was measured'
        return Decision('pretrain.method', 'rotation', why)
    why = (
        'measured: on Fashion-MNIST the best linear probe of 19 tasks in equal time (83.2%, random weights 80.7%), '
        'fine-tuned +0.7 ± 0.7 points with 100 labels per class'
    )
    return Decision('pretrain.method', 'simclr', why)


def parts(regime: Regime, found: Sets) -> tuple[tuple[str, ...], list[str]]:
    """('pretrain', 'joint'), first the one that is kept if time is short, without what does not suit the data; and why,
    a sentence each."""
    fp = regime.fp
    if fp.multilabel:
        said = ['fixed: joint methods assume one class per image, and these have several; nothing else was measured']
        few = found.labeled + fp.unlabeled + unused(fp, found) < LEAST_PRETRAINED
        said += [f'{THUMB}no pretraining: fewer than {LEAST_PRETRAINED} images were never measured'] * few
        return () if few else ('pretrain',), said
    total = found.labeled + fp.unlabeled + unused(fp, found)
    if regime.photographs and total >= LEAST_PRETRAINED:
        return ('pretrain',), [photographs.WHY_FIRST]
    wanted, why = evidence.order(found.per_class(fp))
    said, kept = [f'{why}, so {_NAMES[wanted[0]]} would come first'], list(wanted)
    if fp.unlabeled + unused(fp, found) < LEAST_UNLABELED * found.labeled:
        kept.remove('joint')
        said.append(f'{THUMB}no joint method: it needs unlabelled images, at least as many as labelled ones')
    if total < LEAST_PRETRAINED:
        kept.remove('pretrain')
        said.append(
            f'{THUMB}no pretraining: {total:,} images are few, and fewer than {LEAST_PRETRAINED} were never measured'
        )
    return tuple(kept), said


def batches(regime: Regime, found: Sets) -> list[Decision]:
    """Images per step."""
    fp = regime.fp
    if fp.device != 'cpu':
        why = f'{THUMB}an accelerator is idle with fewer'
        few = _devices(min(64, found.labeled), fp)
        return [
            Decision('transfer.batch_size', few, f'{THUMB}64, or all labelled images'),
            Decision('pretrain.batch_size', _devices(DEVICE_BATCH, fp), why),
            Decision('semi.batch_size', _devices(128, fp), why),
            Decision('semi.labeled_batch_size', _devices(min(64, found.labeled), fp), 'as many as from scratch'),
        ]
    few = _devices(min(64, max(found.labeled, 4)), fp)
    pretrained, of = 64, 'measured: as in the study on Fashion-MNIST'
    if regime.photographs:
        pretrained, of = photographs.BATCH, f'measured: as on {photographs.WHERE}'
    return [
        Decision('transfer.batch_size', few, 'measured: 50 to 64, or all labelled images if they are fewer'),
        Decision('pretrain.batch_size', _devices(pretrained, fp), of),
        Decision('semi.batch_size', _devices(64, fp), 'measured: as on digits'),
        Decision('semi.labeled_batch_size', _devices(min(32, few), fp), 'measured: as on digits'),
    ]


# Learning rates and what goes with them are those that were measured; they are not searched for here.
RATES = (
    ('transfer.scratch.optim.lr', 0.05), ('transfer.scratch.optim.weight_decay', 3e-3),
    ('transfer.finetune.optim.lr', 0.03), ('transfer.finetune.optim.weight_decay', 3e-3),
    ('semi.optim.name', 'sgd'), ('semi.optim.lr', 0.05), ('semi.optim.weight_decay', 5e-4),
    ('semi.optim.schedule', 'cosine'), ('semi.ema', 0.99),
)  # fmt: skip
PRETRAINED = {'simclr': 0.2, 'rotation': 0.05}  # learning rates
WHY_RATES = 'measured: as in the study on Fashion-MNIST (label_efficiency); --config.tune=True searches'


def rates(regime: Regime, given: dict) -> list[Decision]:
    """Learning rates, as they were measured; given: the fields that are given, on which others depend."""
    found = [Decision(field, value, WHY_RATES) for field, value in RATES]
    if regime.photographs:
        own = photographs.rates(len(regime.fp.classes))
        found = [d for d in found if d.field.startswith('semi.')] + own
    else:
        task = given.get('pretrain.method', pretext(regime).value)
        found.append(Decision('pretrain.optim.lr', PRETRAINED.get(task, 0.05), WHY_RATES))
    values = {d.field: d.value for d in found}
    for field, name in given.items():
        section, _, last = field.rpartition('.')
        if last == 'name' and section.endswith('.optim') and name in USUAL and name != values.get(field, 'sgd'):
            found = [d for d in found if not d.field.startswith(f'{section}.')]
            found.append(Decision(f'{section}.lr', USUAL[name], f'{THUMB}a usual rate of {name}'))
    return found


def unused(fp: Fingerprint, found: Sets) -> int:
    """Training images whose label the run does not use: with data.labels below 'all'."""
    return max(fp.labeled - found.labeled - (0 if fp.val else found.val) - (0 if fp.test else found.test), 0)


def _amount(text: str, of: int, fp: Fingerprint) -> int:
    text = str(text).strip() or '0'
    if text.endswith('%'):
        return int(of * float(text[:-1]) / 100)
    if text.endswith('/class'):
        return int(text[:-6]) * len(fp.classes)
    return of if text == 'all' else int(text) if text.isdigit() else of


def _below(table, number) -> str:
    return next(value for below, value in table if number < below)


def _devices(size: int, fp: Fingerprint) -> int:
    """`size`, rounded up to a multiple of the devices."""
    return -(-size // fp.devices) * fp.devices


_NAMES = {'pretrain': 'pretraining', 'joint': 'a joint method'}
