"""Images of more than 8 bits per channel: which files hold them, and their values as 0 to 255."""

import io
import re
import sys

import numpy as np
from PIL import Image, ImageOps

_OTHER_ORDER = {'B': 'L', 'L': 'B', 'N': 'B' if sys.byteorder == 'little' else 'L'}
_COLOUR = re.compile(r'(RGB|RGBA|RGBX);16([BLN])')
_ADVICE = "convert it, or set config.data.range='full' if each image fills the range of its type"


class OtherDepth(ValueError):
    """An image has more bits per channel, or fewer, than the other images of its data set."""


def refuse_8_bits() -> None:
    """Raises OtherDepth: an image of 8 bits is in a set of more."""
    raise OtherDepth(f'holds 8-bit values, unlike the other images, which have more than 8 bits per channel: {_ADVICE}')


def kind(image) -> str:
    """The type of a Pillow image's values as they are stored ('uint16', 'float32', ...), '' for 8 bits and fewer, and
    'DICOM' for those of DICOM, which can be compared however they are stored.

    `image` is opened but not loaded yet. CMYK has 8 bits here: Pillow keeps the upper half of its 16.
    """
    if image.mode == 'F':
        return 'DICOM' if image.format == 'DICOM' else 'float32'
    if image.mode.startswith('I;16'):
        return 'uint16'
    if image.format == 'TIFF' and image.mode != 'CMYK':
        bits = max(image.tag_v2.get(258, (1,)))
        if image.mode == 'I':
            return f'{"int" if image.tag_v2.get(339, (1,))[0] == 2 else "uint"}{bits}'
        return 'uint16' if bits == 16 else ''
    if image.mode == 'I':
        return 'uint16' if image.format in ('PNG', 'PPM') else 'int32'
    if image.format == 'PPM' and image.mode == 'RGB':
        return 'uint16' if _largest(image) > 255 else ''
    return 'uint16' if image.format == 'PNG' and _raw_mode(image).endswith(';16B') else ''


def values(image, data: bytes) -> tuple:
    """The values of an image that has a `kind`, upright.

    Args:
      image: a Pillow image, opened but not loaded yet.
      data: its file's bytes.

    Returns:
      values: [H, W, 1 or 3], of the type that `kind` says.
      alpha: uint8 [H, W], or None.
      keyed: whether alpha is one colour that the file declares transparent, not a channel.

    Raises:
      ValueError: its layout is one that cannot be read in full.
    """
    stored = kind(image)
    if image.format == 'PPM' and image.mode in ('I', 'RGB'):
        return _netpbm(image, data), None, False
    if image.mode in ('L', 'LA', 'RGB', 'RGBA'):
        both = _both_bytes(image, data)
    else:
        both = np.asarray(_upright(image))[..., None]
        both = both.view('uint32') if stored == 'uint32' else both
    if both.shape[2] in (2, 4):
        return both[..., :-1], (both[..., -1] >> 8).astype(np.uint8), False
    key = image.info.get('transparency')
    if key is None or isinstance(key, bytes):
        return both, None, False
    return both, np.where((both == key).all(2), 0, 255).astype(np.uint8), True


def plain(image, data: bytes, span, channels=0):
    """A Pillow image of 8 bits per channel, L, LA, RGB or RGBA, upright, from one that has a `kind`.

    Args:
      image, data: as for `values`.
      span: (low, high), the values that become 0 and 255, 'full' for those of the type, or None to refuse.
      channels: of the image that is wanted: a transparent colour becomes white unless it is 4.

    Raises:
      OtherDepth: `span` is None, or 'full' and the values are floating-point.
      ValueError: as for `values`.
    """
    stored = kind(image)
    if span is None:
        raise OtherDepth(f'holds {stored} values, unlike the other images, which have 8 bits per channel: {_ADVICE}')
    if span == 'full':
        if stored == 'float32':
            raise OtherDepth('holds floating-point values, which have no full range: set config.data.range=LOW,HIGH')
        span = image.info['full'] if stored == 'DICOM' else (np.iinfo(stored).min, _largest_of(image, stored))
    colour, alpha, keyed = values(image, data)
    colour = to_bytes(colour, *span)
    if keyed and channels != 4:
        colour[alpha == 0], alpha = 255, None
    if alpha is not None:
        colour = np.concatenate([colour, alpha[..., None]], 2)
    return Image.fromarray(colour[..., 0] if colour.shape[2] == 1 else np.ascontiguousarray(colour))


def to_bytes(array, low: float, high: float):
    """uint8 of the same shape: low becomes 0, high 255, what lies outside is clipped; NaN becomes 0."""
    if array.dtype.kind == 'u' and array.dtype.itemsize == 2:
        return to_bytes(np.arange(65536, dtype=np.float64), low, high)[array]
    with np.errstate(invalid='ignore', over='ignore'):
        scaled = (array.astype(np.float64) - low) * (255 / (high - low))
    return np.rint(np.nan_to_num(scaled, nan=0.0).clip(0, 255)).astype(np.uint8)


def _upright(image):
    ImageOps.exif_transpose(image, in_place=True)
    return image


def _raw_mode(image) -> str:
    args = image.tile[0].args if image.tile else ''
    return args if isinstance(args, str) else str(args[0])


def _largest_of(image, stored: str) -> int:
    if image.format == 'PPM':
        return _largest(image)
    return 4095 if _raw_mode(image).startswith('I;12') else np.iinfo(stored).max


def _largest(image) -> int:
    """The largest value that a PPM or PGM declares."""
    args = image.tile[0].args
    return 255 if args in ('RGB', 'L') else 65535 if isinstance(args, str) else args[1]


def _netpbm(image, data: bytes):
    """The values as stored; Pillow scales them by the largest one that the file declares."""
    tile, shape = image.tile[0], (image.height, image.width, 3 if image.mode == 'RGB' else 1)
    count = int(np.prod(shape))
    if tile.codec_name == 'ppm_plain':
        words = re.sub(rb'#[^\r\n]*', b'', data[tile.offset :]).split()[:count]
        array = np.array(words, np.int64).astype(np.uint16)
    else:
        array = np.frombuffer(data, '>u2', min(count, (len(data) - tile.offset) // 2), tile.offset)
    if len(array) < count:
        raise ValueError('image file is truncated')
    return array.reshape(shape)


def _both_bytes(image, data: bytes):
    """uint16 [H, W, C]. Pillow gives the upper bytes of 16-bit colours; in the other byte order, the lower ones."""
    raw = _raw_mode(image)
    if raw == 'LA;16B' and image.mode == 'RGBA':
        image.tile = [tile._replace(args='RGBA') for tile in image.tile]
        return np.ascontiguousarray(np.asarray(_upright(image))).view('>u2').astype(np.uint16)
    form = _COLOUR.fullmatch(raw)
    if form is None:
        raise ValueError(f'16-bit images stored like this ({raw or image.mode}) cannot be read: convert them to PNG')
    other = f'{form[1]};16{_OTHER_ORDER[form[2]]}'
    swapped = Image.open(io.BytesIO(data))
    swapped.tile = [
        tile._replace(args=(other, *tile.args[1:]) if isinstance(tile.args, tuple) else other) for tile in swapped.tile
    ]
    upper, lower = (np.asarray(_upright(i)).astype(np.uint16) for i in (image, swapped))
    return upper << 8 | lower
