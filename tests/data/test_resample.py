import sys

import numpy as np
import PIL
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ssljax.data import resample, resample_loops

side = st.integers(1, 90)


def by_pillow(image, size, box=None):
    plain = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    resized = np.asarray(plain.resize(size, Image.Resampling.BILINEAR, box))
    return resized[..., None] if resized.ndim == 2 else resized


def noise(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def settled(image, size, box=None):
    """Whether the loops are used from the third image on, of which each is as Pillow gives it."""
    for seed in range(4):
        other = np.roll(image, seed) ^ np.uint8(seed)
        assert np.array_equal(resample.resize(other, size, box), by_pillow(other, size, box))
    return resample._agree.get((image.shape, size, box))


@pytest.fixture
def anew(monkeypatch):
    monkeypatch.setattr(resample, '_made', {2: None, 4: None})
    monkeypatch.setattr(resample, '_agree', {})


@given(st.data(), side, side, st.tuples(side, side), st.sampled_from((1, 3)))
def test_every_size_and_box_gives_the_pixels_of_pillow(data, height, width, size, channels):
    def part(length):
        return sorted(data.draw(st.lists(st.integers(0, 2 * length), min_size=2, max_size=2, unique=True)))

    image = noise((height, width, channels), data.draw(st.integers(0, 99)))
    (left, right), (top, bottom) = part(width), part(height)
    for box in (None, (left / 2, top / 2, right / 2, bottom / 2)):
        settled(image, size, box)


@given(st.integers(16, 300), st.integers(16, 300), st.sampled_from((1, 3)))
def test_rows_first_gives_the_pixels_of_pillow(side, size, channels):
    """By the loops alone, in squares, whose rows come first in every version."""
    image = noise((side, side, channels), size)
    box = (0.5, 1, side - 0.5, side)
    for part in (None, box):
        result = resample._by_loops(resample._loops(channels), image, (size, size), part)
        assert np.array_equal(result, by_pillow(image, (size, size), part))


@pytest.mark.parametrize(
    ('shape', 'size', 'box'),
    [
        ((128, 128, 3), (96, 96), (0, 0, 128, 128)),
        ((375, 500, 3), (224, 224), (62.5, 0, 437.5, 375)),
        ((500, 375, 1), (224, 224), (0, 62.5, 375, 437.5)),
        ((375, 500, 3), (224, 168), None),
        ((30, 41, 3), (224, 224), None),
    ],
)
def test_photographs_are_resized_by_the_loops(anew, shape, size, box):
    assert settled(noise(shape), size, box)


def test_sizes_that_pillow_resizes_in_another_order(anew):
    """Columns first, from Pillow 13 on: there it goes on with them."""
    upright = settled(noise((700, 40, 3)), (60, 60), (0, 330, 40, 370))
    assert upright is (int(PIL.__version__.split('.')[0]) < 13)


def test_flat_images_say_nothing(anew):
    image, geometry = np.full((128, 128, 3), 255, np.uint8), ((128, 128, 3), (96, 96), None)
    for _ in range(4):
        assert (resample.resize(image, (96, 96)) == 255).all()
        assert resample._agree[geometry] is None
    for seed in range(2):
        resample.resize(noise(image.shape, seed), (96, 96))
    assert resample._agree[geometry] is True and (resample.resize(image, (96, 96)) == 255).all()


def test_very_long_images(anew):
    settled(noise((1, 400_000, 1)), (20, 1))
    settled(noise((3, 9000, 3)), (20, 20))


def test_a_view_and_an_image_with_alpha():
    image = noise((50, 60, 4))
    for part in (image, image[..., 1::2], image[::-1, 7:, :3]):
        for _ in range(4):
            assert np.array_equal(resample.resize(part, (20, 30)), by_pillow(part.copy(), (20, 30)))


@pytest.mark.parametrize('mode', ['L', 'LA', 'RGB', 'RGBA'])
def test_images_of_pillow(mode, monkeypatch):
    array = noise((50, 60, len(mode)))
    image = Image.fromarray(array[..., 0] if mode == 'L' else array)
    for large in (1 << 24, 2999):
        monkeypatch.setattr(resample, '_LARGE', large)
        assert np.array_equal(resample.resize(image, (20, 30)), by_pillow(array, (20, 30)))


def test_pillow_resizes_where_there_is_no_llvm(anew, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, 'llvmlite.binding', None)
    assert settled(noise((50, 60, 3)), (20, 30)) is None
    assert len(caplog.records) == 1 and 'resized by Pillow' in caplog.text and 'llvmlite' in caplog.text


def test_pillow_resizes_where_its_pixels_are_others(anew, monkeypatch):
    whole = resample_loops.compiled(3)
    monkeypatch.setattr(resample_loops, 'compiled', lambda channels: whole._replace(down=lambda *arguments: None))
    assert settled(noise((50, 60, 3)), (20, 16)) is False
