"""Copies among images: re-encoded, resized or slightly brighter ones are found by small pictures of all of them.

Each image has a small picture of gray levels. Scaled to mean 0 and length 1, their products are correlations, and their
principal components are a perceptual hash that increases no distance: no copy is further away there than in the picture
itself, so a tree of neighbours (Bentley 1975) misses none of those that the comparison of whole pictures would accept.
"""

from typing import NamedTuple

import numpy as np

from ssljax.data.memory import parallel

FEW = 64  # pixels of an image, below which equal ones are not copies: points, whose few values repeat by chance
LEAST = 16  # pixels: in smaller images two different ones can look the same
MOST = 100_000  # images of a split that `together` compares
_HASHED = 16  # pixels per side of the picture that the components are taken from
_COMPONENTS, _SAMPLE = 16, 2_000  # principal components, and images that they are fitted to
_NEIGHBOURS = 8  # of each image that are compared whole
_LEAF = 40  # images of a leaf of the tree
THOROUGH, QUICK = (
    0.955,
    0.99,
)  # least correlation of copies: what is nearly sure to find them, and what takes half as long
_PLAIN = 4.0  # gray levels of standard deviation: plainer pictures are compared with none
_CROWD = 5  # if so many neighbours are nearly as similar, pictures are all alike, and none need be a copy
_DETAIL, _ORDER, _APART = 0.85, 0.6, 0.5  # of copies in general: see `_copied`
_SMOOTH, _SMOOTH_DETAIL, _SMOOTH_APART = 0.99, 0.4, 0.35  # of pictures with little detail
_EQUAL, _EQUAL_DETAIL = 0.997, 0.985  # of pictures that need not be apart from others
_GAIN, _SHIFT = 2.0, 96.0  # by which contrast and brightness of a copy may differ
_COLOUR = 6.0  # mean difference of colour, in levels, apart from its strength
_GRAY = 2.5  # levels of colour under which an image is gray: it may be a copy of a coloured one


class Small(NamedTuple):
    """Small pictures of N images: luma uint8 [N, S, S], S at least 16 and even; chroma uint8 [N, c, c, 2], Cb and Cr,
    128 for gray, or None."""

    luma: np.ndarray
    chroma: np.ndarray | None = None

    def of(self, rows) -> 'Small':
        """Those of `rows`, int64 [n]."""
        return Small(self.luma[rows], None if self.chroma is None else self.chroma[rows])


def near(small: Small, least: float = THOROUGH) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of images of which one is a copy of the other, equal pictures included.

    Args:
      small: of N images.
      least: correlation of gray levels, below which nothing is a copy.

    Returns:
      (int64 [P, 2], places with the smaller one first, sorted; float32 [P], their correlations). Of many equal pictures
      each is paired with the first alone; `groups` brings them together.
    """
    first, equal = _equal(small)
    kept = np.flatnonzero(first == np.arange(len(first)))
    kept = kept[_deviation(small.luma, kept) >= _PLAIN]
    found, alike = equal[:0], np.zeros(0)
    if len(kept) > 1:
        radius = float(np.sqrt(2 - 2 * least))
        found, alike = _verified(small, kept, _neighbours(small.luma, kept, radius), radius)
    pairs = np.concatenate([found, equal])
    alike = np.concatenate([alike, np.ones(len(equal))]).astype(np.float32)
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    return pairs[order], alike[order]


def upright(small: Small) -> Small:
    """Each picture in that of its eight mirrored and rotated forms whose left half is lighter than the right by more
    than the upper is than the lower, and that by more than nothing: this is the same for an image and its mirror image,
    except for pictures whose halves are equally light."""
    luma, chroma = small.luma.copy(), None if small.chroma is None else small.chroma.copy()
    half = luma.shape[1] // 2
    left, top = (luma[part].mean((1, 2), dtype=np.float64) for part in (np.s_[:, :, :half], np.s_[:, :half]))
    mean = luma.mean((1, 2), dtype=np.float64)
    rows = left < mean, top < mean, np.abs(left - mean) < np.abs(top - mean)
    for x in (luma,) if chroma is None else (luma, chroma):
        x[rows[0]] = x[rows[0]][:, :, ::-1]
        x[rows[1]] = x[rows[1]][:, ::-1]
        x[rows[2]] = x[rows[2]].swapaxes(1, 2)
    return Small(luma, chroma)


def turn(one, other) -> str:
    """How a picture uint8 [S, S] became another: 'mirrored' (also upside down, or on a diagonal) or 'rotated'; '' if it
    is nearest to it as it is."""
    a = one.astype(np.float64) - one.mean()
    forms: dict[str, float] = {}
    for quarter in range(4):
        for word, b in (('rotated' if quarter else '', other), ('mirrored', other[:, ::-1])):
            b = np.rot90(b, quarter)
            forms[word] = max(forms.get(word, -np.inf), float((a * b).sum()))
    return max(forms, key=lambda word: forms[word])


def small(images) -> Small:
    """Small pictures of uint8 [N, H, W, C], no side below LEAST: means of boxes; alpha is left out."""
    n, h, w, c = images.shape
    side = 32 if min(h, w) >= 32 else LEAST
    if c < 3:
        return Small(_boxes(images[..., 0], side))
    r, g, b = (images[..., i].astype(np.float32) for i in range(3))
    y = 0.299 * r + 0.587 * g + 0.114 * b
    return Small(_boxes(y, side), np.stack([_boxes(128 + 0.564 * (b - y), 8), _boxes(128 + 0.713 * (r - y), 8)], -1))


def of_rows(array, rows) -> Small:
    """As `small`, for rows int64 [n] of an array uint8 [N, H, W, C]; in parallel."""
    found: dict = {}

    def run(start, stop):
        found[start] = small(array[rows[start:stop]])

    parallel(run, len(rows), 256)
    parts = [found[start] for start in sorted(found)]
    chroma = np.concatenate([part.chroma for part in parts]) if parts[0].chroma is not None else None
    return Small(np.concatenate([part.luma for part in parts]), chroma)


def keys(split) -> list:
    """A key of the content of each image of a Split, from the size and CRC-32 of its file or of its pixels; None if it
    is not known."""
    stamps = split.images.stamps(split.rows)
    parts = [s.split(b'\0', 1)[1] if s.endswith(b'\n') and s.count(b'\0') == 2 else s for s in stamps]
    return [None if p.endswith(b'\x000\n') else p for p in parts]


def together(split) -> np.ndarray:
    """As `groups`, for a Split: equal images, and near copies if it is in memory and has at most MOST images."""
    if np.prod(split.shape[:2]) < FEW:
        return np.arange(len(split))
    pairs = [_equal_files(split)]
    held = split if split.images.in_memory() else split._compact
    if held is not None and 1 < len(held) <= MOST and min(split.shape[:2]) >= LEAST:
        pairs.append(near(of_rows(held.images.array(), held.rows), QUICK)[0])
    return groups(np.concatenate(pairs), len(split))


def _equal_files(split):
    """As equal_keys, for the images of a Split; files whose size no other has are not read for it."""
    if not hasattr(split.images, 'sizes'):
        return equal_keys(keys(split))
    _, place, count = np.unique(split.images.sizes(split.rows), return_inverse=True, return_counts=True)
    rows = np.flatnonzero(count[place] > 1)
    return rows[equal_keys(keys(split.take(rows)))]


def _boxes(x, side):
    """uint8 [n, side, side] of [n, h, w]."""
    x = x.astype(np.float32)
    for axis in (1, 2):
        edges = np.arange(side) * x.shape[axis] // side
        counts = np.diff([*edges, x.shape[axis]]).astype(np.float32)
        x = np.add.reduceat(x, edges, axis) / (counts[:, None] if axis == 1 else counts)
    return np.rint(x).astype(np.uint8)


def groups(pairs, n: int) -> np.ndarray:
    """int64 [n]: a number for each group of images that are linked by pairs, the place of its first one; an image
    without a copy is a group of its own."""
    from scipy.sparse import coo_array  # scipy is not at the top: it takes a second to import, which few commands need
    from scipy.sparse.csgraph import connected_components

    pairs = np.asarray(pairs, np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), (n, n))
    _, label = connected_components(graph, directed=False)
    return np.unique(label, return_index=True)[1][label] if n else np.zeros(0, np.int64)


def members(group) -> list:
    """int64 [n] of each group of two or more, in order; group: from `groups`."""
    order = np.argsort(group, kind='stable')
    return [rows for rows in np.split(order, np.flatnonzero(np.diff(group[order])) + 1) if len(rows) > 1]


def equal_keys(keys) -> np.ndarray:
    """int64 [P, 2]: (the first item with its key, the item) for each item whose key occurred before; None is equal to
    nothing."""
    first: dict = {}
    found = [(first.setdefault(key, i), i) for i, key in enumerate(keys) if key is not None]
    return np.array([(i, j) for i, j in found if i != j], np.int64).reshape(-1, 2)


def _equal(small):
    """(int64 [N], the first image with the same picture; the pairs of those)."""
    chroma = small.chroma if small.chroma is not None else [None] * len(small.luma)
    keys = (a.tobytes() + (b.tobytes() if b is not None else b'') for a, b in zip(small.luma, chroma))
    pairs = equal_keys(keys)
    plain = _deviation(small.luma, pairs[:, 0]) < 1.0  # of one colour: that says nothing of what was there
    first = np.arange(len(small.luma))
    first[pairs[:, 1]] = pairs[:, 0]
    return first, pairs[~plain]


def _deviation(luma, rows):
    """float32 [n], gray levels."""
    out = np.empty(len(rows), np.float32)
    for part in _parts(len(rows)):
        out[part] = luma[rows[part]].reshape(len(rows[part]), -1).std(1, dtype=np.float32)
    return out


def _parts(n, size=8192):
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def _standard(luma):
    """float32 [n, 256]: rows of mean 0 and length 1, from pictures reduced to 16x16, or 0 for one of one colour."""
    n, side, _ = luma.shape
    step = max(side // _HASHED, 1)
    x = luma[:, : step * (side // step), : step * (side // step)].astype(np.float32)
    x = x.reshape(n, side // step, step, side // step, step).mean((2, 4)).reshape(n, -1)
    x -= x.mean(1, keepdims=True)
    length = np.sqrt(np.einsum('nd,nd->n', x, x))[:, None]
    return x / np.maximum(length, 1e-6)


def _neighbours(luma, kept, radius):
    """int64 [n, k]: places in `kept` of the nearest ones of each, without itself; n if there is none that near."""
    from scipy.spatial import KDTree

    sample = _standard(luma[kept[np.unique(np.linspace(0, len(kept) - 1, min(len(kept), _SAMPLE)).astype(int))]])
    axes = np.linalg.eigh(sample.T @ sample)[1][:, -_COMPONENTS:]
    points = np.concatenate([_standard(luma[kept[part]]) @ axes for part in _parts(len(kept))])
    ranks = range(1, min(_NEIGHBOURS + 1, len(kept)) + 1)
    near = KDTree(points, _LEAF).query(points, ranks, distance_upper_bound=radius + 1e-4, workers=-1)[1]
    near[near == np.arange(len(kept))[:, None]] = len(kept)
    return near


def _verified(small, kept, near, radius):
    """The pairs of neighbours that are copies, and their correlations."""
    at, rank = np.nonzero(near < len(kept))
    other = near[at, rank]
    found = [np.zeros(0), np.zeros(0), np.zeros(0)]
    if len(at):
        parts = [_compared(small.luma, kept[at[p]], kept[other[p]]) for p in _parts(len(at))]
        found = [np.concatenate(each) for each in zip(*parts)]
    alike, detail, order = found
    rough, fine = np.ones(near.shape), np.ones(near.shape)  # how far each neighbour is; 1 beyond the radius
    rough[at, rank], fine[at, rank] = 1 - alike, 1 - np.minimum(detail, order)
    crowds = [_crowd(x)[[at, other]].min(0) for x in (rough, fine)]
    good = _copied(alike, detail, order, np.minimum(crowds[0], radius**2 / 2), crowds[1])
    a, b = kept[at[good]], kept[other[good]]
    same = _same_light(small, a, b)
    pairs = np.stack([np.minimum(a, b), np.maximum(a, b)], 1)[same]
    pairs, once = np.unique(pairs, axis=0, return_index=True)
    return pairs, alike[good][same][once]


def _compared(luma, a, b):
    """Three correlations float32 [n] of pictures, at 16x16 pixels: of the gray levels; of the detail, by which they
    differ from their surroundings; and of the detail of their ranks, which single edges and brightness hardly
    affect."""
    from scipy.stats import rankdata

    rows, place = np.unique(np.concatenate([a, b]), return_inverse=True)
    x = _standard(luma[rows])
    ranks = rankdata(x, axis=1).astype(np.float32)
    out = []
    for y in (x, _detail(x), _detail(ranks)):
        out.append(np.einsum('nd,nd->n', y[place[: len(a)]], y[place[len(a) :]]))
    return out


def _detail(x):
    """Rows of length 1: pictures without what a 3x3 mean keeps."""
    from scipy.ndimage import uniform_filter

    x = x.reshape(-1, _HASHED, _HASHED)
    x = (x - uniform_filter(x, (0, 3, 3), mode='nearest')).reshape(len(x), -1)
    x -= x.mean(1, keepdims=True)
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-6)


def _crowd(distances):
    """[n]: how far the neighbour of rank _CROWD is; 1 if there are fewer."""
    return np.sort(distances, 1)[:, _CROWD - 1] if distances.shape[1] >= _CROWD else np.ones(len(distances))


def _copied(alike, detail, order, rough, fine):
    """bool [n]: whether a pair is one of copies, by `_compared` and by how far the crowd is.

    The levels were set on CIFAR-10 and Imagenette: with 400 images each and 22 changes nothing was taken for a copy
    that was not one, and what the first rule misses is brightened until half of it is white, or reduced to a quarter
    from 32 pixels.
    """
    copied = (detail > _DETAIL) & (order > _ORDER) & (1 - np.minimum(detail, order) < _APART * fine)
    smooth = (alike > _SMOOTH) & (detail > _SMOOTH_DETAIL) & (1 - alike < _SMOOTH_APART * rough)
    return copied | smooth | ((alike > _EQUAL) & (detail > _EQUAL_DETAIL))


def _same_light(small, a, b):
    """bool [n]: whether pictures have the same colours, and differ in brightness and contrast as copies may."""
    x, y = (small.luma[rows].reshape(len(rows), small.luma[0].size) for rows in (a, b))
    p, q = x.std(1), y.std(1)
    out = np.abs(x.mean(1) - y.mean(1)) < _SHIFT
    out &= np.maximum(p, q) < _GAIN * np.minimum(p, q)
    if small.chroma is not None:
        u, v = (small.chroma[rows].reshape(len(rows), small.chroma[0].size).astype(np.float32) - 128 for rows in (a, b))
        gray = (np.abs(u).mean(1) < _GRAY) | (np.abs(v).mean(1) < _GRAY)
        gain = np.clip((u * v).sum(1) / np.maximum((v * v).sum(1), 1), 1 / _GAIN, _GAIN)[:, None]
        out &= gray | (np.abs(u - gain * v).mean(1) < _COLOUR)
    return out
