"""What a field of config.data asks for, and what a source answers with."""

from typing import Any, NamedTuple

import numpy as np


class Asked(NamedTuple):
    """`field` of config.data is `text`: a kind of source and, after a colon, `rest`. As a string, for messages."""

    field: str
    text: str
    rest: str

    def __str__(self):
        return f'config.data.{self.field}={self.text!r}'


class Arrays(NamedTuple):
    """Images in memory, uint8 [N, H, W, C], and their labels, int [N], -1 if there is none; sets: if labels stand for
    several classes, uint8 [S, K], as in ssljax.targets."""

    images: np.ndarray
    labels: np.ndarray
    sets: np.ndarray | None = None


class Encoded(NamedTuple):
    """Encoded images: of `files` (folder.Files) those with the numbers, int64 [N]; their labels and
    sets as those of Arrays; and their groups as in a Split, or None."""

    files: Any
    numbers: np.ndarray
    labels: np.ndarray
    groups: np.ndarray | None = None
    sets: np.ndarray | None = None


def without_labels(split):
    """The Arrays or Encoded of the same images with the labels -1."""
    return split._replace(labels=np.full(len(split.labels), -1, np.int32))
