"""Image augmentation on the device: pure functions of (key, images), to be compiled into the training step.

Every augmentation is `op(key, images, ...)`: `images` is float32 [B, H, W, C] in [0, 1] with 1 to 4 channels
(gray, gray and alpha, RGB, RGBA), the result has the same dtype and range and, except for
`random_resized_crop(size=...)`, the same shape. Each image has its own draws. Colour operations leave an
alpha channel untouched. All raise ValueError for images of another dtype or rank and for arguments out of
range. `parse` turns 'crop(4)|flip|cutout(8)' into one such function.

Crops and warps are gathers with two taps per axis, not matrix products: on the CPU they were measured about
two to five times as fast as interpolation matrices.
"""

import ast
import difflib
import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np

from ssljax.data.pixels import check as _check
from ssljax.data.pixels import choose as _choose
from ssljax.data.pixels import join_alpha as _join_alpha
from ssljax.data.pixels import luma as _luma
from ssljax.data.pixels import mean_luma as _mean_luma
from ssljax.data.pixels import split_alpha as _split_alpha
from ssljax.data.rand_augment import rand_augment
from ssljax.text import wording

LARGEST = 10_000  # of the numbers of a pipeline: pixels, degrees, factors


def to_float(images):
    """uint8 of any shape -> float32 in [0, 1]."""
    return images.astype(jnp.float32) / 255.0


def to_uint8(images):
    """float32 in [0, 1] (clipped to it) -> the nearest uint8; the inverse of `to_float`."""
    return jnp.round(jnp.clip(images, 0.0, 1.0) * 255.0).astype(jnp.uint8)


def normalize(images):
    """float32 in [0, 1] -> float32 in [-1, 1], the range of every network's input."""
    return images * 2.0 - 1.0


def apply_with(key, images, op, p):
    """Applies `op(key, images)`, which must keep the shape, to each image with probability p in [0, 1]."""
    _check(images)
    coin_key, op_key = jax.random.split(key)
    return _choose(coin_key, p, op(op_key, images), images)


def crop(key, images, padding, mode='reflect'):
    """Pads every side by `padding` pixels and cuts a random window of the original size.

    mode is 'reflect' (mirrored without repeating the border, bouncing as often as needed) or 'zeros'.
    """
    batch, height, width, _ = _check(images)
    if int(padding) != padding or padding < 0:
        raise ValueError(f'crop: padding is {padding}; it must be a whole number of pixels, 0 or more.')
    offset = jax.random.randint(key, (batch, 2), -int(padding), int(padding) + 1)
    for axis, n in ((1, height), (2, width)):
        index = jnp.arange(n) + offset[:, axis - 1, None]
        source, inside = _border(index, n, mode)
        images = _take(images, source, axis)
        if mode == 'zeros':
            images = jnp.where(_along(inside, axis), images, 0.0)
    return images


def flip(key, images, p=0.5):
    """Mirrors left and right with probability p."""
    batch, _, width, _ = _check(images)
    no = jnp.zeros((batch, 1), bool)
    mirrored = _choose(key, p, ~no, no)
    # One gather, not a choice between two copies: XLA's CPU backend would compute a crop before it twice.
    column = jnp.arange(width)
    return _take(images, jnp.where(mirrored, width - 1 - column, column), 2)


def rotations(images, k=4):
    """All k rotated copies of square images, the pretext task of RotNet (Gidaris et al. 2018,
    arXiv:1803.07728).

    images: [B, S, S, C] of any dtype for k = 2 or 4, float32 in [0, 1] for k = 8. Returns [k, B, S, S, C];
    copy r is turned counter-clockwise by r * 360 / k degrees. Multiples of 90 degrees are exact. For k = 8
    the odd copies are bilinear, and every copy shows only the inscribed disc on mid-gray (0.5), so that empty
    corners do not give the class away. Raises ValueError for images that are not square and for k other than
    2, 4, 8.
    """
    if images.ndim != 4 or images.shape[1] != images.shape[2]:
        raise ValueError(
            f'rotations: images have shape {tuple(images.shape)}; they must be square, '
            '[B, S, S, C]: crop or resize them first.'
        )
    if k not in (2, 4, 8):
        raise ValueError(f'rotations: k is {k}; it must be 2, 4 or 8.')
    if k < 8:
        return jnp.stack([jnp.rot90(images, r * 4 // k, axes=(1, 2)) for r in range(k)])
    size = _check(images)[1]
    disc, taps = _tilt(size)
    flat = images.reshape(images.shape[0], size * size, -1)
    copies = []
    for quarter in range(4):
        straight = jnp.rot90(images, quarter, axes=(1, 2))
        turned = np.rot90(taps, quarter, axes=(2, 3)).reshape(4, 2, -1)
        tilted = sum(np.float32(weight)[:, None] * flat[:, np.int32(index)] for index, weight in turned)
        tilted = tilted.reshape(images.shape)
        copies += [jnp.where(disc, copy, 0.5) for copy in (straight, tilted)]
    return jnp.clip(jnp.stack(copies), 0.0, 1.0)


def rotate(key, images, degrees, mode='reflect', p=1.0):
    """Rotates about the centre by an angle uniform in [-degrees, degrees], bilinear; mode as in `crop`."""
    return affine(key, images, degrees, mode=mode, p=p)


def affine(key, images, degrees=0.0, translate=0.0, scale=(1.0, 1.0), shear=0.0, mode='reflect', p=1.0):
    """A random affine map about the centre, bilinear: shear, then scale, then rotation, then translation.

    degrees and shear (along x) are uniform in plus or minus the number given, in degrees; translate is a
    fraction of the height and of the width; scale is the range of the zoom factor, above 1 enlarging. mode as
    in `crop`.
    """
    batch, height, width, _ = _check(images)
    for name, value in (('degrees', degrees), ('translate', translate), ('shear', shear)):
        if value < 0:
            raise ValueError(f'affine: {name} is {value}; it must be 0 or more (it is a half-width).')
    if shear >= 90:
        raise ValueError(f'affine: shear is {shear}; it must be below 90 degrees.')
    low, high = _range('affine', 'scale', scale, above=0.0)
    *map_keys, coin_key = jax.random.split(key, 6)
    unit = [jax.random.uniform(k, (batch, 1, 1), minval=-1.0, maxval=1.0) for k in map_keys]
    angle, slant = unit[0] * np.deg2rad(degrees), unit[1] * np.deg2rad(shear)
    down, right = unit[2] * (translate * height), unit[3] * (translate * width)
    zoom = low + (unit[4] + 1.0) / 2.0 * (high - low)
    y, x = _turn(angle, height, width, down, right, zoom, jnp.tan(slant))
    return _choose(coin_key, p, _sample(images, y, x, mode), images)


def scale(key, images, factor=(0.8, 1.2), mode='reflect', p=1.0):
    """Zooms about the centre by a factor uniform in the given range (above 1 enlarges), bilinear; mode as
    in `crop`.
    """
    batch, height, width, _ = _check(images)
    low, high = _range('scale', 'factor', factor, above=0.0)
    zoom_key, coin_key = jax.random.split(key)
    zoom = jax.random.uniform(zoom_key, (batch, 1), minval=low, maxval=high)
    out = images
    for axis, n in ((1, height), (2, width)):
        centre = (n - 1) / 2
        out = _interpolate(out, (jnp.arange(n) - centre) / zoom + centre, axis, mode)
    return _choose(coin_key, p, jnp.clip(out, 0.0, 1.0), images)


def random_resized_crop(key, images, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3), size=0):
    """Cuts a random part of the area at a random aspect ratio and resizes it (Szegedy et al. 2014,
    arXiv:1409.4842).

    The box is drawn as torchvision's RandomResizedCrop does: area uniform in `scale` (fractions), log of
    width / height uniform in `ratio`, sides rounded, the first of ten attempts that fits, else a centred box
    of the nearest ratio. The resize is bilinear, with antialiasing where it shrinks. size: 0 keeps [H, W]; N
    gives [N, N]; (h, w) gives that.
    """
    batch, height, width, _ = _check(images)
    scale = _range('random_resized_crop', 'scale', scale, above=0.0, to=1.0)
    ratio = _range('random_resized_crop', 'ratio', ratio, above=0.0)
    out_size = tuple(size) if isinstance(size, (tuple, list)) else (size or height, size or width)
    if len(out_size) != 2 or any(int(s) != s or s < 1 for s in out_size):
        raise ValueError(f'random_resized_crop: size is {size}; it must be 0, a number of pixels or (height, width).')
    boxes = _crop_boxes(key, batch, height, width, scale, ratio)
    for axis, out, (start, length) in ((1, int(out_size[0]), boxes[0]), (2, int(out_size[1]), boxes[1])):
        step = (length / out)[:, None]
        centre = (jnp.arange(out) + 0.5) * step - 0.5 + start[:, None]
        if out < images.shape[axis]:
            images = _shrink(images, centre, step, start, length, axis)
        else:
            centre = jnp.clip(centre, start[:, None], (start + length - 1)[:, None])
            images = _interpolate(images, centre, axis, 'zeros')
    return jnp.clip(images, 0.0, 1.0)


def color_jitter(key, images, brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0, p=1.0):
    """Random brightness, contrast, saturation and hue, always in this order (SimCLR, arXiv:2002.05709, draws
    the order).

    The first three are half-widths v of a factor uniform in [max(0, 1 - v), 1 + v], blending with black, with
    the image's mean gray and with each pixel's gray; hue in [0, 0.5] is the half-width of a shift in turns.
    Images of 1 or 2 channels have no saturation and no hue: these are ignored there.
    """
    batch = _check(images)[0]
    for name, value in (('brightness', brightness), ('contrast', contrast), ('saturation', saturation)):
        if value < 0:
            raise ValueError(f'color_jitter: {name} is {value}; it must be 0 or more.')
    if not 0 <= hue <= 0.5:
        raise ValueError(f'color_jitter: hue is {hue}; it must be in [0, 0.5], in turns.')
    keys = jax.random.split(key, 5)

    def factor(i, v):
        return jax.random.uniform(keys[i], (batch, 1, 1, 1), minval=max(0.0, 1.0 - v), maxval=1.0 + v)

    colour, alpha = _split_alpha(images)
    if brightness:
        colour = jnp.clip(colour * factor(0, brightness), 0.0, 1.0)
    if contrast:
        mean = _mean_luma(colour)
        colour = jnp.clip(mean + factor(1, contrast) * (colour - mean), 0.0, 1.0)
    if saturation and colour.shape[-1] == 3:
        gray = _luma(colour)
        colour = jnp.clip(gray + factor(2, saturation) * (colour - gray), 0.0, 1.0)
    if hue and colour.shape[-1] == 3:
        colour = _shift_hue(colour, jax.random.uniform(keys[3], (batch, 1, 1), minval=-hue, maxval=hue))
    return _choose(keys[4], p, _join_alpha(colour, alpha), images)


def grayscale(key, images, p=0.2):
    """Replaces the colours by their luma (BT.601) with probability p; images of 1 or 2 channels are
    returned as they are.
    """
    _check(images)
    colour, alpha = _split_alpha(images)
    if colour.shape[-1] == 1:
        _choose(key, p, images, images)
        return images
    gray = jnp.broadcast_to(jnp.clip(_luma(colour), 0.0, 1.0), colour.shape)
    return _choose(key, p, _join_alpha(gray, alpha), images)


def solarize(key, images, threshold=0.5, p=0.2):
    """Inverts the values at or above `threshold` (BYOL, arXiv:2006.07733, appendix B) with probability p."""
    _check(images)
    colour, alpha = _split_alpha(images)
    colour = jnp.where(colour >= threshold, 1.0 - colour, colour)
    return _choose(key, p, _join_alpha(colour, alpha), images)


def blur(key, images, sigma=(0.1, 2.0), kernel=0, p=0.5):
    """Gaussian blur, sigma uniform in the given range in pixels, with probability p (SimCLR,
    arXiv:2002.05709, appendix A).

    kernel: an odd number of taps; 0 takes about 10% of the shorter side, at least 3. Borders are mirrored.
    """
    batch, height, width, _ = _check(images)
    low, high = _range('blur', 'sigma', sigma, above=0.0)
    if kernel and (kernel < 0 or kernel % 2 != 1):
        raise ValueError(
            f'blur: kernel is {kernel}; it must be an odd number of pixels, or 0 for about 10% of the image.'
        )
    radius = int(kernel) // 2 if kernel else max(1, round(0.05 * min(height, width)))
    sigma_key, coin_key = jax.random.split(key)
    spread = jax.random.uniform(sigma_key, (batch, 1), minval=low, maxval=high)
    taps = jnp.exp(-0.5 * (jnp.arange(-radius, radius + 1) / spread) ** 2)
    taps = taps / taps.sum(1, keepdims=True)
    # Down the columns as one matrix product per image: XLA's CPU backend then computes an operation before it
    # once, and not once for each tap.
    steps = range(2 * radius + 1)
    rows = np.pad(np.arange(height), radius, mode='reflect')
    picks = np.stack([np.eye(height, dtype=np.float32)[rows[i : i + height]] for i in steps])
    highest = jax.lax.Precision.HIGHEST
    filters = jnp.einsum('bt,toh->boh', taps, picks, precision=highest)
    out = jnp.matmul(filters, images.reshape(batch, height, -1), precision=highest).reshape(images.shape)
    padded = jnp.pad(out, [(0, 0), (0, 0), (radius, radius), (0, 0)], mode='reflect')
    out = sum(taps[:, i, None, None, None] * padded[:, :, i : i + width] for i in steps)
    return _choose(coin_key, p, jnp.clip(out, 0.0, 1.0), images)


def cutout(key, images, size, fill=0.5, p=1.0):
    """Covers a square of side `size` centred on a random pixel, clipped at the border (DeVries and Taylor,
    arXiv:1708.04552).

    fill in [0, 1]; 0.5 becomes 0 after `normalize`, as in the paper. Every channel, alpha too, is covered.
    """
    batch, height, width, _ = _check(images)
    if int(size) != size or size < 1:
        raise ValueError(f'cutout: size is {size}; it must be a whole number of pixels, 1 or more.')
    if not 0 <= fill <= 1:
        raise ValueError(f'cutout: fill is {fill}; it must be in [0, 1].')
    place_key, coin_key = jax.random.split(key)
    start = jax.random.randint(place_key, (batch, 2), 0, jnp.array([height, width])) - int(size) // 2
    rows, columns = jnp.arange(height) - start[:, :1], jnp.arange(width) - start[:, 1:]
    rows, columns = (rows >= 0) & (rows < size), (columns >= 0) & (columns < size)
    covered = rows[:, :, None, None] & columns[:, None, :, None]
    return _choose(coin_key, p, jnp.where(covered, fill, images), images)


OPS = {
    op.__name__: op
    for op in (
        crop,
        flip,
        rotate,
        affine,
        scale,
        random_resized_crop,
        color_jitter,
        grayscale,
        solarize,
        blur,
        cutout,
        rand_augment,
    )
}


def parse(spec):
    """'crop(4)|flip|cutout(8, p=0.5)' -> a function (key, images) -> images; '' is the identity.

    Arguments are Python literals. The operation at position i draws from `fold_in(key, i)`, so one added at
    the end leaves the others as they were. Raises ValueError for an unknown name (naming the nearest) and for
    arguments that do not fit (naming the signature).
    """
    if not spec.strip():
        return functools.partial(_chain, ops=())
    try:
        node = ast.parse(spec.strip(), mode='eval').body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise ValueError(
            f"augmentation {wording.shown(spec)} cannot be read; write names and arguments joined by '|', "
            "such as 'crop(4)|flip|cutout(8)'."
        ) from error
    steps = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        steps.insert(0, node.right)
        node = node.left
    return functools.partial(_chain, ops=tuple(_parse_step(step, spec) for step in [node, *steps]))


def _chain(key, images, ops):
    for i, op in enumerate(ops):
        images = op(jax.random.fold_in(key, i), images)
    return images


def _parse_step(node, spec):
    call = node if isinstance(node, ast.Call) else ast.Call(func=node, args=[], keywords=[])
    if not isinstance(call.func, ast.Name):
        raise ValueError(
            f'augmentation {wording.shown(spec)}: {wording.shown(ast.unparse(node))} is not an operation; write names '
            "joined by '|', such as 'crop(4)|flip|cutout(8)'."
        )
    name = call.func.id
    if name not in OPS:
        nearest = difflib.get_close_matches(name, OPS, n=1, cutoff=0.0)[0]
        raise ValueError(
            f'augmentation {wording.shown(spec)}: unknown operation {wording.shown(name)}, the nearest is {nearest!r}; '
            f'known are {", ".join(sorted(OPS))}.'
        )
    signature = inspect.signature(OPS[name])
    shown = signature.replace(parameters=list(signature.parameters.values())[2:])
    try:
        args = [ast.literal_eval(arg) for arg in call.args]
        kwargs = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
        bound = shown.bind(*args, **kwargs)
        _check_numbers(bound.arguments)
        # Traced on abstract images: a value out of range is refused here, not at the first step.
        jax.eval_shape(
            lambda images: OPS[name](jax.random.key(0), images, *args, **kwargs),
            jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32),
        )
    except (TypeError, ValueError, ArithmeticError, MemoryError, RecursionError) as error:
        reason = str(error).split('\n')[0].rstrip('.')
        raise ValueError(
            f'augmentation {wording.shown(spec)}: {wording.shown(ast.unparse(node))} does not fit {name}{shown}: '
            f'{reason}.'
        ) from error
    return functools.partial(OPS[name], **bound.arguments)


def _check_numbers(value) -> None:
    """Raises ValueError for a number that is out of range for any operation, in nested dicts, tuples and lists."""
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, (tuple, list)) else ():
        _check_numbers(part)
    if isinstance(value, (int, float)) and not -LARGEST <= value <= LARGEST:
        raise ValueError(f'numbers must be finite, from {-LARGEST:,} to {LARGEST:,}')


def suits(spec, shape, field: str) -> None:
    """Raises ValueError if a pipeline cannot be applied to images of `shape` (H, W, C), or would leave nothing of them;
    `field` is the config's field that has it."""
    height, width, _ = shape
    for op in parse(spec).keywords['ops']:
        given, side = op.keywords, min(height, width)
        pixels = {crop: given.get('padding', 0), cutout: given.get('size', 0)}.get(op.func, 0)
        if pixels > side or op.func is crop and pixels == side > 1:
            raise ValueError(
                f'{field} is {wording.shown(spec)}: {op.func.__name__}({pixels}) leaves nothing of images of {height} '
                f'x {width} pixels: use fewer pixels.'
            )
    try:
        size(spec, shape)
    except (TypeError, ValueError) as error:
        reason = str(error).splitlines()[0].rstrip('.')
        raise ValueError(
            f'{field} is {wording.shown(spec)}, which does not suit images of {height} x {width}: {reason}.'
        ) from error


@functools.cache
def size(spec: str, shape: tuple[int, int, int]) -> tuple[int, int]:
    """(H, W) of a pipeline's results for images of `shape` (H, W, C)."""
    found = jax.eval_shape(parse(spec), jax.random.key(0), jax.ShapeDtypeStruct((1, *shape), jnp.float32))
    return found.shape[1:3]


def _range(op, name, value, above, to=float('inf')):
    pair = tuple(value) if isinstance(value, (tuple, list)) else ()
    if len(pair) != 2 or not above < pair[0] <= pair[1] <= to:
        limit = f'above {above:g}' + (f' and up to {to:g}' if to < float('inf') else '')
        raise ValueError(f'{op}: {name} is {value}; it must be a range (low, high) {limit}.')
    return pair


def _shift_hue(colour, turns):
    """Moves the hue of [B, H, W, 3] by `turns` [B, 1, 1]; the HSV round trip of colorsys without its
    branches.
    """
    red, green, blue = (colour[..., i] for i in range(3))
    value = jnp.maximum(jnp.maximum(red, green), blue)
    chroma = value - jnp.minimum(jnp.minimum(red, green), blue)
    safe = jnp.where(chroma > 0, chroma, 1.0)
    sector = jnp.where(
        value == red,
        (green - blue) / safe,
        jnp.where(value == green, 2.0 + (blue - red) / safe, 4.0 + (red - green) / safe),
    )
    channels = []
    for origin in (5.0, 3.0, 1.0):
        k = _modulo(origin + sector + 6.0 * turns, 6.0)
        channels.append(value - chroma * jnp.clip(jnp.minimum(k, 4.0 - k), 0.0, 1.0))
    return jnp.stack(channels, axis=-1)


def _border(position, n, mode):
    """Brings whole or fractional positions along an axis of n pixels inside it; also says which were
    inside.
    """
    if mode not in ('reflect', 'zeros'):
        raise ValueError(f"mode is {mode!r}; it must be 'reflect' or 'zeros'.")
    inside = (position >= 0) & (position <= n - 1)
    if mode == 'zeros' or n == 1:
        return jnp.clip(position, 0, n - 1), inside
    position = _modulo(position, 2 * (n - 1))
    return jnp.minimum(position, 2 * (n - 1) - position), inside


def _modulo(x, period):
    """x % period; jnp's exact float remainder is about six times as slow as this on the CPU."""
    return x - (period * jnp.floor(x / period)).astype(x.dtype)


def _along(values, axis):
    """[B, n] -> [B, n, 1, 1] or [B, 1, n, 1]."""
    return values[:, :, None, None] if axis == 1 else values[:, None, :, None]


def _take(images, index, axis):
    return jnp.take_along_axis(images, _along(index, axis), axis, mode='promise_in_bounds')


def _taps(position, n, mode):
    """The two neighbours of each position and their weights; in mode 'zeros' a neighbour outside weighs
    nothing.
    """
    if mode == 'zeros':
        base = position
    else:
        base, _ = _border(position, n, mode)
    low = jnp.floor(base)
    upper = base - low
    taps = []
    for index, weight in ((low, 1.0 - upper), (low + 1.0, upper)):
        source, inside = _border(index, n, 'zeros')
        taps.append((source.astype(jnp.int32), jnp.where(inside, weight, 0.0)))
    return taps


def _interpolate(images, position, axis, mode):
    """Linear interpolation along one axis; position: [B, n_out] in pixels."""
    return sum(
        _along(weight, axis) * _take(images, index, axis) for index, weight in _taps(position, images.shape[axis], mode)
    )


def _sample(images, y, x, mode):
    """Bilinear values of [B, H, W, C] at the positions y, x [B, H', W']."""
    gather = jax.vmap(lambda image, row, column: image.at[row, column].get(mode='promise_in_bounds'))
    rows, columns = _taps(y, images.shape[1], mode), _taps(x, images.shape[2], mode)
    out = sum(
        (row_weight * column_weight)[..., None] * gather(images, row, column)
        for row, row_weight in rows
        for column, column_weight in columns
    )
    return jnp.clip(out, 0.0, 1.0)


def _turn(angle, height, width, down=0.0, right=0.0, zoom=1.0, shear=0.0):
    """Where each output pixel comes from, y, x [B, H, W], for parameters [B, 1, 1]; angle in radians,
    counter-clockwise.
    """
    y, x = np.mgrid[:height, :width].astype(np.float32)
    y, x = y - (height - 1) / 2 - down, x - (width - 1) / 2 - right
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    y, x = (cos * y + sin * x) / zoom, (cos * x - sin * y) / zoom
    return y + (height - 1) / 2, x - shear * y + (width - 1) / 2


def _tilt(size):
    """The inscribed disc, bool [S, S, 1], and [4, 2, S, S]: four (index, weight) for a turn by 45 degrees."""
    centre = (size - 1) / 2
    y, x = np.mgrid[:size, :size] - centre
    disc = y * y + x * x <= centre * centre
    y, x = np.sqrt(0.5) * (y + x) + centre, np.sqrt(0.5) * (x - y) + centre
    row, column = (np.clip(np.floor(v), 0, max(size - 2, 0)) for v in (y, x))
    y, x = y - row, x - column
    step = min(1, size - 1)
    taps = [
        ((row + i * step) * size + column + j * step, disc * abs(1 - i - y) * abs(1 - j - x))
        for i in (0, 1)
        for j in (0, 1)
    ]
    return disc[:, :, None], np.array(taps)


def _crop_boxes(key, batch, height, width, scale, ratio, attempts=10):
    """((top, heights), (left, widths)), float32 [B] whole numbers of pixels."""
    keys = jax.random.split(key, 4)
    area = jax.random.uniform(keys[0], (batch, attempts), minval=scale[0], maxval=scale[1]) * (height * width)
    low, high = np.log(ratio)
    aspect = jnp.exp(jax.random.uniform(keys[1], (batch, attempts), minval=low, maxval=high))
    widths, heights = jnp.round(jnp.sqrt(area * aspect)), jnp.round(jnp.sqrt(area / aspect))
    fits = (widths >= 1) & (widths <= width) & (heights >= 1) & (heights <= height)
    first = jnp.argmax(fits, axis=1, keepdims=True)
    found = fits.any(axis=1)
    nearest = min(max(width / height, ratio[0]), ratio[1])
    box = []
    for k, sides, n, fallback in (
        (2, heights, height, min(height, round(width / nearest))),
        (3, widths, width, min(width, round(height * nearest))),
    ):
        length = jnp.where(found, jnp.take_along_axis(sides, first, 1)[:, 0], float(max(fallback, 1)))
        start = jnp.floor(jax.random.uniform(keys[k], (batch,)) * (n - length + 1))
        box.append((jnp.where(found, start, jnp.floor((n - length) / 2)), length))
    return box


def _shrink(images, centre, step, start, length, axis):
    """Antialiased linear resize along one axis (PIL's triangle filter on the cropped box), as a product
    with a matrix.
    """
    pixel = jnp.arange(images.shape[axis])
    weight = jnp.maximum(0.0, 1.0 - jnp.abs(centre[:, :, None] - pixel) / jnp.maximum(step, 1.0)[:, :, None])
    inside = (pixel >= start[:, None]) & (pixel < (start + length)[:, None])
    weight = jnp.where(inside[:, None, :], weight, 0.0)
    weight = weight / weight.sum(-1, keepdims=True)
    path = 'bon,bnwc->bowc' if axis == 1 else 'bon,bhnc->bhoc'
    return jnp.einsum(path, weight, images, precision=jax.lax.Precision.HIGHEST)
