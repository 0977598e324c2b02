import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.data import patches
from ssljax.data.patches import Grid


def numbered(batch, height, width, channels=1):
    """Images in which every pixel has another value."""
    return jnp.arange(batch * height * width * channels, dtype=jnp.float32).reshape(batch, height, width, channels)


@pytest.mark.parametrize(
    'side, grid',
    [(16, (3, 4, 1, 0)), (28, (3, 7, 2, 1)), (32, (3, 8, 2, 1)), (64, (3, 18, 3, 1)), (224, (3, 63, 11, 5))],
)
def test_automatic_grids_fit_the_usual_images(side, grid):
    assert patches.fit((side, side, 3), 3, task='jigsaw') == grid
    assert patches.fit((side, side, 3), 3, task='jigsaw').extent <= side


def test_what_is_given_is_kept():
    assert patches.fit((225, 225, 3), 3, 64, 11, 5, task='jigsaw') == (3, 64, 11, 5)
    assert patches.fit((28, 28, 1), 3, 8, 0, 0, task='jigsaw') == (3, 8, 0, 0)
    assert patches.fit((28, 28, 1), 3, tile=6, task='jigsaw') == (3, 6, 3, 1)
    assert patches.fit((28, 40, 1), 2, gap=4, task='jigsaw') == (2, 10, 4, 2)


@pytest.mark.parametrize(
    'fields, said',
    [
        (dict(count=1), 'grid is 1'),
        (dict(count=3, gap=-2), 'gap is -2'),
        (dict(count=3, tile=9, gap=1), 'take 29 pixels, but the images have 28'),
        (dict(count=3, tile=3, smallest=4), 'tile is 3 pixels; the network needs at least 4'),
        (dict(count=3, smallest=8), 'tiles of 7 pixels.*image_size=30'),
        (dict(count=9, smallest=4), 'tiles of 3 pixels'),
    ],
)
def test_a_grid_that_cannot_be_is_refused(fields, said):
    with pytest.raises(ValueError, match=said):
        patches.fit((28, 28, 1), **fields, task='jigsaw')


def test_the_image_size_of_the_message_is_enough():
    with pytest.raises(ValueError, match='image_size=30'):
        patches.fit((8, 8, 1), 3, smallest=8, task='jigsaw')
    assert patches.fit((30, 30, 1), 3, smallest=8, task='jigsaw').tile == 8


def test_tiles_hold_exactly_the_pixels_of_their_place():
    images = numbered(2, 7, 9, 3)
    corners = jnp.array([[[0, 0], [4, 6], [2, 3]], [[1, 5], [4, 0], [0, 6]]])
    tiles = patches.cut(images, corners, 3)
    assert tiles.shape == (2, 3, 3, 3, 3)
    for b in range(2):
        for t, (row, column) in enumerate(corners[b]):
            np.testing.assert_array_equal(tiles[b, t], images[b, row : row + 3, column : column + 3])


def test_places_are_inside_in_order_and_jittered(key):
    grid, shape = Grid(3, 5, 3, 1), (26, 31, 1)
    corners = np.asarray(patches.places(key, 500, shape, grid)).reshape(500, 3, 3, 2)
    assert corners.min() == 0 and corners[..., 0].max() == 26 - 5 and corners[..., 1].max() == 31 - 5
    gaps = np.diff(corners[..., 0], axis=1) - 5, np.diff(corners[..., 1], axis=2) - 5
    for found in gaps:  # the gap, less or more the jitter of both
        assert sorted(set(found.ravel())) == [1, 2, 3, 4, 5]
    assert len(set(corners[:, 0, 0, 0])) > 3  # each image has its own


def test_without_room_or_jitter_a_grid_has_one_place(key):
    corners = patches.places(key, 2, (8, 8, 1), Grid(2, 3, 2, 0))
    np.testing.assert_array_equal(corners[0], [[0, 0], [0, 5], [5, 0], [5, 5]])
    np.testing.assert_array_equal(corners[0], corners[1])


def test_equalized_tiles_share_mean_and_deviation(key):
    tiles = jax.random.uniform(key, (2, 9, 6, 6, 3)) * jnp.linspace(0.2, 1, 9)[:, None, None, None]
    even = patches.equalize(tiles)
    whole = tiles.mean((1, 2, 3)), tiles.std((1, 2, 3))
    for t in range(9):
        np.testing.assert_allclose(even[:, t].mean((1, 2)), whole[0], atol=1e-5)
        np.testing.assert_allclose(even[:, t].std((1, 2)), whole[1], rtol=1e-4)


def test_equalizing_by_hand():
    """Means 0.25 and 0.75, the second tile flat: both get the mean 0.5, the first the deviation of all."""
    tiles = jnp.array([[0.0, 0.5], [0.75, 0.75]]).reshape(1, 2, 1, 2, 1)
    deviation = np.std([0.0, 0.5, 0.75, 0.75])
    expected = [0.5 - deviation, 0.5 + deviation, 0.5, 0.5]
    np.testing.assert_allclose(patches.equalize(tiles).ravel(), expected, atol=1e-5)


def test_spread_tiles_reach_from_border_to_border():
    tiles = jnp.arange(4.0).reshape(1, 4, 1, 1, 1) * jnp.ones((1, 4, 2, 2, 1))
    whole = patches.spread(tiles, (5, 6, 1))[0, :, :, 0]
    expected = np.full((5, 6), 1.5)  # the mean between the tiles
    expected[:2, :2], expected[:2, 4:], expected[3:, :2], expected[3:, 4:] = 0, 1, 2, 3
    np.testing.assert_array_equal(whole, expected)


def test_assembling_a_cut_without_gaps_gives_the_image_back(key):
    images = numbered(2, 9, 9, 2)
    tiles = patches.cut(images, patches.places(key, 2, (9, 9, 2), Grid(3, 3, 0, 0)), 3)
    np.testing.assert_array_equal(patches.assemble(tiles), images)


def test_lines_between_tiles():
    whole = patches.assemble(jnp.zeros((1, 4, 2, 2, 1)), line=1, fill=0.5)[0, :, :, 0]
    expected = np.zeros((5, 5))
    expected[2], expected[:, 2] = 0.5, 0.5
    np.testing.assert_array_equal(whole, expected)


def test_an_order_is_undone_by_its_argsort(key):
    tiles = numbered(4, 9, 2, 1)[:, :, :, None]
    order = jnp.argsort(jax.random.uniform(key, (4, 9)), axis=1)
    shuffled = patches.take(tiles, order)
    for b in range(4):
        np.testing.assert_array_equal(shuffled[b], tiles[b, order[b]])
    np.testing.assert_array_equal(patches.take(shuffled, jnp.argsort(order, axis=1)), tiles)
