"""RegMixMatch: boxes, partners, labels and losses, against loops in numpy as the authors' code has them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax

from ssljax.config import base
from ssljax.data import resize_mix
from ssljax.methods import freematch, regmixmatch
from tests.methods.test_consistency import KEY, compare_of, seen

SIDE, CLASSES = 10, 3
spans = st.tuples(st.integers(0, SIDE), st.integers(0, SIDE)).map(sorted)


def pasted(image, other, box):
    """One image at a time: the central 0.9, resized to the box by nearest neighbours, torch's floor(i * in / out)."""
    top, bottom, left, right = box
    found, cut = image.copy(), int(0.9 * SIDE)
    start = (SIDE - cut) // 2
    centre = other[start : start + cut, start : start + cut]
    for r in range(top, bottom):
        for c in range(left, right):
            found[r, c] = centre[(r - top) * cut // (bottom - top), (c - left) * cut // (right - left)]
    return found


@settings(max_examples=25)
@given(spans, spans)
def test_a_whole_image_is_pasted_into_the_box(rows, columns):
    rng = np.random.default_rng(0)
    images, others = rng.random((2, 2, SIDE, SIDE, 1)).astype(np.float32)
    box = resize_mix.Box(*map(jnp.int32, (*rows, *columns)))
    want = [pasted(a, b, (*rows, *columns)) for a, b in zip(images, others)]
    np.testing.assert_array_equal(resize_mix.paste(images, others, box), want)
    share = 1 - (rows[1] - rows[0]) * (columns[1] - columns[0]) / SIDE**2
    assert float(resize_mix.kept(SIDE, SIDE, box)) == pytest.approx(share, abs=1e-6)


@pytest.mark.parametrize('alpha', [1.0, 16.0])
def test_the_boxes_are_those_of_the_authors_code(alpha):
    """Means and spreads of the borders, over 4,000 boxes of each."""
    rng, side, count = np.random.default_rng(0), 32, 4000
    boxes = jax.vmap(lambda key: jnp.stack(resize_mix.draw(key, side, side, alpha)))(jax.random.split(KEY, count))
    cut = (side * (0.1 + 0.7 * np.sqrt(rng.beta(alpha, alpha, count)))).astype(int)
    row, column = rng.integers(side, size=(2, count))
    borders = [row - cut // 2, row + cut // 2, column - cut // 2, column + cut // 2]
    want = np.clip(borders, 0, side).T
    np.testing.assert_allclose(boxes.mean(0), want.mean(0), atol=0.7)
    np.testing.assert_allclose(boxes.std(0), want.std(0), atol=0.5)
    area = lambda b: (b[:, 1] - b[:, 0]) * (b[:, 3] - b[:, 2]) / side**2
    assert abs(area(np.asarray(boxes)).mean() - area(want).mean()) < 0.01


def mixing(seed, certain):
    """(x [B + U, ...], mixed images, targets, own labels, hard labels) of 4 labelled and 6 unlabelled images."""
    rng = np.random.default_rng(seed)
    labeled, strong = (
        rng.random((4, SIDE, SIDE, 1)).astype(np.float32),
        rng.random((6, SIDE, SIDE, 1)).astype(np.float32),
    )
    labels = np.eye(CLASSES, dtype=np.float32)[[0, 0, 1, 1]]  # the third class has no label
    p = softmax(rng.normal(size=(6, CLASSES)), 1).astype(np.float32)
    p[5] = 0.2, 0.2, 0.6
    x, targets = regmixmatch.mixed(jax.random.key(seed), labeled, strong, labels, p, jnp.array(certain))
    own = np.concatenate([labels, np.where(np.array(certain)[:, None], np.eye(CLASSES)[p.argmax(1)], p)])
    return np.concatenate([labeled, strong]), np.asarray(x), np.asarray(targets), own, own.argmax(1)


def test_who_is_pasted_into_whom():
    """Certain and labelled images are permuted among themselves; into an uncertain one comes one of these, in half of
    the steps of its own predicted class."""
    certain, aware = [True, True, False, False, False, False], []
    for seed in range(12):
        x, mixed, targets, own, hard = mixing(seed, certain)
        whole = np.array([True] * 4 + certain)
        same_class = []
        for i in range(10):
            changed = (mixed[i] != x[i]).any(-1)
            share = changed.mean()
            if not share:
                np.testing.assert_allclose(targets[i], own[i], atol=1e-6)
                continue
            partners = [j for j in np.flatnonzero(whole) if np.isin(mixed[i][changed], x[j]).all()]
            assert len(partners) == 1
            j = partners[0]
            rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
            share = len(range(rows[0], rows[-1] + 1)) * len(range(columns[0], columns[-1] + 1)) / SIDE**2
            want = (1 - share) * own[i] + share * np.eye(CLASSES)[hard[j]]
            np.testing.assert_allclose(targets[i], want, atol=1e-5)
            if not whole[i]:
                same_class.append(hard[i] == hard[j])
        np.testing.assert_allclose(targets.sum(1), 1, atol=1e-5)
        aware.append(all(same_class))
    assert any(aware) and not all(aware)


def test_a_permutation_of_some_rows():
    among = jnp.array([True, False, True, True, False, True])
    found = [regmixmatch.shuffled(jax.random.key(i), among)[among].tolist() for i in range(20)]
    assert all(sorted(rows) == [0, 2, 3, 5] for rows in found) and len(set(map(tuple, found))) > 5


def test_the_losses_by_the_authors_code():
    rng, certain = np.random.default_rng(0), np.array([True, False, False])
    logits, confidence = rng.normal(size=(5, CLASSES)), np.array([0.999, 0.5, 0.8])
    targets = softmax(rng.normal(size=(5, CLASSES)), 1)
    mixup = -(targets * log_softmax(logits, 1)).sum(1)[[0, 1, 2]].sum() / 3
    low = [3, 4]
    aware = ((softmax(logits, 1)[low] - targets[low]) ** 2).mean() * (confidence[1:] ** 3).mean()
    got = regmixmatch.mixed_loss(*map(jnp.asarray, (logits, targets, confidence, certain)))
    assert float(got) == pytest.approx(mixup + aware, rel=1e-5)
    every = regmixmatch.mixed_loss(
        jnp.asarray(logits), jnp.asarray(targets), jnp.asarray(confidence), jnp.ones(3, bool)
    )
    assert float(every) == pytest.approx(-(targets * log_softmax(logits, 1)).sum() / 3, rel=1e-5)


def test_its_thresholds_are_those_of_freematch(monkeypatch):
    kept, options = compare_of(monkeypatch, 'regmixmatch', fairness=0.001), base().semi.freematch
    own, memory = freematch.adaptive(options, CLASSES)
    guess = np.random.default_rng(0).normal(size=(4, CLASSES))
    found, want = kept['compare'](seen(guess), kept['memory'](4)), own(seen(guess), memory(4))
    jax.tree.map(np.testing.assert_array_equal, found, want)
    assert kept['further']
