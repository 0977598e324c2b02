"""Which images to label: a list of them, or those that represent the rest."""

import codecs
import functools
import os
import re
import unicodedata
from pathlib import Path

import numpy as np

from ssljax.data.names import from_line
from ssljax.storage import paths

MOST = 1 << 30  # bytes of a list
NEIGHBORS = 20  # over which an image's typicality is taken


def listed(path, names, labels, around=''):
    """The rows of a list of images.

    Args:
      path: a text file (UTF-8, or UTF-16 with its mark) with one image per line: its name in the folder or archive
        ('train/cat/17.jpg', or any end of it after a slash that only one image has), which may be written as a JSON
        string, or its row number; empty lines and comments, from # on, are left out. A full name takes precedence
        over the end of another, and a name with # in it over a comment.
      names: the training images' names, or None if they have none.
      labels: int32 [N], -1 where unknown.
      around: the path of the folder or archive that holds the images: a line may begin with it, or with its last part.

    Returns:
      int64 [n], sorted.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is not a file; or a line names no image, several, one without a label, or one already listed.
    """
    path = paths.expand(path)
    if not os.path.isfile(path):
        if os.path.exists(path):
            raise ValueError(f'config.data.labels: the list {path!r} is {paths.kind(path)}: give a text file.')
        raise FileNotFoundError(
            f'config.data.labels names the list {path!r}, but there is no such file{paths.obstacle(path)}.'
        )
    known, rows = Known(names or (), len(labels), around), {}
    lines = lines_of(path)
    for number, line in enumerate(lines, 1):
        word, found = known.find(line)
        if not word:
            continue
        problem = ''
        if not found:
            problem = 'is not a training image' + _advice(lines, word, known, names, len(labels))
        elif len(found) > 1:
            problem = f'matches {len(found)} images: give more of its path'
        elif found[0] in rows:
            problem = f'is already on line {rows[found[0]]}: remove one of the two'
        elif labels[found[0]] < 0:
            problem = 'has no known label'
        if problem:
            raise ValueError(f'{path}, line {number}: {word!r} {problem}.')
        rows[found[0]] = number
    if not rows:
        raise ValueError(f'{path} lists no images: write one name per line.')
    return np.sort(np.fromiter(rows, np.int64))


def _advice(lines, word, known, names, count) -> str:
    """What a line that names no image should look like."""
    if not names:
        return f': give row numbers from 0 to {count - 1}'
    like = f'names look like {names[0]!r}'
    for mark, kind in ((',', 'commas'), ('\t', 'tabs'), (';', 'semicolons')):
        parts = [line.split(mark) for line in lines if mark in line]
        if mark in word and (word == lines[0].strip() or any(known.find(part)[1] for part in word.split(mark))):
            width = len(parts[0])
            return (
                f': the lines have {width} columns separated by {kind}, but one name per line is expected, with no '
                f'header and no labels (the folder of an image gives its class); {like}'
            )
    return f': {like}'


def lines_of(path, head=0):
    """The lines of a text file, or of its first `head` bytes, without line ends; bytes that are not UTF-8 are kept as
    in the system's file names.

    Raises:
      ValueError: it is not UTF-8 or UTF-16, or has more than MOST bytes.
      OSError: it cannot be read.
    """
    with open(path, 'rb') as file:
        content = file.read(head or MOST + 1)
    if len(content) > MOST:
        raise ValueError(f'The list {path!r} has more than {MOST:,} bytes: is it the right file? Otherwise split it.')
    wide = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    try:
        if content.startswith(wide):
            text = content.decode('utf-16')
        elif b'\0' in content[:2]:  # without its mark; a name has no NUL
            text = content.decode('utf-16-be' if content[:1] == b'\0' else 'utf-16-le')
        else:
            text = content.removeprefix(codecs.BOM_UTF8).decode('utf-8', 'surrogateescape')
    except UnicodeDecodeError as e:
        raise ValueError(f'The list {path!r} is not UTF-8 or UTF-16 text ({e}).') from e
    return re.split('\r\n|\n|\r', text)


class Known:
    """What the lines of a list can name: `names`, also below `around`, ends of them after a slash, and rows below
    `count`."""

    def __init__(self, names, count, around=''):
        self.full, self.count, self._names = {}, count, names
        self.around = os.path.abspath(around) if around else ''
        for row, name in enumerate(names):
            self.full.setdefault(name, []).append(row)

    @functools.cached_property
    def ends(self):
        """{what follows a slash in a name: its rows}."""
        found: dict = {}
        for row, name in enumerate(self._names):
            start = name.find('/') + 1
            while start:
                found.setdefault(name[start:], []).append(row)
                start = name.find('/', start) + 1
        return found

    def find(self, line):
        """(what the line names, '' for nothing; the rows that this could be)."""
        name, quoted = from_line(line)
        if quoted and (found := self.named(name)):
            return name, found
        for known in (self.full, self.ends):
            for word in (line, line.strip()):
                if found := known.get(word):
                    return word, found
        marks = [m.start() for m in re.finditer('#', line)]
        for end in (None, *reversed(marks)):  # the longest prefix that is a name, which may contain #
            word = line[:end].strip()
            if word and (found := self.named(word)):
                return word, found
        comment = re.search(r'(^|\s)#' if self.full else '#', line)
        word = line[: comment.start() if comment else None].strip()
        row = int(word) if word.isdecimal() and len(word) < 20 else self.count
        return word, [row] if row < self.count else []

    def named(self, word):
        """The rows that a name could be, as it is or in another form of Unicode; [] for none."""
        plain = word.removeprefix('./')
        for known in (self.full, self.ends):
            forms = (unicodedata.normalize(form, plain) for form in ('NFC', 'NFD'))
            for one in (word, plain, plain.replace('\\', '/'), *forms):
                if found := known.get(one):
                    return found
        return self._below(plain.replace('\\', '/'))

    def _below(self, word):
        """The rows of a whole name that follows the path of the source, or the last part of that path. Folders around
        everything in the source, which names leave out, may be between."""
        if not self.around:
            return []
        parts, top = word.split('/'), os.path.basename(self.around)
        tops = {top} if os.path.isdir(self.around) else {top, re.sub(r'(\.tar)?\.\w+$', '', top)}
        root = os.path.realpath(self.around)
        for start in range(1, len(parts)):
            before, found = '/'.join(parts[:start]), self.full.get('/'.join(parts[start:]))
            inside = os.path.isabs(word) and Path(os.path.realpath(before)).is_relative_to(root)
            if found and (inside or parts[start - 1] in tops or os.path.isfile(os.path.join(self.around, word))):
                return found
        return []


def typical(features, count: int, seed: int):
    """`count` rows that represent all: the most typical of each of `count` clusters.

    TypiClust for a first label set (Hacohen, Dekel & Weinshall, ICML 2022, arXiv:2202.02794, section 3): k-means on
    features of unit length; typicality is the inverse of the mean distance to the `NEIGHBORS` nearest rows of the same
    cluster, or to all if it is smaller.

    Args:
      features: float32 [N, D], N at least `count`, of a network trained without labels.
      count: how many.
      seed: of k-means.

    Returns:
      int64 [count], sorted.
    """
    from sklearn.cluster import KMeans  # it takes a second to import

    if count >= len(features):
        return np.arange(len(features))
    x = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    owner = KMeans(count, n_init=1, max_iter=50, random_state=seed).fit_predict(x)
    chosen = []
    for cluster in np.unique(owner):
        rows = np.flatnonzero(owner == cluster)
        chosen.append(rows[typicality(x[rows]).argmax()])
    rest = np.setdiff1d(np.arange(len(x)), chosen)  # k-means can leave clusters empty if rows are equal
    return np.sort(np.concatenate([chosen, rest[: count - len(chosen)]]).astype(np.int64))


def typicality(x) -> np.ndarray:
    """float64 [n], how near each row of x, [n, D], is to its `NEIGHBORS` nearest: minus the mean distance, which orders
    rows as the paper's inverse does."""
    from sklearn.neighbors import NearestNeighbors  # it takes a second to import

    near = min(NEIGHBORS, len(x) - 1)
    if not near:
        return np.zeros(len(x))
    distances, _ = NearestNeighbors(n_neighbors=near + 1).fit(x).kneighbors(x)
    return -distances[:, 1:].mean(1)
