import colorsys
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from ssljax.data import augment

KEY = jax.random.key(0)
SPECS = [
    '',
    'crop(2)',
    "crop(3, 'zeros')",
    'flip',
    'rotate(20)',
    'scale((0.7, 1.4))',
    'random_resized_crop',
    "affine(10, 0.1, (0.8, 1.2), 5, mode='zeros')",
    'color_jitter(0.4, 0.4, 0.4, 0.2, p=0.8)',
    'grayscale(1.0)',
    'solarize(p=1.0)',
    'blur(p=1.0)',
    'cutout(4)',
    'rand_augment(3, 8, p=0.9)',
]


def some_images(batch=6, height=12, width=10, channels=3, seed=0):
    return jnp.asarray(np.random.default_rng(seed).random((batch, height, width, channels)), jnp.float32)


def column(values):
    """A [1, 1, W, 1] image from one row of numbers."""
    return jnp.asarray(values, jnp.float32)[None, None, :, None]


def luma(images):
    return images @ np.array([0.299, 0.587, 0.114])


def compiled(op):
    """jit at XLA's lowest effort: these tests spend their time in the compiler."""
    return jax.jit(op, compiler_options={'xla_backend_optimization_level': 0})


@pytest.mark.parametrize('spec', SPECS)
def test_shape_dtype_range_and_draws(spec):
    op = augment.parse(spec)
    run = compiled(lambda key, batches: [op(key, images) for images in batches])
    batches = [some_images(channels=channels) for channels in (1, 2, 3, 4)]
    batches[2] = jnp.tile(batches[2][:1], (16, 1, 1, 1))
    results = run(KEY, batches)
    for images, out in zip(batches, results):
        assert out.shape == images.shape and out.dtype == jnp.float32
        assert 0.0 <= float(out.min()) and float(out.max()) <= 1.0
        if images.shape[-1] in (2, 4) and spec.startswith(('color_jitter', 'grayscale', 'solarize')):
            np.testing.assert_array_equal(out[..., -1], images[..., -1])
    same, other = run(KEY, batches)[2], run(jax.random.key(1), batches)[2]
    np.testing.assert_array_equal(same, results[2])
    if spec and not spec.startswith(('grayscale', 'solarize')):
        assert len(np.unique(np.asarray(same).reshape(16, -1), axis=0)) > 1
        assert (same != other).any()


def test_jit_agrees_with_eager():
    op, images = augment.parse('crop(2)|flip'), some_images()
    np.testing.assert_array_equal(jax.jit(op)(KEY, images), op(KEY, images))


def test_vmap_agrees_and_neighbours_do_not_matter():
    op, images = augment.parse('random_resized_crop|flip|cutout(4)'), some_images()
    run = compiled(op)
    out = run(KEY, images)
    stacked = compiled(jax.vmap(op))(jnp.stack([jax.random.key(1), KEY]), jnp.stack([images, images]))
    np.testing.assert_allclose(stacked[1], out, atol=1e-5)
    # An image's draws depend on its place in the batch only, not on the other images.
    np.testing.assert_array_equal(run(KEY, images.at[1:].set(0.25))[0], out[0])


def test_sharded_equals_unsharded():
    devices = jax.devices()[:2]
    auto = (jax.sharding.AxisType.Auto,)
    mesh = jax.make_mesh((len(devices),), ('data',), axis_types=auto, devices=devices)
    run = compiled(augment.parse('crop(2)|rotate(10)|flip|blur|rand_augment(2)'))
    images = some_images()
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec('data'))
    np.testing.assert_allclose(run(KEY, jax.device_put(images, sharding)), run(KEY, images), atol=2e-5)


def test_uint8_float_and_normalized_ranges():
    levels = jnp.arange(256, dtype=jnp.uint8)
    np.testing.assert_array_equal(augment.to_uint8(augment.to_float(levels)), levels)
    np.testing.assert_allclose(augment.normalize(augment.to_float(levels))[jnp.array([0, 255])], [-1.0, 1.0])
    np.testing.assert_array_equal(augment.to_uint8(jnp.array([-0.5, 0.499, 1.5])), [0, 127, 255])


def test_flip_by_hand():
    row = column([0.1, 0.2, 0.3])
    np.testing.assert_array_equal(augment.flip(KEY, row, p=1.0), column([0.3, 0.2, 0.1]))
    np.testing.assert_array_equal(augment.flip(KEY, row, p=0.0), row)
    flipped = augment.flip(KEY, jnp.tile(row, (2000, 1, 1, 1)))[:, 0, 0, 0] > 0.2
    assert 0.45 < float(flipped.mean()) < 0.55


@pytest.mark.parametrize('mode', ['reflect', 'zeros'])
def test_crop_gives_every_window_of_the_padded_image_and_nothing_else(mode):
    image = np.arange(1, 13, dtype=np.float32).reshape(3, 4) / 12
    padded = np.pad(image, 1, mode='reflect' if mode == 'reflect' else 'constant')
    windows = {padded[i : i + 3, j : j + 4].tobytes() for i in range(3) for j in range(3)}
    images = np.tile(image[None, :, :, None], (200, 1, 1, 1))
    out = compiled(functools.partial(augment.crop, padding=1, mode=mode))(KEY, images)
    assert {window.tobytes() for window in np.asarray(out)[..., 0]} == windows


@pytest.mark.parametrize('k', [2, 4])
def test_rotations_are_exact(k):
    images = np.asarray(some_images(height=5, width=5))
    out = augment.rotations(images, k)
    for r in range(k):
        np.testing.assert_array_equal(out[r], np.rot90(images, r * 4 // k, axes=(1, 2)))


@pytest.mark.parametrize('size', [1, 8, 9])
def test_eight_rotations(size):
    images = np.asarray(some_images(height=size, width=size))
    out = np.asarray(compiled(lambda images: augment.rotations(images, 8))(images))
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    disc = y**2 + x**2 <= ((size - 1) / 2) ** 2
    for r in range(4):
        turned = np.where(disc[None, :, :, None], np.rot90(images, r, axes=(1, 2)), 0.5)
        np.testing.assert_array_equal(out[2 * r], turned)
        np.testing.assert_array_equal(out[2 * r + 1], np.rot90(out[1], r, axes=(1, 2)))
    # A ramp stays a ramp: a turn by 45 degrees counter-clockwise reads at (y + x, x - y) / sqrt(2).
    ramp = np.broadcast_to((0.5 + 0.03 * y)[None, :, :, None], (1, size, size, 1)).astype(np.float32)
    expected = np.where(disc, 0.5 + 0.03 * (y + x) / np.sqrt(2), 0.5)
    np.testing.assert_allclose(augment.rotations(jnp.asarray(ramp), 8)[1, 0, :, :, 0], expected, atol=1e-6)


def test_rotations_refuse_other_shapes_and_counts():
    with pytest.raises(ValueError, match='square'):
        augment.rotations(some_images(), 4)
    with pytest.raises(ValueError, match='2, 4 or 8'):
        augment.rotations(some_images(height=4, width=4), 3)


def test_warp_agrees_with_rot90_and_with_a_shift():
    images = some_images(height=6, width=6)
    quarter = augment._turn(jnp.full((6, 1, 1), np.pi / 2), 6, 6)
    sample = jax.jit(augment._sample, static_argnums=3)
    turned = sample(images, *quarter, 'reflect')
    np.testing.assert_allclose(turned, jnp.rot90(images, 1, (1, 2)), atol=1e-5)
    shift = augment._turn(jnp.zeros((6, 1, 1)), 6, 6, down=2.0)
    shifted = sample(images, *shift, 'zeros')
    np.testing.assert_allclose(shifted[:, 2:], images[:, :-2], atol=1e-6)
    np.testing.assert_array_equal(shifted[:, :2], 0.0)
    mirrored = sample(images, *shift, 'reflect')
    np.testing.assert_allclose(mirrored[:, :2], images[:, 2:0:-1], atol=1e-6)


def test_affine_and_scale_without_range_are_the_identity():
    images = some_images()
    np.testing.assert_allclose(compiled(augment.affine)(KEY, images), images, atol=1e-6)
    np.testing.assert_allclose(compiled(augment.parse('scale((1.0, 1.0))'))(KEY, images), images, atol=1e-6)


def test_scale_by_hand():
    row = column([0.0, 0.2, 0.4, 0.6, 0.8])
    out = compiled(augment.parse('scale((2.0, 2.0))'))(KEY, row)
    np.testing.assert_allclose(out, column([0.2, 0.3, 0.4, 0.5, 0.6]), atol=1e-6)
    out = compiled(augment.parse("scale((0.5, 0.5), 'zeros')"))(KEY, row)
    np.testing.assert_allclose(out, column([0, 0, 0.4, 0.8, 0]), atol=1e-6)


def test_random_resized_crop_of_everything_is_the_identity():
    for size in (12, 9):
        images = some_images(height=size, width=size)
        out = compiled(augment.parse('random_resized_crop((1.0, 1.0), (1.0, 1.0))'))(KEY, images)
        np.testing.assert_array_equal(out, images)


def boxes(*args):
    return compiled(lambda key: augment._crop_boxes(key, *args))(KEY)


@pytest.mark.parametrize('size', [(20, 24), (8, 24), (5, 4)])
def test_random_resized_crop_agrees_with_pil(size):
    images = some_images(batch=4, height=16, width=18, channels=1)
    (top, height), (left, width) = boxes(4, 16, 18, (0.08, 1.0), (3 / 4, 4 / 3))
    out = compiled(functools.partial(augment.random_resized_crop, size=size))(KEY, images)
    assert out.shape == (4, *size, 1)
    for i in range(4):
        box = (float(left[i]), float(top[i]), float(left[i] + width[i]), float(top[i] + height[i]))
        cut = Image.fromarray(np.asarray(images[i, :, :, 0])).crop([int(b) for b in box])
        expected = np.asarray(cut.resize(size[::-1], Image.Resampling.BILINEAR))
        np.testing.assert_allclose(out[i, :, :, 0], expected, atol=1e-5)


def test_crop_boxes_lie_inside_and_have_the_asked_area_and_ratio():
    (top, height), (left, width) = np.asarray(boxes(4000, 100, 80, (0.2, 0.5), (3 / 4, 4 / 3)))
    assert (top >= 0).all() and (top + height <= 100).all()
    assert (left >= 0).all() and (left + width <= 80).all()
    area, ratio = height * width / 8000, width / height
    assert 0.19 < float(area.min()) < 0.21 and 0.48 < float(area.max()) < 0.51
    assert 0.73 < float(ratio.min()) < 0.77 and 1.3 < float(ratio.max()) < 1.36
    # No attempt fits: the centred box of the nearest ratio.
    (top, height), (left, width) = boxes(3, 10, 40, (1.0, 1.0), (1.0, 2.0))
    assert [top[0], height[0], left[0], width[0]] == [0, 10, 10, 20]


def test_brightness_contrast_and_saturation_against_their_formulas():
    images = some_images()
    x = np.asarray(images, np.float64)

    gray = luma(x)[..., None]
    mean = gray.mean((1, 2, 3), keepdims=True)
    keys = jax.random.split(KEY, 5)
    for key, name, base in zip(keys, ('brightness', 'contrast', 'saturation'), (0, mean, gray)):
        factor = np.asarray(jax.random.uniform(key, (6, 1, 1, 1), minval=0.2, maxval=1.8))
        assert factor.max() - factor.min() > 0.1
        expected = np.clip(factor * x + (1 - factor) * base, 0, 1)
        out = compiled(functools.partial(augment.color_jitter, **{name: 0.8}))(KEY, images)
        np.testing.assert_allclose(out, expected, atol=1e-5)


def test_hue_against_colorsys():
    images = some_images(batch=1, height=8, width=8)
    images = images.at[0, 0, :4].set(jnp.array([[0, 0, 0], [1, 1, 1], [1, 0, 0], [0.5, 0.5, 0.2]]))
    shift = compiled(augment._shift_hue)
    for turns in (-0.5, -0.13, 0.0, 0.4):
        out = shift(images, jnp.full((1, 1, 1), turns))
        hsv = [colorsys.rgb_to_hsv(*pixel) for pixel in np.asarray(images, np.float64).reshape(-1, 3)]
        expected = np.array([colorsys.hsv_to_rgb((h + turns) % 1, s, v) for h, s, v in hsv])
        np.testing.assert_allclose(out.reshape(-1, 3), expected, atol=1e-5)


def test_colour_of_one_channel_is_brightness_and_contrast_only():
    images = some_images(channels=1)
    out = compiled(augment.parse('color_jitter(saturation=0.9, hue=0.5)'))(KEY, images)
    np.testing.assert_array_equal(out, images)
    np.testing.assert_array_equal(augment.grayscale(KEY, images, p=1.0), images)
    assert (compiled(augment.parse('color_jitter(0.4, 0.4)'))(KEY, images) != images).any()


def test_grayscale_and_solarize_by_hand():
    images = some_images()
    out = augment.grayscale(KEY, images, p=1.0)
    np.testing.assert_allclose(out, np.repeat(luma(np.asarray(images))[..., None], 3, -1), atol=1e-6)
    row = column([0.0, 127 / 255, 128 / 255, 1.0])
    out = augment.solarize(KEY, row, p=1.0)
    np.testing.assert_allclose(out, column([0.0, 127 / 255, 127 / 255, 0.0]), atol=1e-6)


def test_blur_against_a_direct_sum():
    images = np.asarray(some_images(batch=1, height=9, width=7), np.float64)
    blur = compiled(augment.parse('blur((1.5, 1.5), kernel=5, p=1.0)'))
    out = blur(KEY, jnp.asarray(images, jnp.float32))
    taps = np.exp(-0.5 * (np.arange(-2, 3) / 1.5) ** 2)
    taps = np.outer(taps, taps) / taps.sum() ** 2
    padded = np.pad(images, [(0, 0), (2, 2), (2, 2), (0, 0)], mode='reflect')
    expected = sum(taps[i, j] * padded[:, i : i + 9, j : j + 7] for i in range(5) for j in range(5))
    np.testing.assert_allclose(out, expected, atol=1e-6)
    out = compiled(augment.parse('blur(p=1.0)'))(KEY, jnp.full((2, 64, 64, 1), 0.3))
    np.testing.assert_allclose(out, 0.3, atol=1e-6)


def test_cutout_covers_one_square_clipped_at_the_border():
    out = np.asarray(compiled(augment.parse('cutout(4)'))(KEY, jnp.ones((500, 10, 12, 1))))[..., 0]
    assert set(np.unique(out)) == {0.5, 1.0}
    covered = out == 0.5
    areas = set()
    for mask in covered:
        rows, columns = mask.any(1).sum(), mask.any(0).sum()
        assert mask.sum() == rows * columns and 2 <= rows <= 4 and 2 <= columns <= 4
        areas.add(int(mask.sum()))
    assert areas == {4, 6, 8, 9, 12, 16}
    assert covered.any(0).all()


def test_apply_with_chooses_per_image():
    images = some_images(batch=1000, height=2, width=2, channels=1)
    invert = lambda key, images: 1.0 - images
    changed = (augment.apply_with(KEY, images, invert, 0.3) != images).any((1, 2, 3))
    assert 0.25 < float(changed.mean()) < 0.35
    np.testing.assert_array_equal(augment.apply_with(KEY, images, invert, 0.0), images)


def test_parse_applies_in_order_with_a_key_for_each_place():
    images = some_images()
    np.testing.assert_array_equal(augment.parse('')(KEY, images), images)
    first = augment.crop(jax.random.fold_in(KEY, 0), images, 2, mode='zeros')
    second = augment.flip(jax.random.fold_in(KEY, 1), first)
    np.testing.assert_array_equal(augment.parse("crop(2, mode='zeros')|flip")(KEY, images), second)
    third = augment.cutout(jax.random.fold_in(KEY, 2), second, 4)
    longer = augment.parse(" crop(2, 'zeros') | flip() | cutout(4) ")
    np.testing.assert_array_equal(longer(KEY, images), third)


@pytest.mark.parametrize(
    'spec, message',
    [
        ('crop(4)|flipp', "'flipp', the nearest is 'flip'; known are affine, blur"),
        ('crop', r"does not fit crop\(padding, mode='reflect'\): missing a required argument: 'padding'"),
        ('crop(4, pad=2)', r'does not fit crop\(padding'),
        ('crop(-1)', 'padding is -1'),
        ("crop('four')", r'does not fit crop\(padding'),
        ("crop(4, 'wrap')", "'reflect' or 'zeros'"),
        ('flip(1.5)', r'p is 1.5; it must be in \[0, 1\]'),
        ('cutout(x)', r'does not fit cutout\(size'),
        ('cutout(0)', 'size is 0'),
        ('blur(kernel=4)', 'odd'),
        ('blur(kernel=3.5)', 'odd'),
        ('random_resized_crop((0.5, 2.0))', r'up to 1'),
        ('color_jitter(hue=0.7)', 'hue is 0.7'),
        ('rotate(-5)', 'degrees is -5'),
        ('crop(4)|', 'cannot be read'),
        ('crop(4)+flip', 'is not an operation'),
        ('crop(4)|3', 'is not an operation'),
        ('__import__("os")', 'unknown operation'),
    ],
)
def test_parse_errors_teach(spec, message):
    with pytest.raises(ValueError, match=message):
        augment.parse(spec)


def test_other_images_are_refused():
    for images in (np.zeros((2, 8, 8, 3), np.uint8), jnp.zeros((8, 8, 3)), jnp.zeros((2, 8, 8, 5))):
        for spec in ('flip', 'crop(2)', 'rotate(5)', 'grayscale'):
            with pytest.raises(ValueError, match='to_float'):
                augment.parse(spec)(KEY, images)


@pytest.mark.parametrize('spec', ['crop(8)', 'crop(999)', 'flip|cutout(17)', 'crop(1)|crop(8)'])
def test_what_leaves_nothing_of_the_images_is_refused_when_they_are_seen(spec):
    with pytest.raises(ValueError, match='transfer.augment is .* leaves nothing of images of 8 x 8'):
        augment.suits(spec, (8, 8, 1), 'transfer.augment')
    augment.suits(spec, (1000, 1000, 1), 'transfer.augment')
