"""What a path names: the images of a folder, an archive or another source, with their splits and labels."""

import dataclasses
import os

import numpy as np

from ssljax import config as configs
from ssljax import targets
from ssljax.audit import look
from ssljax.data import sources
from ssljax.data import span as spans
from ssljax.data.sources.asked import Asked, Encoded
from ssljax.storage import paths

SPLITS = ('train', 'val', 'test', 'unlabeled')
ALL = 'all'  # the split of images whose folders cannot be understood


@dataclasses.dataclass(frozen=True)
class Given:
    """N images.

    Attributes:
      name: the source, as config.data.source has it.
      classes: their names; () if the folders cannot be understood.
      split: str [N], one of SPLITS, or ALL.
      labels: int32 [N], places in `classes` or, for multi-label images, rows of `sets`; -1 where there is none.
      names: of each image; for arrays 'train[7]'.
      parts: sources.Arrays or Encoded of each split, in the order of `split`.
      left_out: {why: names} of the files that are not among the images.
      span: (low, high), the values of more than 8 bits that become 0 and 255; None if there is no such range.
      trouble: {kind: why training would refuse these files}.
      sets: for multi-label images, uint8 [S, K], as in ssljax.targets; else None.
    """

    name: str
    classes: tuple
    split: np.ndarray
    labels: np.ndarray
    names: list
    parts: list
    left_out: dict
    span: tuple | None
    trouble: dict
    sets: np.ndarray | None = None

    @property
    def targets(self) -> targets.Targets:
        """What the labels mean."""
        return targets.of(len(self.classes), self.sets)

    @property
    def texts(self) -> list[str]:
        """What each label is called."""
        count = len(self.classes if self.sets is None else self.sets)
        return [self.targets.text(label, self.classes) for label in range(count)]

    def __len__(self):
        return len(self.labels)

    def rows(self, split: str) -> np.ndarray:
        """int64 [n]: the images of a split."""
        return np.flatnonzero(self.split == split)

    @property
    def splits(self) -> list[str]:
        """The splits that there are, in order."""
        have = set(self.split.tolist())
        return [name for name in (*SPLITS, ALL) if name in have]

    def image(self, row: int, side: int = 0, most: int = 0):
        """A Pillow image, L or RGB and upright, of which no side is made smaller than `side` pixels (0: whole). Raises
        what Pillow does."""
        for part in self.parts:
            if row < len(part.labels):
                break
            row -= len(part.labels)
        if isinstance(part, Encoded):
            return look.decoded(part.files.read(part.numbers[row]), self.span, most, side)[1]
        return look.plain(part.images[row])


def source(path: str) -> str:
    """What was meant, in the form of config.data.source: a path is a folder or an archive, an .npz or a CSV.

    Raises:
      ValueError: points in the plane, which are not images, or no path.
    """
    text = os.fspath(path)
    if not text:
        raise ValueError('give the path of a folder or an archive of images, or a source such as npz:PATH or digits.')
    if not os.path.exists(paths.expand(text)):
        kind, colon, _ = text.partition(':')
        if kind in sources.SOURCES and (colon or kind == sources.SOURCES[kind].FORM):
            if kind == 'circles':
                raise ValueError('circles are points in the plane: there are no images to check.')
            return text
    kind = {'.npz': 'npz', '.csv': 'csv', '.tsv': 'csv'}.get(os.path.splitext(text)[1].lower(), 'folder')
    return f'{kind}:{text}'


READ = ('pattern', 'images', 'multilabel', 'data_dir')  # the fields of config.data that say how files are understood


def read(path: str, **fields) -> Given:
    """Reads what a path names: files are listed, not decoded.

    Args:
      path: as `source` takes it.
      **fields: those of READ, a dot written __, as in data__pattern='{label}.{}.jpg'.

    Raises:
      FileNotFoundError: nothing is there.
      ValueError: it cannot be read, or holds no image.
      ImportError: a source of TensorFlow Datasets without TensorFlow.
    """
    text, config = source(path), _config(fields)
    config.source = text
    kind, _, rest = text.partition(':')
    trouble: dict = {}
    asked, module = Asked('source', text, rest), sources.SOURCES[kind]
    sources.check_own(config, asked, module)
    try:
        classes, found = module.read(asked, config)
    except ValueError as e:
        if kind != 'folder' or config.pattern:
            raise
        classes, found = (), {ALL: module.unlabeled(asked, config)}
        if not len(found[ALL].labels):
            raise
        trouble['layout'] = str(e)
    found = {name: found[name] for name in (*SPLITS, ALL) if name in found and len(found[name].labels)}
    parts, left_out = list(found.values()), {}
    span = None
    if isinstance(parts[0], Encoded):
        left_out, span = parts[0].files.left_out, _span(found, config.max_pixels, trouble)
    split = np.concatenate([np.full(len(part.labels), name) for name, part in found.items()])
    labels = np.concatenate([np.asarray(part.labels, np.int32) for part in parts])
    names = [name for split, part in found.items() for name in _names(split, part)]
    sets = found['train'].sets if 'train' in found else None
    return Given(text, tuple(classes), split, labels, names, parts, left_out, span, trouble, sets)


def _config(fields):
    """config.data with the fields that are given."""
    config = configs.base()
    for field, value in fields.items():
        section, _, name = field.replace('__', '.').partition('.')
        if section != 'data' or name not in READ:
            allowed = ', '.join(f'data.{known}' for known in READ)
            raise ValueError(f'a check does not take the field {field.replace("__", ".")!r}: it takes {allowed}.')
        config.data[name] = value
    return config.data


def _names(split, part):
    if isinstance(part, Encoded):
        return [str(part.files.names[n]) for n in part.numbers.tolist()]
    return [f'{split}[{i}]' for i in range(len(part.labels))]


def _span(found, most, trouble):
    """(low, high) from span.decide, or None; if the types are mixed, `trouble` gets the reason."""
    try:
        span = spans.decide(found, 'auto', most)
    except ValueError as e:
        trouble['depth'] = str(e)
        return None
    return span if isinstance(span, tuple) else None
