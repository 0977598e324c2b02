"""A contact sheet shows every picture, and names in letters that people write them in."""

import io

import numpy as np
import pytest
from PIL import Image

from ssljax import contact_sheet
from ssljax.contact_sheet import Tile


def sheet(*tiles):
    content = contact_sheet.draw([('', [[tile] for tile in tiles])])
    return np.asarray(Image.open(io.BytesIO(content)).convert('L'))


def tile(name='', note='', shape=(8, 12, 3)):
    return Tile(np.zeros(shape, np.uint8), name, note)


@pytest.mark.parametrize('letter', 'éЖωשش')
def test_letters_are_no_empty_boxes(letter):
    drawn, missing = sheet(tile(letter * 3)), sheet(tile('\ue123' * 3))
    assert (drawn < 200).sum() > (sheet(tile()) < 200).sum() and not np.array_equal(drawn, missing)


@pytest.mark.parametrize('shape', [(8, 12), (8, 12, 1), (8, 12, 2), (8, 12, 3), (300, 200, 4)])
def test_pictures_of_any_channels_fit_their_tile(shape):
    seen = sheet(tile(shape=shape))
    rows, columns = np.nonzero(seen < 100)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == contact_sheet.SIDE


def test_the_end_of_a_long_name_is_shown():
    assert np.array_equal(sheet(tile('a' * 60 + '17.png')), sheet(tile('b' * 3 + 'a' * 60 + '17.png')))
    assert not np.array_equal(sheet(tile('a' * 60 + '17.png')), sheet(tile('a' * 60 + '18.png')))


def test_lines_are_as_long_as_the_sheet_and_nothing_is_lost():
    few, many = sheet(*[tile()] * 9), sheet(*[tile()] * 10)
    assert few.shape[1] == many.shape[1] == 1120 and few.shape[0] < many.shape[0]
    assert (many < 100).sum() * 9 == (few < 100).sum() * 10
