"""The operations of RandAugment and CTAugment, for a batch in which every image has its own.

The operations of one form are one pass over the batch, in which each image has its own coefficients (those of the
identity where it has another operation):

- tone, one line a * x + b per channel: autocontrast, brightness, contrast, invert
- levels: equalize, posterize, solarize
- blends with a plainer image: blur, color, sharpness, smooth
- an affine map, nearest neighbour, black outside: rescale, rotate, shear, translate
- cutout
"""

import jax
import jax.numpy as jnp
import numpy as np

from ssljax.data import pixels

NAMES = (
    'autocontrast',
    'blur',
    'brightness',
    'color',
    'contrast',
    'cutout',
    'equalize',
    'identity',
    'invert',
    'posterize',
    'rescale',
    'rotate',
    'sharpness',
    'shear_x',
    'shear_y',
    'smooth',
    'solarize',
    'translate_x',
    'translate_y',
)
_TONES = ('autocontrast', 'brightness', 'contrast', 'invert')
_BLENDS = ('blur', 'color', 'sharpness', 'smooth')
WARPS = ('rescale', 'rotate', 'shear_x', 'shear_y', 'translate_x', 'translate_y')


def distort(key, images, kind, value, names=NAMES):
    """Applies to each image the operations names[kind], one after the other, as PIL does except for rounding.

    Args:
        key: places the squares of cutout; nothing else is random.
        images: float32 [B, H, W, C] in [0, 1], 1 to 4 channels. Only warps and cutout change an alpha channel.
        kind: int32 [depth, B], the operations of each image.
        value: float32 [depth, B], their parameters. Share of the changed image in the blend with the given one, in
            [0, 1]: autocontrast, blur, equalize, invert, smooth. Factor as in PIL's ImageEnhance, 1 changes nothing:
            brightness, color, contrast, sharpness. Side of the square as a share of the shorter side: cutout. Bits
            kept, 1 to 8, a fraction is dropped: posterize. Share of each side that is enlarged to the whole: rescale.
            Degrees counter-clockwise: rotate. Pixels per pixel, from the upper left corner: shear_x, shear_y. The
            values at or above it are inverted: solarize. Shares of the width and height, to the left and up:
            translate_x, translate_y. identity has none.
        names: the operations, from NAMES; the passes that none of them needs are left out.

    Returns:
        The images, float32 [B, H, W, C] in [0, 1]. The outermost pixels (smooth, sharpness: 1, blur: 2) are not
        smoothed, as in PIL. There is no reverse derivative if equalize is among the names.

    Raises:
        ValueError: images of another dtype or rank; an unknown name.
    """
    pixels.check(images)
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise ValueError(f'distort: names has {unknown[0]!r}; known are {", ".join(NAMES)}.')
    # A loop, since XLA's CPU backend would compute fused coefficients and the operation before anew for each pixel that
    # reads them; what enters a loop is computed once.
    coefficients = _coefficients(key, images.shape, kind, value, names)
    return jax.lax.scan(lambda x, c: (_distort(x, c, names), None), images, coefficients)[0]


def _coefficients(key, shape, kind, value, names):
    """{name: float32 [depth, B, 1, 1, 1]}: for each image that of its operation, or one that changes nothing."""
    _, height, width, _ = shape
    kind, value = kind[..., None, None, None], value[..., None, None, None]

    def pick(default, **choices):
        out = jnp.full(value.shape, default, jnp.float32)
        for name in filter(names.__contains__, choices):  # in one order, so that a cached program is found again
            out = jnp.where(kind == names.index(name), choices[name], out)
        return out

    angle, zoom = pick(0.0, rotate=value * (np.pi / 180)), pick(1.0, rescale=value)
    places = jax.random.uniform(key, (2, *value.shape))
    side = jnp.round(pick(0.0, cutout=value) * min(height, width))
    return dict(
        slope=pick(1.0, brightness=value, contrast=value, invert=1.0 - 2.0 * value),
        offset=pick(0.0, invert=value),
        stretch=pick(0.0, autocontrast=value),
        gray=pick(0.0, contrast=1.0 - value),
        threshold=pick(2.0, solarize=value),
        step=jnp.round(2.0 ** (8.0 - jnp.clip(jnp.floor(pick(8.0, posterize=value)), 1, 8))),
        equal=pick(0.0, equalize=value),
        keep=pick(1.0, color=value, sharpness=value, smooth=1.0 - value, blur=1.0 - value),
        color=pick(0.0, color=1.0),
        blur=pick(0.0, blur=1.0),
        warped=pick(0.0, **dict.fromkeys(WARPS, 1.0)),
        cos=zoom * jnp.cos(angle),
        sin=zoom * jnp.sin(angle),
        shear_x=pick(0.0, shear_x=value),
        shear_y=pick(0.0, shear_y=value),
        right=pick(0.0, translate_x=value * width),
        down=pick(0.0, translate_y=value * height),
        side=side,
        top=jnp.floor(places[0] * height) - side // 2,
        left=jnp.floor(places[1] * width) - side // 2,
    )


def _distort(images, c, names):
    """One operation per image. Every pass reads the given images: no image needs more than one."""
    has = set(names).intersection
    colour, alpha = pixels.split_alpha(images)
    out = colour
    if has(_TONES):
        out = _tone(colour, c)
    if has(['solarize']):
        out = jnp.where(colour >= c['threshold'], 1.0 - colour, out)
    if has(['posterize']):
        levels = jnp.floor(jnp.round(colour * 255.0) / c['step']) * c['step']
        out = jnp.where(c['step'] > 1, levels / 255.0, out)
    if has(['equalize']):
        out = jnp.where(c['equal'] > 0, colour + c['equal'] * (_equalize_some(colour, c['equal'] > 0) - colour), out)
    if has(_BLENDS):
        out = jnp.where(c['keep'] < 1, c['keep'] * colour + (1.0 - c['keep']) * _plainer(colour, c, names), out)
    out = jnp.clip(pixels.join_alpha(out, alpha), 0.0, 1.0)
    if has(WARPS):
        out = jnp.where(c['warped'] > 0, _warped(images, c), out)
    if has(['cutout']):
        y, x = _grid(images)
        covered = (y >= c['top']) & (y < c['top'] + c['side']) & (x >= c['left']) & (x < c['left'] + c['side'])
        out = jnp.where(covered, 0.5, out)
    return out


def _tone(colour, c):
    batch, height, width, channels = colour.shape
    lines = colour.reshape(batch, height, -1)  # first down the columns: five times as fast on a CPU
    low, high = (
        reduce(reduce(lines, 1).reshape(batch, 1, width, channels), 2, keepdims=True) for reduce in (jnp.min, jnp.max)
    )
    span = jnp.where(high > low, high - low, 1.0)
    slope = c['slope'] + c['stretch'] * (1.0 / span - 1.0)
    offset = c['offset'] + c['gray'] * pixels.mean_luma(colour)
    return slope * colour + (offset - c['stretch'] * jnp.where(high > low, low, 0.0) / span)


def _equalize_some(colour, chosen):
    """The images, the chosen ones (bool [B, 1, 1, 1]) equalized: an eighth of the batch at a time, the chosen first,
    until none is left. Histograms of all would cost more than all else."""
    batch = colour.shape[0]
    size = -(-batch // 8)
    order = jnp.argsort(~chosen.reshape(batch), stable=True)
    order = jnp.pad(order, (0, -batch % size), constant_values=batch)  # reads the last image, writes nothing

    def body(state):
        i, out = state
        at = jax.lax.dynamic_slice(order, (i,), (size,))
        some = out.at[at].get(mode='clip')
        some = jnp.where(chosen.at[at].get(mode='clip'), _equalized(some), some)
        return i + size, out.at[at].set(some, mode='drop')

    return jax.lax.while_loop(lambda state: state[0] < chosen.sum(), body, (0, colour))[1]


def _equalized(colour):
    """PIL's ImageOps.equalize, in whole numbers: the last level that occurs counts for nothing."""
    batch, height, width, channels = colour.shape
    levels = jnp.round(colour * 255.0).astype(jnp.int32).reshape(batch, height * width, channels)
    image, channel = np.arange(batch)[:, None, None], np.arange(channels)
    count = jnp.zeros((batch, 256, channels), jnp.int32).at[image, levels, channel].add(1, mode='promise_in_bounds')
    last = jnp.take_along_axis(count, levels.max(1, keepdims=True), 1)
    step = (height * width - last) // 255
    table = (step // 2 + jnp.cumsum(count, 1) - count) // jnp.maximum(step, 1)
    table = jnp.where(step > 0, jnp.minimum(table, 255), np.arange(256)[None, :, None]) / 255.0
    return jnp.take_along_axis(table, levels, 1, mode='promise_in_bounds').reshape(colour.shape)


def _plainer(colour, c, names):
    """Each pixel's gray (color), the mean of the 3x3 pixels in which it counts five times (sharpness, smooth), or the
    mean of the ring at distance 2 (blur)."""
    out = colour
    if {'sharpness', 'smooth', 'blur'} & set(names):
        three = _box(colour, 1)
        out = _inside(colour, (three + 4.0 * colour) / 13.0, 1)
    if 'blur' in names:
        out = jnp.where(c['blur'] > 0, _inside(colour, (_box(colour, 2) - three) / 16.0, 2), out)
    return jnp.where(c['color'] > 0, pixels.luma(colour), out)


def _box(images, reach):
    """Sums over the pixels up to `reach` rows and columns away, zero outside."""
    batch, height, width, channels = images.shape
    rows = jnp.pad(images.reshape(batch, height, -1), ((0, 0), (reach, reach), (0, 0)))
    rows = sum(rows[:, i : i + height] for i in range(2 * reach + 1))
    rows = jnp.pad(rows, ((0, 0), (0, 0), (reach * channels, reach * channels)))
    steps = range(0, (2 * reach + 1) * channels, channels)
    return sum(rows[:, :, i : i + width * channels] for i in steps).reshape(images.shape)


def _inside(images, changed, margin):
    """`changed`, except for the outer `margin` pixels, which are those of `images`."""
    inner = [(v >= margin) & (v < n - margin) for v, n in zip(_grid(images), images.shape[1:3])]
    return jnp.where(inner[0] & inner[1], changed, images)


def _warped(images, c):
    """The pixel that each pixel's centre comes from, black where that is outside."""
    batch, height, width, channels = images.shape
    y, x = (v + np.float32(0.5) for v in _grid(images))
    down, right = y - height / 2, x - width / 2
    row = jnp.floor(c['cos'] * down + c['sin'] * right + height / 2 + c['shear_y'] * x + c['down'])
    column = jnp.floor(c['cos'] * right - c['sin'] * down + width / 2 + c['shear_x'] * y + c['right'])
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    index = jnp.where(inside, row * width + column, 0).astype(jnp.int32).reshape(batch, -1, 1)
    moved = jnp.take_along_axis(images.reshape(batch, -1, channels), index, 1, mode='promise_in_bounds')
    return jnp.where(inside, moved.reshape(images.shape), 0.0)


def _grid(images):
    """Rows [1, H, 1, 1] and columns [1, 1, W, 1] of the pixels."""
    return [v[None, ..., None] for v in np.ogrid[: images.shape[1], : images.shape[2]]]
