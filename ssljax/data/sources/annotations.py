"""Labels that were given, one after the other, to images that came without: config.data.annotations.

A run keeps the file as it was when it began, as more labels may be added to it later.
"""

import unicodedata
from pathlib import Path

import numpy as np
from absl import logging

from ssljax.data import pick, table
from ssljax.data.sources.source import Source
from ssljax.data.split import Split, concat
from ssljax.storage import files, paths
from ssljax.targets import multilabel
from ssljax.text.literal import clean
from ssljax.text.wording import nearest, shown

FIELD = 'config.data.annotations'
KEPT = 'annotations.csv'  # in a run's folder


def keep(config, workdir) -> None:
    """Copies the file of config.data.annotations, if any, to a run's folder."""
    if config.annotations:
        content = Path(paths.expand(config.annotations)).read_bytes()
        if not (kept := Path(workdir) / KEPT).exists() or kept.read_bytes() != content:
            files.write_atomically(kept, content)


def as_kept(config, workdir):
    """config.data of a run, with the annotations that it began with."""
    if config.annotations and (Path(workdir) / KEPT).exists():
        config.annotations = str(Path(workdir) / KEPT)
    return config


def apply(source: Source, path: str, around: str) -> Source:
    """The Source with those of its unlabelled images among the training images that a CSV gives a class.

    Args:
      source: of image files.
      path: of a CSV with the columns path and label (table.py). Of several lines for one image, the last counts, and an
        empty label withdraws those before. A line that gives a training image the class it already has changes nothing.
      around: the folder or archive that holds the images: a path may begin with it.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: a line names no unlabelled image, or no class, or gives a training image another class; the message
        names the line.
    """
    found = table.read(path, FIELD)
    check_given(found.path, found.others)
    names = [] if source.unlabeled is None else source.unlabeled.names()
    if names is None:
        raise ValueError(f'{FIELD}={path!r}, but the unlabelled images of {source.name!r} are not files with names.')
    known, number_of, given = pick.Known(names, 0, around), Numbers(source), {}
    trained, had = pick.Known(source.train.names() or (), 0, around), 0
    for line, values in found.rows:
        where, word, label = f'{found.path}, line {line}', values['path'], unicodedata.normalize('NFC', values['label'])
        rows = table.either(word, known.named) if word.strip() else []
        if len(rows) > 1:
            raise ValueError(f'{where}: {word!r} could be {len(rows)} images: write more of its path.')
        number = number_of.of(label, where) if label else -1
        if rows:
            given[rows[0]] = number
        elif word and (old := table.either(word, trained.named)) and number in (-1, *source.train.labels[old[:1]]):
            had += 1
        else:
            raise ValueError(f'{where}: {word!r} {_why(word, source, trained, around)}.')
    if had:
        logging.warning('%r: %d lines name training images that %r has already labelled.', path, had, source.name)
    source = source._replace(sets=number_of.sets)
    return _moved(source, {row: label for row, label in given.items() if label >= 0})


class Numbers:
    """The numbers of labels; `sets` are those of a Source and, for multi-label images, further ones that were asked
    for."""

    def __init__(self, source: Source):
        self.sets, self._source = source.sets, source
        self._number_of = {name: i for i, name in enumerate(source.classes)}

    def of(self, label: str, where: str) -> int:
        """The number of a label; `where` names it in messages. Raises ValueError for one with an unknown class."""
        names = [clean(name) for name in (multilabel.parsed(label) if self.sets is not None else [label])]
        for name in names:
            if name not in self._number_of:
                classes = self._source.classes
                raise ValueError(
                    f'{where}: the class {shown(name)}{nearest(name, classes)} is not one of {self._source.name!r}: '
                    f'{", ".join(classes[:20])}{", ..." * (len(classes) > 20)}.'
                )
        numbers = [self._number_of[name] for name in names]
        if self.sets is None:
            return numbers[0]
        row = np.zeros(self.sets.shape[1], np.uint8)
        row[numbers] = 1
        same = np.flatnonzero((self.sets == row).all(1))
        if not len(same):
            self.sets = np.concatenate([self.sets, row[None]])
        return int(same[0]) if len(same) else len(self.sets) - 1


def check_given(path: str, columns) -> None:
    """Raises ValueError if the columns of a CSV say that its labels are a model's predictions."""
    if told := {'confidence', 'unlike'} & set(columns):
        raise ValueError(
            f"{path} has a column {min(told)}, so its labels are a model's predictions: give the file of the labelling "
            'page (--labels), or check each label and remove that column.'
        )


def _moved(source: Source, labels: dict) -> Source:
    """The Source with unlabelled images, {row: label}, among the training images, after the others."""
    whole, rows = source.unlabeled, np.array(sorted(labels), np.int64)
    if whole is None or not len(rows):
        return source
    groups = None if whole.groups is None else whole.groups[rows]
    moved = Split(whole.images, [labels[row] for row in rows.tolist()], whole.rows[rows], groups=groups)
    rest = np.setdiff1d(np.arange(len(whole)), rows)
    return source._replace(train=concat([source.train, moved]), unlabeled=whole.take(rest))


def _why(word: str, source: Source, trained: pick.Known, around: str) -> str:
    if rows := trained.named(word):
        return f'is already labelled {_label(source, rows[0])!r} in the data: correct it there'
    for title, split in (('validation', source.val), ('test', source.test)):
        if split is not None and pick.Known(split.names() or (), 0, around).named(word):
            return f'is a {title} image, and only unlabelled images can be labelled here'
    like = source.unlabeled.names()[0] if source.unlabeled is not None and len(source.unlabeled) else ''
    return 'is not an unlabelled image' + (f': names look like {like!r}' if like else f', and {source.name!r} has none')


def _label(source: Source, row: int) -> str:
    label = source.train.labels[row]
    return source.targets.text(label, source.classes) if label >= 0 else ''
