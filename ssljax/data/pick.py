"""Which images to label: a list of them, or those that represent the rest."""

import codecs
import json
import os
import re

import numpy as np

from ssljax import paths

NEIGHBORS = 20  # over which an image's typicality is taken


def listed(path, names, labels):
    """The rows of a list of images.

    Args:
      path: a text file with one image a line: its name in the folder or archive ('train/cat/17.jpg', or any end of it
        after a slash that only one image has), or its row number; a name of odd characters as a JSON string. Empty
        lines and comments, which begin with #, are left out. In UTF-8, or with a byte-order mark in UTF-16 or UTF-32.
      names: the training images' names, or None where they have none.
      labels: int32 [N], -1 where unknown.

    Returns:
      int64 [n], sorted.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: a line names no image, several, one without a label, or one that stands there already.
    """
    path = paths.expand(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(f'config.data.labels names the list {path!r}, but there is no such file.')
    whole, ends = {}, {}
    for row, name in enumerate(names or ()):
        whole.setdefault(name, []).append(row)
        parts = name.split('/')
        for start in range(1, len(parts)):
            ends.setdefault('/'.join(parts[start:]), []).append(row)
    rows = {}
    for number, line in enumerate(_lines(path), 1):
        found = []
        for word in _readings(line):
            found = whole.get(word) or ends.get(word, [])
            if not found and word.isdecimal() and int(word) < len(labels):
                found = [int(word)]
            if found:
                break
        else:
            if not (word := line.partition('#')[0].strip()):
                continue
        problem = ''
        if not found:
            problem = 'is no training image' + ('' if names else f' (a row number from 0 to {len(labels) - 1})')
        elif len(found) > 1:
            problem = f'could be {len(found)} images: write more of its path'
        elif found[0] in rows:
            problem = f'stands on line {rows[found[0]]}, too'
        elif labels[found[0]] < 0:
            problem = 'has no known class'
        if problem:
            raise ValueError(f'{path}, line {number}: {word!r} {problem}.')
        rows[found[0]] = number
    if not rows:
        raise ValueError(f'{path} lists no image: write one name a line.')
    return np.sort(np.fromiter(rows, np.int64))


def written(names) -> bytes:
    """A list of images as `listed` reads it; whatever a name is, it is read as the same name."""
    return ''.join(f'{json.dumps(name) if _odd(name) else name}\n' for name in names).encode()


def _odd(name: str) -> bool:
    return not name.isprintable() or name != name.strip() or name[:1] == '"' or '#' in name or name.startswith('./')


def _lines(path) -> list[str]:
    """The lines of a text file; bytes that are not UTF-8 become what they are in file names."""
    with open(path, 'rb') as file:
        data = file.read()
    marks = {codecs.BOM_UTF8: 'utf-8-sig', codecs.BOM_UTF32_LE: 'utf-32', codecs.BOM_UTF32_BE: 'utf-32'}
    marks |= {codecs.BOM_UTF16_LE: 'utf-16', codecs.BOM_UTF16_BE: 'utf-16'}
    encoding = next((encoding for mark, encoding in marks.items() if data.startswith(mark)), 'utf-8')
    try:
        text = data.decode(encoding, 'surrogateescape' if encoding.startswith('utf-8') else 'strict')
    except UnicodeDecodeError as e:
        raise ValueError(f'{path} begins as {encoding.upper()}, but is not: {e}.') from e
    return re.split('\r\n|\n|\r', text)


def _readings(line: str):
    """The names that a line may stand for, the likeliest first: '#' can begin a comment or be part of a name."""
    line = line.strip('\r\n')
    if line.lstrip().startswith('"'):
        try:
            word, _ = json.JSONDecoder().raw_decode(line.lstrip())
            yield word
        except json.JSONDecodeError:
            pass
    words = [line, line.strip()]
    words += [line[: m.start()].strip() for m in reversed(list(re.finditer(r'\s#', line)))]
    words += [line.partition('#')[0].strip()]
    for word in words:
        if word:
            yield word
            yield word.removeprefix('./')


def typical(features, count: int, seed: int):
    """`count` rows that represent all: of each of `count` clusters the most typical.

    TypiClust for a first label set (Hacohen, Dekel & Weinshall, ICML 2022, arXiv:2202.02794, section 3): k-means on
    features of unit length; typicality is the inverse of the mean distance to the `NEIGHBORS` nearest rows of the same
    cluster, or to all where it is smaller.

    Args:
      features: float32 [N, D], N at least `count`, of a network trained without labels.
      count: how many.
      seed: of k-means.

    Returns:
      int64 [count], sorted.
    """
    from sklearn.cluster import KMeans  # it takes a second to import
    from sklearn.neighbors import NearestNeighbors

    if count >= len(features):
        return np.arange(len(features))
    x = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    owner = KMeans(count, n_init=1, max_iter=50, random_state=seed).fit_predict(x)
    chosen = []
    for cluster in np.unique(owner):
        rows = np.flatnonzero(owner == cluster)
        near = min(NEIGHBORS, len(rows) - 1)
        if not near:
            chosen.append(rows[0])
            continue
        distances, _ = NearestNeighbors(n_neighbors=near + 1).fit(x[rows]).kneighbors(x[rows])
        chosen.append(rows[distances[:, 1:].mean(1).argmin()])
    rest = np.setdiff1d(np.arange(len(x)), chosen)  # k-means can leave clusters empty where rows are equal
    return np.sort(np.concatenate([chosen, rest[: count - len(chosen)]]).astype(np.int64))
