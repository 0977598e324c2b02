"""Groups of copies in a data set: the same file, the same pixels, or nearly the same picture."""

import hashlib
from typing import NamedTuple

import numpy as np

from ssljax.audit.given import Given
from ssljax.audit.scan import Scan
from ssljax.data import copies
from ssljax.data.memory import parallel

FILE, PIXELS, NEAR = 'file', 'pixels', 'near'  # how two images are the same: of the kinds that fit, the first
_LIKELY = 6  # gray levels by which small pictures of the same pixels may differ: JPEGs are decoded at a reduced size
_MOST = 4_000  # images that are decoded whole to compare pixels


class Doubles(NamedTuple):
    """Pairs int64 [P, 2], how str [P], correlation float32 [P], and group int64 [N], the place of the first image of
    each one's group. turned: [(image, its mirrored or rotated copy, how)], which are not in its group."""

    pairs: np.ndarray
    how: np.ndarray
    alike: np.ndarray
    group: np.ndarray
    turned: list = []

    def members(self) -> list:
        """int64 [n] of each group of two or more, in order."""
        return copies.members(self.group)


def find(given: Given, scan: Scan, most: int = 0) -> Doubles:
    """Copies among the images that can be decoded; of those with fewer than copies.LEAST pixels per side, only equal
    ones."""
    good = np.flatnonzero(scan.good)
    keys = [(int(a), int(b), int(n)) for (a, b), n in zip(scan.digests[good], scan.bytes[good])]
    same = good[copies.equal_keys(keys)]
    once = np.setdiff1d(good, same[:, 1])
    sides = np.minimum(scan.column('width'), scan.column('height'))
    large = once[sides[once] >= copies.LEAST]
    near, alike = copies.near(scan.small.of(large))
    near = large[near]
    equal = _same_pixels(given, scan, near, most)
    how = np.concatenate([np.full(len(same), FILE), np.where(equal, PIXELS, NEAR)]).astype(object)
    pairs = np.concatenate([same, near])
    group = copies.groups(pairs, len(given))
    turned = _turned(scan.small, large, group)
    return Doubles(pairs, how, np.concatenate([np.ones(len(same)), alike]), group, turned)


def _turned(small, rows, group) -> list:
    """[(image, its copy, how)] of the `rows` that are mirrored or rotated copies, one of each pair of groups."""
    pairs = rows[copies.near(copies.upright(small.of(rows)))[0]]
    found: dict = {}
    for a, b in pairs[group[pairs[:, 0]] != group[pairs[:, 1]]].tolist():
        if how := copies.turn(small.luma[a], small.luma[b]):
            found.setdefault((int(group[a]), int(group[b])), (a, b, how))
    return list(found.values())


def _same_pixels(given, scan, pairs, most):
    """bool [P]: whether both images of a pair have the same pixels; only those that are likely to are decoded."""
    sizes = np.stack([scan.column('width'), scan.column('height')], 1)
    likely = (sizes[pairs[:, 0]] == sizes[pairs[:, 1]]).all(1)
    apart = [int(np.abs(scan.small.luma[a].astype(np.int16) - scan.small.luma[b]).max()) for a, b in pairs]
    likely &= np.array(apart, int) <= _LIKELY
    rows = np.unique(pairs[likely])[:_MOST]
    found: list = [None] * len(rows)

    def run(start, stop):
        for i in range(start, stop):
            image = given.image(int(rows[i]), most=most)
            found[i] = hashlib.sha256(f'{image.mode}{image.size}'.encode() + image.tobytes()).digest()

    parallel(run, len(rows), 16, title='comparing pixels')
    digest = dict(zip(rows.tolist(), found))
    return np.array([a in digest and digest[a] == digest.get(b) for a, b in pairs.tolist()], bool)
