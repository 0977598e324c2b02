"""What a plan is made from: the fingerprint of a data set and of the machine (as nnU-Net calls it, Isensee et al.,
Nature Methods 2021), taken without decoding more than a sample."""

from typing import Any, NamedTuple

import numpy as np

from ssljax import targets
from ssljax.data import decode, depth, formats
from ssljax.data.layout import Unlabelled
from ssljax.data.memory import available_memory, cores
from ssljax.data.sources import listed, load
from ssljax.data.sources.asked import Encoded

HEADERS, DECODED = 200, 16  # images of a sample: whose sizes are read; that are decoded to look at their colours
GRAY = 6  # the largest difference between the channels of a gray image that a JPEG stores in colour


class Fingerprint(NamedTuple):
    """Counts are of images with a known label, except `unlabeled`; `counts` are those of the training split by class.
    val, test: how many of each the source brings, 0 if it brings none. low, side, high: the smallest, the median and
    the largest shorter side, in pixels; `equal`: all sampled images have one size. channels: as stored; `gray`: stored
    in colour, but without any. bits: per channel. memory: free bytes, None if unknown. device: 'cpu', 'gpu' or 'tpu',
    and `devices` of them. multilabel: an image may have several classes; `known`: then the number of labelled training
    images."""

    source: str
    classes: tuple
    counts: tuple
    unlabeled: int
    val: int
    test: int
    low: int
    side: int
    high: int
    equal: bool
    channels: int
    gray: bool
    bits: int
    memory: int | None
    cores: int
    device: str
    devices: int
    multilabel: bool = False
    known: int = 0

    @property
    def labeled(self) -> int:
        """Training images with a label."""
        return self.known if self.multilabel else sum(self.counts)

    @property
    def imbalance(self) -> float:
        """Images of the largest class per image of the smallest."""
        return max(self.counts) / max(min(self.counts), 1)

    @property
    def images(self) -> int:
        """All images."""
        return self.labeled + self.unlabeled + self.val + self.test

    def lines(self) -> list[str]:
        """The fingerprint in words, line by line."""
        size = f'{self.side} pixels' if self.equal else f'{self.low} to {self.high} pixels, median {self.side}'
        kind = {1: 'gray', 2: 'gray with alpha', 3: 'colour', 4: 'colour with alpha'}[self.channels]
        free = '' if self.memory is None else f', {self.memory / 2**30:.1f} GiB free'
        return [
            f'{self.labeled:,} labelled images of {len(self.classes)} classes'
            f'{", several per image" * self.multilabel} ({min(self.counts):,} to {max(self.counts):,} per class), '
            f'{self.unlabeled:,} unlabelled, {self.val or "no"} validation and {self.test or "no"} test images of '
            'their own',
            f'{size}, {kind}{", without any colour in it" * self.gray}, {self.bits} bits',
            f'{self.devices} {self.device.upper()} device{"s" * (self.devices != 1)}, {self.cores} cores{free}',
        ]


def take(config) -> Fingerprint:
    """The fingerprint of config.data.

    Args:
      config: the run's config, with the fields of config.data that are given.

    Raises:
      ValueError: no image has a label, there is only one class, or as sources.load.
    """
    import jax  # not at the top: the devices are started here

    try:
        classes, found = _annotated(config.data) if config.data.annotations else listed(config.data)
    except Unlabelled:
        classes, found = (), {}
    labels = {name: np.asarray(split.labels) for name, split in found.items()}
    train = labels.get('train', np.zeros(0, int))
    sets = found['train'].sets if 'train' in found else None
    counts = targets.of(len(classes), sets).counts(train)
    check(config.data.source, classes, counts, sets is not None)
    held = {name: int((labels[name] >= 0).sum()) if name in labels else 0 for name in ('val', 'test')}
    if held['val'] and not held['test']:  # then it is the test split
        held = {'val': 0, 'test': held['val']}
    unlabeled = int((train < 0).sum()) + sum(len(labels[name]) for name in ('unlabeled', 'further') if name in labels)
    devices = jax.devices()
    return Fingerprint(
        config.data.source, classes, tuple(map(int, counts)), unlabeled, held['val'], held['test'],
        **seen(found['train'], config.data.max_pixels), memory=available_memory(), cores=cores(),
        device=devices[0].platform, devices=len(devices), multilabel=sets is not None, known=int((train >= 0).sum()),
    )  # fmt: skip


def check(source: str, classes, counts, multilabel: bool = False) -> None:
    """Raises ValueError if nothing can be compared: no image has a label, or all are of one class."""
    if not sum(counts):
        raise ValueError(
            f'{source} has no labelled image, so there is nothing to compare. Label about ten images of each class: '
            'put them into folders named after the classes, beside a folder "unlabeled" with the rest.'
        )
    full = [name for name, count in zip(classes, counts) if count]
    if len(full) < 2 and not multilabel:
        raise ValueError(
            f'all {sum(counts):,} labelled images of {source} are of the class {full[0]!r}: there is nothing to tell '
            'apart. Put images of a second class into a folder of their own.'
        )


def seen(split, most: int = 0) -> dict:
    """{low, side, high, equal, channels, gray, bits} of the training images; for files, of a sample, without those that
    declare more than `most` pixels."""
    if not isinstance(split, Encoded):
        images = split.images
        height, width, channels = images.shape[1:]
        some = images[_spread(len(images), DECODED)]
        side = min(height, width)
        gray = channels > 2 and colourless(some)
        return dict(low=side, side=side, high=side, equal=True, channels=channels, gray=gray, bits=8)
    files: Any = split.files
    numbers, sizes, bands, bits = split.numbers, [], set(), 8
    for place in _spread(len(numbers), HEADERS):
        try:
            with decode.header(files.read(numbers[place]), most) as image:
                sizes.append(image.size)
                kind = depth.kind(image)
                bands.add(_bands(image))
                bits = max(bits, 32 if '32' in kind or 'float' in kind else 16 if kind else 8)
        except formats.Missing as error:
            raise ValueError(f'The image {files.names[numbers[place]]!r} cannot be read: {error}.') from error
        except Exception:  # Pillow raises almost anything on a damaged file, which the run itself counts
            continue
    if not sizes:
        raise ValueError('none of the images sampled from the training split can be read: check what they are.')
    sides = np.sort([min(size) for size in sizes])
    channels = max(bands)
    some = _decoded(files, [numbers[i] for i in _spread(len(numbers), DECODED)], most) if channels > 2 else []
    gray = bool(some) and all(map(colourless, some))
    low, side, high = (int(sides[i]) for i in (0, len(sides) // 2, -1))
    equal = len(set(sizes)) == 1
    return dict(low=low, side=side, high=high, equal=equal, channels=channels, gray=gray, bits=bits)


def colourless(images) -> bool:
    """Whether all channels of uint8 [..., C] except alpha are the same, up to JPEG losses."""
    colour = np.asarray(images)[..., :3].astype(int)
    return bool((np.ptp(colour, axis=-1) <= GRAY).mean() > 0.999)


def _annotated(data) -> tuple:
    """As `listed`, with the labels that config.data.annotations gives."""
    classes, found = listed(data)
    config = data.copy_and_resolve_references()
    config.update(path='stream', image_size=config.image_size or 8, cache='')  # nothing is decoded
    source = load(config)
    labels = source.train.labels if found.get('test') else np.concatenate([source.train.labels, source.test.labels])
    rest = 0 if source.unlabeled is None else len(source.unlabeled)
    return source.classes, {
        'train': found['train']._replace(labels=np.concatenate([labels, np.full(rest, -1)]), sets=source.sets),
        **{name: split for name, split in found.items() if name in ('val', 'test')},
    }


def _bands(image) -> int:
    alpha = image.mode in ('LA', 'PA', 'RGBA', 'La', 'RGBa') or 'transparency' in image.info
    gray = image.mode in ('1', 'L', 'LA', 'La', 'I', 'F') or image.mode.startswith('I;')
    return (1 if gray else 3) + alpha


def _decoded(files, numbers, most) -> list:
    found = []
    for number in numbers:
        try:
            found.append(decode.decode(files.read(number), 64, 3, most=most))
        except Exception:  # as above; or more bits than 8, whose colours are not looked at
            continue
    return found


def _spread(total: int, count: int) -> np.ndarray:
    """At most `count` places, evenly spaced."""
    return np.unique(np.linspace(0, total - 1, min(count, total)).astype(int))
