"""The copy finder: what must be found in pictures that it has not seen, and what must not."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ssljax.data import copies
from ssljax.data.partition import carve_test


def scene(seed, side=72):
    """A picture with large and small things, as photographs have, [side, side, 3] uint8; every seed another one."""
    rng = np.random.default_rng(seed)
    noise = [Image.fromarray(rng.integers(0, 256, (n, n, 3), np.uint8)) for n in (4, 9, 24)]
    layers = [np.asarray(image.resize((side, side), Image.Resampling.BICUBIC)) for image in noise]
    return np.uint8(0.5 * layers[0] + 0.3 * layers[1] + 0.2 * layers[2])


def changed(image, side, quality, gain, shift):
    """As a copy may be: brighter, resized and re-encoded."""
    x = np.clip((image.astype(float) - 128) * gain + 128 + shift, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(x).resize((side, side), Image.Resampling.BICUBIC).save(buffer, 'JPEG', quality=quality)
    return np.asarray(Image.open(buffer))


def small(images):
    parts = [copies.small(image[None]) for image in images]
    return copies.Small(np.concatenate([p.luma for p in parts]), np.concatenate([p.chroma for p in parts]))


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10**6),
    side=st.integers(40, 150),
    quality=st.integers(30, 100),
    gain=st.floats(0.75, 1.3),
    shift=st.floats(-20, 20),
)
def test_a_copy_is_found_and_another_picture_is_not(seed, side, quality, gain, shift):
    scenes = [scene(seed + i) for i in range(12)]
    pairs, alike = copies.near(small([*scenes, changed(scenes[4], side, quality, gain, shift)]))
    assert pairs.tolist() == [[4, 12]] and alike[0] > copies.THOROUGH - 0.01


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), order=st.randoms(use_true_random=False))
def test_the_order_of_the_images_does_not_matter(seed, order):
    scenes = [scene(seed + i) for i in range(8)]
    images = [*scenes, scenes[1], changed(scenes[2], 60, 80, 1.1, 5), changed(scenes[2], 90, 60, 0.9, 0)]
    places = list(range(len(images)))
    order.shuffle(places)
    shuffled = copies.near(small([images[i] for i in places]))[0]
    group = copies.groups(shuffled, len(images))
    found = {frozenset(places[i] for i in np.flatnonzero(group == g)) for g in set(group.tolist())}
    assert {g for g in found if len(g) > 1} == {frozenset((1, 8)), frozenset((2, 9, 10))}


def test_colour_alone_makes_another_picture_and_its_loss_a_copy():
    image = scene(3)
    red, blue = image.copy(), image[..., ::-1].copy()
    gray = np.asarray(Image.fromarray(image).convert('L').convert('RGB'))
    luma = lambda x: x.astype(float) @ (0.299, 0.587, 0.114)
    blue = np.clip(blue + (luma(red) - luma(blue))[..., None], 0, 255).astype(np.uint8)  # as bright everywhere
    others = [scene(100 + i) for i in range(6)]
    assert copies.near(small([red, blue, *others]))[0].tolist() == []
    assert copies.near(small([red, gray, *others]))[0].tolist() == [[0, 1]]


def test_pictures_that_all_look_alike_are_no_copies():
    """Small digits of one class have correlations that only copies of photographs have."""
    base = scene(5).astype(float)
    rng = np.random.default_rng(0)
    images = [np.clip(base + 0.25 * (scene(900 + i).astype(float) - 128), 0, 255).astype(np.uint8) for i in range(40)]
    images.append(np.clip(images[7] + rng.normal(0, 1, images[7].shape), 0, 255).astype(np.uint8))
    assert copies.near(small(images))[0].tolist() == [[7, 40]]


@pytest.mark.parametrize('level', [0, 128, 255])
def test_plain_pictures_are_copies_of_nothing(level):
    images = np.full((5, 32, 32, 3), level, np.uint8)
    images[1] += np.random.default_rng(0).integers(0, 2, images[1].shape).astype(np.uint8) * (1 if level < 255 else 0)
    assert copies.near(copies.small(images))[0].tolist() == []


@given(st.integers(1, 30).flatmap(lambda n: st.tuples(
    st.just(n), st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=30))))  # fmt: skip
def test_groups_are_what_pairs_link(given):
    n, pairs = given
    expected = list(range(n))
    for _ in range(n):  # the least place that can be reached
        for a, b in pairs:
            expected[a] = expected[b] = min(expected[a], expected[b])
    assert copies.groups(np.array(pairs).reshape(-1, 2), n).tolist() == expected


@given(st.lists(st.sampled_from(['a', 'b', 'c', None])))
def test_equal_keys_are_paired_with_the_first(keys):
    pairs = copies.equal_keys(keys).tolist()
    assert all(keys[i] == keys[j] is not None and i == keys.index(keys[j]) < j for i, j in pairs)
    assert len(pairs) == sum(keys[:j].count(k) > 0 for j, k in enumerate(keys) if k is not None)


@given(
    labels=st.lists(st.integers(0, 2), min_size=1, max_size=60),
    copied=st.lists(st.booleans(), min_size=60, max_size=60),
    amount=st.sampled_from(['1', '3', '10', '5%', '30%', '1/class', '3/class']),
)
def test_held_out_images_have_no_copies_where_that_can_be(labels, copied, amount):
    labels, copied = np.array(labels), np.array(copied[: len(labels)])
    try:
        plain = carve_test(labels, amount)
    except ValueError as e:  # with copies it is the same
        with pytest.raises(ValueError) as found:
            carve_test(labels, amount, (), None, copied)
        assert str(found.value) == str(e)
        return
    chosen = carve_test(labels, amount, (), None, copied)
    assert len(chosen) == len(plain)
    assert not copied[chosen].any() or np.array_equal(chosen, plain)
    assert np.array_equal(carve_test(labels, amount, (), None, np.zeros(len(labels), bool)), plain)
