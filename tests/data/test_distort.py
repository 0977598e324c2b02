import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from ssljax.data import distort

KEY = jax.random.key(0)
SIZE = 32


def pictures():
    """Three uint8 RGB images as smooth as photographs: a shaded scene, a dim one and a constant one."""
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    noise = np.random.default_rng(0).normal(size=(SIZE, SIZE, 3)) * 0.03
    scene = np.stack([0.8 - 0.6 * y, 0.3 + 0.4 * np.sin(5 * x) ** 2, 0.2 + 0.7 * x * y], -1)
    scene[8:20, 10:18] = (0.9, 0.7, 0.1)
    images = np.stack([scene + noise, 0.3 + 0.3 * (scene + noise), np.full_like(scene, 0.4)])
    return np.round(255 * np.clip(images, 0, 1)).astype(np.uint8)


def affine(image, a, b, c, d, e, f):
    return image.transform(image.size, Image.Transform.AFFINE, (a, b, c, d, e, f))


def blended(op):
    return lambda image, value: Image.blend(image, op(image), value)


def enlarged(image, value):
    edge = SIZE * (1 - value) / 2
    return image.resize(image.size, Image.Resampling.NEAREST, (edge, edge, SIZE - edge, SIZE - edge))


PIL = {  # operation: (by PIL, values)
    'autocontrast': (blended(ImageOps.autocontrast), (1.0, 0.4)),
    'blur': (blended(lambda image: image.filter(ImageFilter.BLUR)), (1.0, 0.3)),
    'brightness': (lambda image, v: ImageEnhance.Brightness(image).enhance(v), (0.05, 0.6, 1.5)),
    'color': (lambda image, v: ImageEnhance.Color(image).enhance(v), (0.05, 0.6)),
    'contrast': (lambda image, v: ImageEnhance.Contrast(image).enhance(v), (0.05, 0.6, 1.5)),
    'equalize': (blended(ImageOps.equalize), (1.0, 0.5)),
    'identity': (lambda image, v: image, (0.0,)),
    'invert': (blended(ImageOps.invert), (1.0, 0.3)),
    'posterize': (lambda image, v: ImageOps.posterize(image, int(v)), (1.0, 4.0, 6.9, 8.0)),
    'rescale': (enlarged, (0.5, 0.75)),
    'rotate': (lambda image, v: image.rotate(v), (-30.0, 17.0)),
    'sharpness': (lambda image, v: ImageEnhance.Sharpness(image).enhance(v), (0.05, 0.6)),
    'shear_x': (lambda image, v: affine(image, 1, v, 0, 0, 1, 0), (-0.3, 0.17)),
    'shear_y': (lambda image, v: affine(image, 1, 0, 0, v, 1, 0), (-0.3, 0.17)),
    'smooth': (blended(lambda image: image.filter(ImageFilter.SMOOTH)), (1.0, 0.3)),
    'solarize': (lambda image, v: ImageOps.solarize(image, int(np.ceil(255 * v))), (0.0, 0.45)),
    'translate_x': (lambda image, v: affine(image, 1, 0, v * SIZE, 0, 1, 0), (-0.3, 0.26)),
    'translate_y': (lambda image, v: affine(image, 1, 0, 0, 0, 1, v * SIZE), (-0.3, 0.26)),
}


def floats(images):
    return jnp.asarray(images, jnp.float32) / 255


def test_every_operation_agrees_with_pil_in_a_mixed_batch():
    assert sorted([*PIL, 'cutout']) == sorted(distort.NAMES)
    cases = [(name, v, i) for name, (_, values) in PIL.items() for v in values for i in range(3)]
    given = pictures()
    images = floats([given[i] for _, _, i in cases])
    kind, value = ([f(case) for case in cases] for f in (lambda c: distort.NAMES.index(c[0]), lambda c: c[1]))
    out = jax.jit(distort.distort)(KEY, images, jnp.array([kind]), jnp.array([value], jnp.float32))
    for (name, v, i), image in zip(cases, np.asarray(out)):
        expected = np.asarray(PIL[name][0](Image.fromarray(given[i]), v), np.float32)
        difference = abs(255 * image - expected).max(-1)
        exact = name in ('identity', 'posterize', 'solarize') or (name == 'equalize' and v == 1)
        # PIL rounds or truncates every pixel; in a warp a pixel exactly between two may come from either
        wrong = difference > (1e-3 if exact else 1.51)
        allowed = 0.01 if name in distort.WARPS else 0.0
        assert wrong.mean() <= allowed, (name, v, i, difference.max(), wrong.mean())


def test_operations_follow_one_another_and_only_the_named_are_needed():
    images = floats(pictures())
    names = ('solarize', 'translate_x', 'brightness')
    value = jnp.array([[0.5] * 3, [0.25] * 3, [0.5] * 3])
    out = jax.jit(distort.distort, static_argnums=4)(KEY, images, jnp.array([[0] * 3, [1] * 3, [2] * 3]), value, names)
    inverted = np.where(images >= 0.5, 1 - images, images)
    expected = np.zeros_like(inverted)
    expected[:, :, :24] = 0.5 * inverted[:, :, 8:]
    np.testing.assert_allclose(out, expected, atol=1e-6)
    full = jax.jit(distort.distort)(KEY, images, jnp.array([[16] * 3, [17] * 3, [2] * 3]), value)
    np.testing.assert_allclose(full, out, atol=1e-6)


@pytest.mark.parametrize('channels', [1, 2, 4])
def test_gray_and_alpha(channels):
    rgb = floats(pictures()[:1])
    alpha = jnp.linspace(0, 1, SIZE * SIZE).reshape(1, SIZE, SIZE, 1)
    images = {1: rgb[..., :1], 2: jnp.concatenate([rgb[..., :1], alpha], -1), 4: jnp.concatenate([rgb, alpha], -1)}
    names = [name for name in distort.NAMES if name not in ('cutout', *distort.WARPS)]
    kind = jnp.array([[distort.NAMES.index(name) for name in names]])
    batch = jnp.tile(images[channels], (len(names), 1, 1, 1))
    value = jnp.where(kind == distort.NAMES.index('posterize'), 3.0, 0.4)
    out = jax.jit(distort.distort)(KEY, batch, kind, value)
    if channels > 1:
        np.testing.assert_array_equal(out[..., -1:], batch[..., -1:])
    n = channels - (channels + 1) % 2
    changed = dict(zip(names, (jnp.abs(out - batch)[..., :n] > 1e-3).any((1, 2, 3)).tolist()))
    assert changed == {name: name != 'identity' and (channels == 4 or name != 'color') for name in names}


def test_cutout_covers_one_square_somewhere():
    images = jnp.ones((400, 12, 16, 3))
    out = jax.jit(distort.distort)(KEY, images, jnp.full((1, 400), 5), jnp.full((1, 400), 1 / 3))
    covered = np.asarray(out == 0.5).all(-1)
    assert (np.asarray(out)[~covered] == 1).all() and covered.any(0).all()
    sizes = {(mask.any(1).sum(), mask.any(0).sum()) for mask in covered}
    assert (4, 4) in sizes and max(max(pair) for pair in sizes) == 4
    assert all(mask.sum() == mask.any(1).sum() * mask.any(0).sum() for mask in covered)


def test_all_equalized_none_equalized_and_a_batch_of_one():
    given = np.concatenate([pictures()[:2]] * 5)
    run = jax.jit(distort.distort)
    for count in (0, 1, 9, 10):
        kind = jnp.where(jnp.arange(10)[::-1] < count, 6, 7)[None]
        out = run(KEY, floats(given), kind, jnp.ones((1, 10)))
        for i in range(10):
            expected = ImageOps.equalize(Image.fromarray(given[i])) if i >= 10 - count else given[i]
            np.testing.assert_allclose(255 * out[i], np.asarray(expected), atol=1e-3)
    one = run(KEY, floats(given[:1]), jnp.array([[6]]), jnp.ones((1, 1)))
    np.testing.assert_allclose(one[0], run(KEY, floats(given), jnp.full((1, 10), 6), jnp.ones((1, 10)))[0], atol=1e-6)


def test_wrong_names_and_images_are_refused():
    draws = jnp.zeros((1, 2), jnp.int32), jnp.zeros((1, 2))
    with pytest.raises(ValueError, match="'solarise'; known are autocontrast"):
        distort.distort(KEY, jnp.zeros((2, 8, 8, 3)), *draws, ('solarise',))
    with pytest.raises(ValueError, match='to_float'):
        distort.distort(KEY, np.zeros((2, 8, 8, 3), np.uint8), *draws)


PROGRAM = """
import jax, jax.numpy as jnp
from ssljax.data import distort
row = jnp.zeros((1, 1), int)
print(jax.make_jaxpr(distort.distort)(jax.random.key(0), jnp.zeros((1, 8, 8, 3)), row, row.astype(float)))
"""


def test_every_process_has_the_same_program():
    """Or one that was compiled before would not be found again: it does not depend on the order of a set."""
    environment = os.environ | {'PYTHONPATH': str(Path(__file__).parents[2])}
    texts = {
        subprocess.run(
            [sys.executable, '-c', PROGRAM], env=environment | {'PYTHONHASHSEED': seed}, capture_output=True, check=True
        ).stdout
        for seed in '12'
    }
    assert len(texts) == 1
