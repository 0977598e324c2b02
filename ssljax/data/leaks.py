"""Signs that a test is easier than it looks: copies of its images among the others, and classes that differ by the kind
of their files alone."""

import io
import os

import numpy as np
from PIL import Image
from scipy.spatial import KDTree

from ssljax.data.memory import parallel

MOST = 20_000  # images of a split whose pixels are compared: an even sample of more
SIDE = 16  # pixels: of smaller images only exact copies are looked for
HEADERS = 20  # files of a class that are opened for their format and size
SHOWN = 3
COMPONENTS = 12  # principal components of thumbnails, by which near ones are found first
NEIGHBOURS = 8  # in them, of each image, that are compared whole
_ALIKE, _NEAR, _PLAIN = 0.995, 4.0, 10.0  # correlation, mean difference, and least deviation in gray levels


def find(source) -> list[str]:
    """Warnings about a Source, each a sentence; [] where nothing was found.

    Exact copies are found by the size and CRC-32 of files or by pixels; re-encoded and resized ones by 16x16 thumbnails
    of images that lie in memory, for at most `MOST` images a split.
    """
    if np.prod(source.shape[:2]) < 64:  # points, whose few values repeat by chance
        return []
    pairs = [('test', source.test, 'training', source.train), ('test', source.test, 'unlabelled', source.unlabeled)]
    pairs += [('validation', source.val, 'training', source.train)]
    thumbs: dict = {}
    out: list[str] = []
    for name, one, of, many in pairs:
        if one is None or many is None:
            continue
        exact = _matches(_keys(one), _keys(many))
        near = {i: j for i, j in _near(one, many, thumbs).items() if i not in exact}
        for found, kind in ((exact, 'exact copies'), (near, 'near copies (re-encoded or resized)')):
            if found:
                out.append(f'{len(found):,} of {len(one):,} {name} images have {kind} among the {of} images'
                           f'{_named(one, many, found)}.')  # fmt: skip
    return out + _contradictions(source.train) + _formats(source)


def _keys(split):
    """A key of the content of each image, None where it is not known."""
    stamps = split.images.stamps(split.rows)
    parts = [s.split(b'\0', 1)[1] if s.endswith(b'\n') and s.count(b'\0') == 2 else s for s in stamps]
    return [None if p.endswith(b'\x000\n') else p for p in parts]


def _matches(ones, many) -> dict:
    place = {key: j for j, key in reversed(list(enumerate(many))) if key is not None}
    return {i: place[key] for i, key in enumerate(ones) if key in place}


def _named(one, many, found) -> str:
    names, others = one.names(), many.names()
    if not names:
        return ''
    pairs = [f'{names[i]!r}' + (f' = {others[j]!r}' if others else '') for i, j in list(found.items())[:SHOWN]]
    return f': {", ".join(pairs)}' + (', …' if len(found) > SHOWN else '')


def _near(one, many, thumbs) -> dict:
    if min(one.shape[:2]) < SIDE:
        return {}
    for split in (one, many):
        if id(split) not in thumbs:
            thumbs[id(split)] = _thumbnails(split)
    if thumbs[id(one)] is None or thumbs[id(many)] is None:
        return {}
    (rows, small), (others, large) = thumbs[id(one)], thumbs[id(many)]
    a, b = _standard(small), _standard(large)
    near = _nearest(a, b)
    alike = np.einsum('nd,nkd->nk', a, b[near])
    best = np.take_along_axis(near, alike.argmax(1)[:, None], 1)[:, 0]
    copies = (alike.max(1) > _ALIKE) & (np.abs(small - large[best]).mean(1) < _NEAR)
    return {int(rows[i]): int(others[best[i]]) for i in np.flatnonzero(copies)}


def _nearest(a, b):
    """int64 [n, k]: of each row of `a` the rows of `b` that are nearest in a few principal components. Distances are
    never longer there, so a copy, which is near everywhere, is among them."""
    sample = b[np.unique(np.linspace(0, len(b) - 1, min(len(b), 2_000)).astype(int))]
    axes = np.linalg.eigh(sample.T @ sample)[1][:, -COMPONENTS:]
    near = KDTree(b @ axes).query(
        a @ axes, range(1, min(NEIGHBOURS, len(b)) + 1), distance_upper_bound=np.sqrt(2 - 2 * _ALIKE) + 1e-4, workers=-1
    )[1]
    return np.minimum(near, len(b) - 1)  # where fewer are that near, the tree's index is len(b)


def _standard(x):
    """Rows of mean 0 and length 1, whose products are correlations; 0 for plain ones, which match none."""
    x = x - x.mean(1, keepdims=True)
    length = np.sqrt(np.einsum('nd,nd->n', x, x))[:, None]
    return np.where(length > _PLAIN * np.sqrt(x.shape[1]), x / np.maximum(length, 1), 0)


def _thumbnails(split):
    """(places int64 [n], gray levels float32 [n, 256]) of an even sample, or None where it is not in memory."""
    held = split if split.images.in_memory() else split._compact
    if held is None or not len(held):
        return None
    places = np.unique(np.linspace(0, len(held) - 1, min(len(held), MOST)).astype(int))
    out = np.empty((len(places), SIDE * SIDE), np.float32)
    (h, w), array = split.shape[:2], held.images.array()

    def run(start, stop):
        images = array[held.rows[places[start:stop]]]
        x = sum(images[..., c].astype(np.float32) for c in range(images.shape[-1])) / images.shape[-1]
        for axis, size in ((1, h), (2, w)):
            edges = np.arange(SIDE) * size // SIDE
            counts = np.diff([*edges, size]).astype(np.float32)
            x = np.add.reduceat(x, edges, axis) / (counts[:, None] if axis == 1 else counts)
        out[start:stop] = x.reshape(len(x), -1)

    parallel(run, len(places), 256)
    return places, out


def _contradictions(train) -> list[str]:
    labels: dict = {}
    copies = 0
    for key, label in zip(_keys(train), train.labels.tolist()):
        if key is not None and label >= 0:
            copies += labels.setdefault(key, label) != label
    return [f'{copies:,} training images are exact copies of an image with another label.'] if copies else []


def _formats(source) -> list[str]:
    """Classes of which every file has a format, ending or size that no file of another class has."""
    train, names = source.train, source.train.names()
    if not names:
        return []
    seen: dict = {'file ending': {}, 'file format': {}, 'size in pixels': {}}
    endings = np.array([os.path.splitext(n)[1].lower().replace('.jpeg', '.jpg') for n in names])
    for label in range(len(source.classes)):
        rows = np.flatnonzero(train.labels == label)
        if not len(rows):
            continue
        seen['file ending'][label] = set(endings[rows].tolist())
        some = rows[np.unique(np.linspace(0, len(rows) - 1, min(HEADERS, len(rows))).astype(int))]
        headers = [h for h in map(_header, train.images.encoded(train.rows[some])) if h] if len(some) > 1 and _few(
            source) and hasattr(train.images, 'encoded') else []  # fmt: skip
        if headers:
            seen['file format'][label] = {h[0] for h in headers}
            seen['size in pixels'][label] = {h[1] for h in headers}
    out: list = []
    for what, values in seen.items():
        own = {}
        for label, found in values.items():
            others = set().union(*(v for other, v in values.items() if other != label))
            if len(found) == 1 and len(values) > 1 and not found & others:
                own[label] = next(iter(found))
        if own and not (what == 'file format' and any('file ending' in text for text in out)):
            listed = ', '.join(f'{source.classes[c]} ({v})' for c, v in list(own.items())[:SHOWN])
            out.append(f'{len(own)} of {len(values)} classes can be told apart by {what} alone: {listed}'
                       + (', …' if len(own) > SHOWN else '') + '.')  # fmt: skip
    return out


def _few(source):
    return len(source.classes) <= 100  # so that a start reads 2,000 files at most


def _header(data):
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.format, f'{image.width}x{image.height}'
    except Exception:  # whatever Pillow raises on a damaged file: that one is left out
        return None
