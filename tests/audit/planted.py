"""A data set with planted problems: photographs of two classes, gray and re-encoded, and what should be found."""

import io
import zipfile
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageEnhance

CLASSES = 'church', 'tench'
LABELLED, TEST, UNLABELLED = 30, 40, 150  # of each class


class Planted(NamedTuple):
    """root: the folder. across: {name of a test image: name of its copy}; labels: {name: its copy of another class};
    corrupt: names."""

    root: object
    across: dict
    labels: dict
    corrupt: set


def encoded(image, kind='JPEG', **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def brighter(factor):
    return lambda image: encoded(ImageEnhance.Brightness(image).enhance(factor), quality=85)


def resized(side, quality=85):
    return lambda image: encoded(image.resize((side, side), Image.Resampling.BICUBIC), quality=quality)


COPIES = (
    lambda image: encoded(image, quality=40),
    lambda image: encoded(image, quality=95),
    lambda image: encoded(image, 'PNG'),
    lambda image: encoded(image, 'WEBP', quality=60),
    resized(96),
    resized(64),
    resized(200),
    brighter(1.15),
    brighter(0.85),
    lambda image: encoded(ImageEnhance.Contrast(image).enhance(1.2).resize((100, 90)), quality=70),
)


def spoilt(data: bytes, number: int) -> bytes:
    """What is no image any more: cut, empty, of another kind, or overwritten."""
    kinds = (
        data[: len(data) // 2], data[:300], b'', b'<html>404</html>', data[: len(data) - 400], bytes(2000),
        b'\x89PNG\r\n\x1a\n' + data[8:], encoded(Image.new('L', (64, 64)), 'PNG')[:60], b'\xff\xd8' + data[700:],
        data[:20] + data[:20],
    )  # fmt: skip
    return kinds[number]


def make(archive, root) -> Planted:
    """Writes the data set below `root` from imagenette.zip."""
    numbers, found = np.random.default_rng(0).permutation(800), Planted(root, {}, {}, set())
    pictures: dict = {}
    with zipfile.ZipFile(archive) as zipped:
        for name in CLASSES:
            files = [f for f in zipped.namelist() if f.startswith(f'train/{name}/')]
            chosen = [files[i] for i in numbers[: LABELLED + TEST + UNLABELLED]]
            pictures[name] = [Image.open(io.BytesIO(zipped.read(f))).convert('L') for f in chosen]

    def put(name, data):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)

    for name in CLASSES:
        for i, image in enumerate(pictures[name]):
            where = f'train/{name}' if i < LABELLED else f'test/{name}' if i < LABELLED + TEST else 'unlabeled'
            put(f'{where}/{name}{i:03}.jpg', encoded(image, quality=80))
    for i, copied in enumerate(COPIES):
        name = CLASSES[i % 2]
        data = copied(pictures[name][LABELLED + i])
        kind = Image.open(io.BytesIO(data)).format.lower().replace('jpeg', 'jpg')
        found.across[f'test/{name}/{name}{LABELLED + i:03}.jpg'] = f'train/{name}/x{i}.{kind}'
        put(f'train/{name}/x{i}.{kind}', data)
    for i in range(5):
        here, there = CLASSES[i % 2], CLASSES[1 - i % 2]
        put(f'train/{there}/y{i}.jpg', COPIES[(0, 5, 7, 1, 8)[i]](pictures[here][i]))
        found.labels[f'train/{here}/{here}{i:03}.jpg'] = f'train/{there}/y{i}.jpg'
    for i in range(10):
        name = (f'train/{CLASSES[i % 2]}', 'unlabeled', f'test/{CLASSES[i % 2]}')[i % 3] + f'/z{i}.jpg'
        put(name, spoilt(encoded(pictures[CLASSES[0]][-1 - i], quality=77), i))
        found.corrupt.add(name)
    return found
