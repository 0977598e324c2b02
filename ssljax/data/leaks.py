"""Signs that a test is easier than it looks: copies of its images among the others, and classes that differ only by the
kind of their files."""

import io
import os

import numpy as np
from PIL import Image

from ssljax.data import copies

MOST = 20_000  # images of a split whose pixels are compared: an even sample of more
HEADERS = 20  # files of a class that are opened for their format and size
SHOWN = 3


def find(source) -> list[str]:
    """Warnings about a Source, each a sentence; [] if nothing was found.

    Exact copies are found by the size and CRC-32 of files or by pixels; re-encoded, resized and brighter ones by small
    pictures (copies.py) of images that are in memory, for at most `MOST` images per split.
    """
    if np.prod(source.shape[:2]) < copies.FEW:
        return []
    splits = {'test': source.test, 'training': source.train, 'unlabelled': source.unlabeled, 'validation': source.val}
    splits = {name: split for name, split in splits.items() if split is not None}
    groups, out = _near(splits), []
    for name, of in (('test', 'training'), ('test', 'unlabelled'), ('validation', 'training')):
        if name not in splits or of not in splits:
            continue
        one, many = splits[name], splits[of]
        exact = _matches(copies.keys(one), copies.keys(many))
        near = {i: j for i, j in _between(groups, name, of).items() if i not in exact}
        for found, kind in ((exact, 'exact copies'), (near, 'near copies (re-encoded or resized)')):
            if found:
                out.append(f'{len(found):,} of {len(one):,} {name} images have {kind} among the {of} images'
                           f'{_named(one, many, found)}.')  # fmt: skip
    return out + _contradictions(source.train) + _formats(source)


def _between(groups, one, many) -> dict:
    """{place in a split: that of a near copy in another}, in order."""
    found: dict = {}
    for group in groups:
        others = [place for name, place in group if name == many]
        found |= {place: others[0] for name, place in group if name == one and others}
    return dict(sorted(found.items()))


def _matches(ones, many) -> dict:
    place = {key: j for j, key in reversed(list(enumerate(many))) if key is not None}
    return {i: place[key] for i, key in enumerate(ones) if key in place}


def _named(one, many, found) -> str:
    names, others = one.names(), many.names()
    if not names:
        return ''
    pairs = [f'{names[i]!r}' + (f' = {others[j]!r}' if others else '') for i, j in list(found.items())[:SHOWN]]
    return f': {", ".join(pairs)}' + (', …' if len(found) > SHOWN else '')


def _near(splits) -> list:
    """[(name of a split, place), ...] of each group of near copies, of the splits that are in memory."""
    thumbs = {name: found for name, split in splits.items() if (found := _thumbnails(split)) is not None}
    if not thumbs:
        return []
    at = [(name, int(place)) for name, (places, _) in thumbs.items() for place in places]
    parts = [small for _, small in thumbs.values()]
    chroma = np.concatenate([p.chroma for p in parts]) if parts[0].chroma is not None else None
    pairs, _ = copies.near(copies.Small(np.concatenate([p.luma for p in parts]), chroma), copies.QUICK)
    group = copies.groups(pairs, len(at))
    return [[at[row] for row in rows] for rows in copies.members(group)]


def _thumbnails(split):
    """(places int64 [n], copies.Small) of an even sample, or None if the split is not in memory or too small."""
    held = split if split.images.in_memory() else split._compact
    if held is None or not len(held) or min(split.shape[:2]) < copies.LEAST:
        return None
    places = np.unique(np.linspace(0, len(held) - 1, min(len(held), MOST)).astype(int))
    return places, copies.of_rows(held.images.array(), held.rows[places])


def _contradictions(train) -> list[str]:
    labels: dict = {}
    found = 0
    for key, label in zip(copies.keys(train), train.labels.tolist()):
        if key is not None and label >= 0:
            found += labels.setdefault(key, label) != label
    return [f'{found:,} training images are exact copies of an image with another label.'] if found else []


def _formats(source) -> list[str]:
    """Classes all of whose files have a format, extension or size that no file of another class has."""
    train, names = source.train, source.train.names()
    if not names:
        return []
    seen: dict = {'file extension': {}, 'file format': {}, 'size in pixels': {}}
    endings = np.array([os.path.splitext(n)[1].lower().replace('.jpeg', '.jpg') for n in names])
    if source.targets.multilabel:  # images have several classes, so that no format is one class's own
        return []
    for label in range(len(source.classes)):
        rows = np.flatnonzero(train.labels == label)
        if not len(rows):
            continue
        seen['file extension'][label] = set(endings[rows].tolist())
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
        if own and not (what == 'file format' and any('file extension' in text for text in out)):
            listed = ', '.join(f'{source.classes[c]} ({v})' for c, v in list(own.items())[:SHOWN])
            out.append(f'{len(own)} of {len(values)} classes can be told apart by {what} alone: {listed}'
                       + (', …' if len(own) > SHOWN else '') + '.')  # fmt: skip
    return out


def _few(source):
    return len(source.classes) <= 100  # so that a start reads at most 2,000 files


def _header(data):
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.format, f'{image.width}x{image.height}'
    except Exception:  # whatever Pillow raises on a damaged file: that one is left out
        return None
