import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax import methods, optim
from ssljax.config import base
from ssljax.core import split
from ssljax.data import augment, patches
from ssljax.methods import jigsaw, jigsaw_grid, relative_position
from tests import steps

SHAPE = (20, 24, 3)
NAMES = ['jigsaw', 'jigsaw_grid', 'relative_position']


def batch(n=16, shape=SHAPE):
    """Noisy copies of one picture whose every part has its own stripes, so that a tile tells its place."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[: shape[0], : shape[1]]
    picture = np.sin(0.02 * y * y + 0.6 * x) + np.cos(0.03 * x * x - 0.2 * y)
    images = 128 + 50 * picture[..., None] + rng.normal(0, 8, (n, *shape))
    return {'image': images.clip(0, 255).astype(np.uint8), 'label': np.full(n, -1, np.int32), 'mask': np.ones(n)}


def make(config, name, shape=SHAPE, **options):
    config.pretrain.update(method=name, pool='flatten')
    config.pretrain[name].update(options)
    return methods.pretext(config, shape)


@pytest.fixture(scope='module', params=NAMES)
def fresh(request):
    """(name, method, params, state) with initial weights."""
    config = base()
    method = make(config, request.param)
    return request.param, method, *steps.variables(method, batch(12), jax.random.key(1))


@pytest.mark.parametrize(
    'name, options',
    [('jigsaw', {'permutations': 4}), ('jigsaw_grid', {'grid': 2}), ('relative_position', {'drop': False})],
)
def test_the_loss_falls_in_20_steps_and_evaluation_agrees(config, name, options):
    method, data = make(config, name, **options), batch(64)
    config.pretrain.optim.lr = 0.1
    tx, _ = optim.make(config.pretrain.optim, 20)
    ts, found = steps.train(method, tx, steps.begin(method, tx, data, jax.random.key(1)), data, jax.random.key(2))
    losses = [metrics['loss'] for metrics in found]
    assert np.mean(losses[-3:]) < 0.85 * losses[0]
    metrics = steps.compiled(method.measure)(ts.params, ts.state, data)
    chance = {'jigsaw': 1 / 4, 'jigsaw_grid': 1 / 4, 'relative_position': 1 / 8}[name]
    assert metrics['top1'][0] / metrics['top1'][1] > 1.5 * chance


def test_evaluation_is_the_same_twice_and_leaves_padding_out(fresh):
    name, method, params, state = fresh
    data = batch(12)
    half = data | {'mask': np.arange(12) < 6}
    other = half | {'image': np.where(half['mask'][:, None, None, None], half['image'], 7).astype(np.uint8)}
    measure = steps.compiled(method.measure)
    a, b = measure(params, state, half), measure(params, state, other)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5), a, b)
    assert a['loss'][1] == 6 * (9 if name == 'jigsaw_grid' else 1)


def test_every_step_draws_its_own_tiles(fresh):
    _, method, params, state = fresh
    loss = steps.compiled(method.loss)
    first, again, other = (loss(params, state, None, batch(4), jax.random.key(k))[0] for k in (0, 0, 1))
    assert first == again != other


def test_pictures(fresh):
    name, method, params, state = fresh
    data = batch(3)
    pictures = steps.compiled(method.show)(params, state, data['image'])
    puzzle = ['original', 'shuffled tiles', 'put back as predicted']
    pair = ['original', 'patch and neighbour', 'neighbour as predicted']
    assert set(pictures) == set(pair if name == 'relative_position' else puzzle)  # jit sorts a dict
    for picture in pictures.values():
        assert len(picture) == 3 and picture.shape[3] == 3 and picture.dtype == jnp.float32
        assert picture.min() >= 0 and picture.max() <= 1
    np.testing.assert_allclose(pictures['original'], data['image'] / 255.0, atol=1e-6)


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('backbone', ['resnet18', 'nin'])
def test_any_backbone_can_be_transferred_to_whole_images(config, name, backbone):
    """The trunk has the very weights that whole images need; only shapes are computed."""
    config.backbone.update(name=backbone, blocks=3)
    method = make(config, name, (64, 64, 3))
    data = {'image': jax.ShapeDtypeStruct((2, 64, 64, 3), jnp.uint8), 'label': jax.ShapeDtypeStruct((2,), jnp.int32)}
    pretrained = jax.eval_shape(method.init, jax.random.key(0), data)
    rotation = jax.eval_shape(make(config, 'rotation', (64, 64, 3)).init, jax.random.key(0), data)
    assert pretrained['params']['backbone'] == rotation['params']['backbone']
    loss, (state, _) = jax.eval_shape(method.loss, *split(pretrained), None, data, jax.random.key(0))
    assert loss.shape == () and jax.tree.structure(state) == jax.tree.structure(split(pretrained)[1])


@pytest.mark.parametrize('name', NAMES)
def test_tiles_too_small_are_refused_before_training(config, name):
    config.backbone.name = 'resnet18'
    with pytest.raises(ValueError, match=rf'{name} .*8x8.*needs.*image_size'):
        make(config, name, (8, 8, 1))


@pytest.mark.parametrize('name', NAMES)
def test_weights_for_one_image_size_are_refused(config, name):
    config.backbone.name = 'alexnet'
    with pytest.raises(ValueError, match='fc_block.*pretrain.layer=pool5'):
        make(config, name, (96, 96, 3))
    config.pretrain.layer = 'pool5'
    make(config, name, (96, 96, 3))


@pytest.mark.parametrize(
    'name, options, said',
    [
        ('jigsaw', {'permutations': 1}, 'permutations is 1'),
        ('jigsaw', {'grid': 2, 'permutations': 25}, '2 to 24'),
        ('relative_position', {'tile': 9, 'gap': 2}, 'take 21 pixels, but the images have 20'),
        ('relative_position', {'tile': 3}, 'patches of 3 pixels'),
        ('jigsaw_grid', {'grid': 1}, 'grid is 1'),
    ],
)
def test_options_out_of_range(config, name, options, said):
    with pytest.raises(ValueError, match=said):
        make(config, name, **options)


def test_the_label_undoes_the_shuffle_exactly(key):
    """Without gaps and jitter, putting the tiles back by the label gives the image."""
    images = jax.random.uniform(key, (6, 9, 9, 2))
    orders = jnp.asarray(jigsaw.permutations(20, 9))
    tiles, labels = jigsaw.puzzle(key, images, patches.Grid(3, 3, 0, 0), orders)
    back = patches.take(tiles, jnp.argsort(orders[labels], axis=1))
    assert not np.array_equal(patches.assemble(tiles), images)
    np.testing.assert_array_equal(patches.assemble(back), images)


def test_every_place_of_the_grid_names_its_tile(key):
    images = jax.random.uniform(key, (6, 9, 9, 2))
    tiles, order = jigsaw_grid.puzzle(key, images, patches.Grid(3, 3, 0, 0))
    np.testing.assert_array_equal(np.sort(order, axis=1), np.tile(np.arange(9), (6, 1)))
    for b in range(6):
        for place, tile in enumerate(order[b]):
            row, column = 3 * (int(tile) // 3), 3 * (int(tile) % 3)
            np.testing.assert_array_equal(tiles[b, place], images[b, row : row + 3, column : column + 3])


@pytest.mark.parametrize('count, tiles, least', [(24, 4, 2), (10, 9, 8), (100, 9, 6), (50, 16, 13)])
def test_permutations_are_far_apart(count, tiles, least):
    found = jigsaw.permutations(count, tiles)
    np.testing.assert_array_equal(np.sort(found, axis=1), np.tile(np.arange(tiles), (count, 1)))
    distance = (found[:, None] != found).sum(2)[~np.eye(count, dtype=bool)]
    assert distance.min() >= least and distance.mean() >= tiles - 1
    np.testing.assert_array_equal(found, jigsaw.permutations(count, tiles))


def test_pairs_lie_inside_on_the_side_of_their_label(key):
    tile, gap, jitter = 6, 3, 1
    corners, labels = relative_position.places(key, 4000, (20, 24, 1), tile, gap, jitter)
    corners, labels = np.asarray(corners), np.asarray(labels)
    assert corners.min() == 0 and corners[..., 0].max() == 14 and corners[..., 1].max() == 18
    assert set(labels) == set(range(8))
    sides = [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)]
    apart = corners[:, 1] - corners[:, 0] - (tile + gap) * np.array(sides)[labels]
    assert set(apart.ravel()) == {-1, 0, 1}


def test_one_colour_is_kept(key):
    tiles = jax.random.uniform(key, (200, 2, 5, 5, 3))
    dropped = np.asarray(relative_position.drop_colours(key, tiles))
    same = (dropped == tiles).all((2, 3))
    np.testing.assert_array_equal(same.sum(2), 1)
    assert (same.sum((0, 1)) > 80).all()
    noise = dropped[~np.broadcast_to(same[:, :, None, None], tiles.shape)] - 0.5
    assert abs(noise.mean()) < 1e-3 and 0.5e-2 * 0.29 < noise.std() < 2e-2 * 0.29  # 1 / 100 of a uniform's deviation


def test_gray_patches_keep_their_values(config):
    data = batch(2, (20, 20, 1))
    method = make(config, 'relative_position', (20, 20, 1))
    pictures = steps.compiled(method.show)(*steps.variables(method, data, jax.random.key(1)), data['image'])
    values = set(np.unique(augment.to_uint8(pictures['patch and neighbour']))) - {128, 255}
    assert values <= set(np.unique(data['image']))


def test_pairs_are_drawn_around_the_middle():
    tiles = jnp.stack([jnp.zeros((8, 1, 1, 1)), jnp.ones((8, 1, 1, 1))], 1)
    drawn = relative_position.around(tiles, jnp.arange(8))[..., 0, 0, 0]
    np.testing.assert_array_equal(drawn[:, 4], 0)
    np.testing.assert_array_equal(drawn.argmax(1), [0, 1, 2, 3, 5, 6, 7, 8])
    assert ((drawn == 0.5).sum(1) == 7).all()
