"""From the bytes of an image file to pixels."""

import importlib.util
import io
from typing import NamedTuple

import numpy as np
import simplejpeg
from PIL import Image, ImageOps, UnidentifiedImageError, features

from ssljax.data import depth, formats, resample
from ssljax.data.archive import Changed

VERSION = 2  # of `decode`: to be raised with any change of its pixels: no cache of older ones is read
_MODES = {1: 'L', 2: 'LA', 3: 'RGB', 4: 'RGBA'}
_SPACES = {1: 'GRAY', 3: 'RGB'}  # of a JPEG's components
_FRAMES = frozenset((0xC0, 0xC1, 0xC2))  # a JPEG's markers: baseline, extended and progressive frames
_SCAN = 0xDA
_TILE = 322, 323  # a TIFF's tags: width and length of a tile
# Formats whose size is known before anything is decoded. Others that Pillow reads hold further files, or programs.
_FORMATS: tuple = 'PNG', 'JPEG', 'BMP', 'GIF', 'PPM', 'TIFF', 'WEBP', 'JPEG2000'
_FORMATS += ('AVIF',) if importlib.util.find_spec('PIL.AvifImagePlugin') else ()  # of Pillow 11.3 on
_SCALES = {'L;2': 85, 'L;4': 17}  # by which Pillow scales a PNG's grey levels, but not the transparent one
_UNUSUAL = frozenset((0xE1, 0xFF))  # APP1, which holds EXIF and XMP; a fill byte


def reason(error: Exception) -> str:
    """Why an image cannot be decoded, from what `decode` raised: one line for a table or a message."""
    if isinstance(error, UnidentifiedImageError):
        return 'it is not an image in a known format'
    told = (isinstance(error, OSError) and error.strerror) or str(error)
    return ' '.join(told.split()) or type(error).__name__


class Fit(NamedTuple):
    """How every image of a set is decoded: what `decode` takes besides the file."""

    size: int = 0
    channels: int = 0
    span: object = 'full'
    most: int = 0
    resize: str = 'crop'

    def key(self) -> str:
        """What identifies it where images are kept; for those that crop, as it was before there was `resize`."""
        return repr(self).replace(", resize='crop')", ')')


Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit: `check_pixels` has config.data.max_pixels in its place


def decode(data, size=0, channels=0, span='full', most=0, resize='crop', out=None):
    """Decodes one image file.

    A JPEG whose shorter side is at least twice `size` is decoded at 1/2, 1/4 or 1/8, never below `size`, before it is
    resized, and the rest takes a fraction of the work. Pixels differ from those of a full decode: for 800 photographs
    by 1.2 to 2.1 of 255 on average, 39 at most (PSNR 37 to 43 dB); where nothing is left to resize, by 3.2 to 3.7, 79
    at most (32 to 34 dB), since a JPEG's half size is sharper than a bilinear one.

    Args:
      data: bytes of the file.
      size, channels, resize: as for `fit`.
      span: for more than 8 bits per channel, the values (low, high) that become 0 and 255; 'full' for those of the
        file's type; None if there must be no more than 8 bits.
      most: pixels that the file may declare; 0: any number.
      out: uint8 [H, W, C], contiguous; where the image may, but need not, be put if it has that shape.

    Returns:
      uint8 [H, W, C].

    Raises:
      depth.OtherDepth: the image has more than 8 bits per channel and `span` is None, or no more and it is a pair.
      formats.Missing: a package that reads its format is not installed.
      ValueError: the image declares more than `most` pixels. Others of Pillow's: the file is damaged.
    """
    image = opened(data, size, out, most)
    if not isinstance(image, np.ndarray) and depth.kind(image):
        image = depth.plain(image, data, span, channels)
    elif isinstance(span, tuple):
        depth.refuse_8_bits()
    return fit(image, size, channels, resize)


def opened(data, size=0, out=None, most=0):
    """A file's image: uint8 [H, W, C] of a JPEG without EXIF and XMP, else a Pillow image, not decoded yet.

    A large JPEG has a reduced size, as in `decode`. Plain ones take an eighth of Pillow's time for the same pixels,
    small ones above all; what their decoder does not take is Pillow's to decode, or to refuse.
    """
    if data.startswith(b'\xff\xd8'):
        try:
            return _jpeg(data, size, out, most)
        except (ValueError, LookupError):
            pass
    image = header(data, most)
    if size and image.format == 'JPEG':
        image.draft(None, (size, size))
    return image


def header(data, most=0):
    """A file's image as a Pillow image, of which nothing is decoded yet, however many pixels it declares; arguments and
    errors as `decode`."""
    if data.startswith(b'RIFF'):
        check_pixels(*_webp_size(data), most)
    if kind := formats.of(data):
        return formats.opened(data, kind, lambda width, height: check_pixels(width, height, most))
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except UnidentifiedImageError:  # Pillow's message is the address of a buffer
        said = 'it is empty' if not data else 'it is not an image, or its first bytes are damaged'
        raise UnidentifiedImageError(said) from None
    check_pixels(*image.size, most)
    if image.format == 'TIFF':
        check_pixels(*(int(np.max(image.tag_v2.get(tag, 0))) for tag in _TILE), most)
    key = image.info.get('transparency')
    if image.format == 'PNG' and image.mode == 'L' and isinstance(key, int) and image.tile:
        image.info['transparency'] = key * _SCALES.get(image.tile[0].args, 1)
    return image


def check_pixels(width, height, most):
    """Raises ValueError if an image has more than `most` pixels, unless that is 0."""
    if most and width * height > most:
        raise ValueError(f'its {width:,} x {height:,} pixels are more than config.data.max_pixels={most}')


def _webp_size(data):
    """(width, height) that a WebP declares; its decoder takes memory for them when it is opened."""
    kind, u = data[12:16], lambda start, bytes: int.from_bytes(data[start : start + bytes], 'little')
    if kind == b'VP8X':
        return u(24, 3) + 1, u(27, 3) + 1
    if kind == b'VP8L':
        return (u(21, 4) & 0x3FFF) + 1, (u(21, 4) >> 14 & 0x3FFF) + 1
    return u(26, 2) & 0x3FFF, u(28, 2) & 0x3FFF


def _jpeg(data, size, out, most):
    shape = height, width, components = plain_frame(data)
    check_pixels(width, height, most)
    fraction = next((n for n in (8, 4, 2) if min(height, width) >= n * size), 1) if size else 1
    least = {'min_height': -(-height // fraction), 'min_width': -(-width // fraction)}
    if fraction > 1 or out is None or out.shape != shape:
        return simplejpeg.decode_jpeg(data, _SPACES[components], **least)
    simplejpeg.decode_jpeg(data, _SPACES[components], buffer=out)
    return out


def plain_frame(data):
    """(height, width, components) of a JPEG, from its headers, in less time than its decoder takes for that.

    Raises:
      ValueError, LookupError: there is EXIF or XMP, or something unusual.
    """
    place, frame = 2, None
    while (marker := data[place + 1]) != _SCAN:
        if marker in _UNUSUAL or data[place] != 0xFF:
            raise ValueError
        if marker in _FRAMES:
            frame = place
        place += 2 + (data[place + 2] << 8 | data[place + 3])
    if frame is None:
        raise ValueError
    return data[frame + 5] << 8 | data[frame + 6], data[frame + 7] << 8 | data[frame + 8], data[frame + 9]


RESIZES = {  # what is done to an image that is not square
    'crop': 'the shorter side is resized to {size} pixels, bilinear with antialiasing, and the centre square is kept',
    'pad': 'the longer side is resized to {size} pixels, bilinear with antialiasing, and black bars make a square',
    'squash': 'both sides are resized to {size} pixels, bilinear with antialiasing',
}


def fit(image, size=0, channels=0, resize='crop'):
    """Turns an image upright, then to `channels`, then to `size`.

    Args:
      image: what `opened` returns. For a Pillow image, the EXIF orientation is applied; palettes become RGB, or RGBA
        where transparent; CMYK and the like become RGB. Colours are put on white where alpha is dropped, and are 0
        under an alpha of 0 where it is kept.
      size: a side of the square that it becomes, with antialiasing; 0 keeps the size.
      channels: 1, 3 or 4; 0 keeps the channels.
      resize: one of RESIZES; bars are 0, also in alpha.

    Returns:
      uint8 [H, W, C].
    """
    if isinstance(image, np.ndarray):
        if channels in (0, image.shape[2]):
            return _square(image, size, resize)
        image = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    if not image.info.keys().isdisjoint(('exif', 'xmp', 'XML:com.adobe.xmp')) or image.format == 'TIFF':
        ImageOps.exif_transpose(image, in_place=True)
    if image.mode not in ('L', 'LA', 'RGB', 'RGBA'):
        image = _plain(image)
    mode = _MODES[channels] if channels else image.mode
    if mode in ('L', 'RGB') and ('transparency' in image.info or image.mode in ('LA', 'RGBA')):
        image = _on_white(image)
    if image.mode != mode:
        image = image.convert(mode)
    array = _square(image, size, resize)
    if mode in ('LA', 'RGBA') and not array[..., -1].all():
        array = array * (array[..., -1:] > 0)
    return array


def _square(image, size, resize):
    """uint8 [size, size, C] of uint8 [H, W, C] or of a Pillow image; of its own size if size is 0."""
    width, height = image.shape[1::-1] if isinstance(image, np.ndarray) else image.size
    if size in (0, height) and size in (0, width):
        return resample.pixels(image)
    if resize != 'pad':
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side) if resize == 'crop' else None
        return resample.resize(image, (size, size), box)
    width, height = (max(round(length * size / max(width, height)), 1) for length in (width, height))
    left, top = (size - width) // 2, (size - height) // 2
    resized = resample.resize(image, (width, height))
    square = np.zeros((size, size, resized.shape[2]), np.uint8)
    square[top : top + height, left : left + width] = resized
    return square


def _on_white(image):
    """L or RGB of an image with alpha, or with a transparent colour; where it is opaque, its own pixels."""
    mode = 'L' if image.mode in ('L', 'LA') else 'RGB'
    image = image if image.mode in ('LA', 'RGBA') else image.convert({'L': 'LA', 'RGB': 'RGBA'}[mode])
    alpha, colour = image.getchannel('A'), image.convert(mode)
    if alpha.getextrema()[0] == 255:
        return colour
    return Image.composite(colour, Image.new(mode, image.size, 'white'), alpha)


def _plain(image):
    if image.mode == '1':
        return _on_white(image.convert('LA')) if 'transparency' in image.info else image.convert('L')
    if image.mode == 'La':
        return image.convert('LA')
    if image.mode in ('PA', 'RGBa') or (image.mode == 'P' and 'transparency' in image.info):
        return image.convert('RGBA')
    return image.convert('RGB')


def version():
    """What pixels depend on besides the file and the fit: this code, Pillow, its JPEG library, and simplejpeg."""
    library = features.version('libjpeg_turbo') or features.version('jpg')
    return f'{VERSION}, Pillow {Image.__version__}, libjpeg {library}, simplejpeg {simplejpeg.__version__}'


def mixed(first, shape, second, other):
    if shape[2] != other[2]:
        return (
            f'The images have different numbers of channels: {first!r} has {shape[2]}, '
            f'{second!r} has {other[2]}; '
            'config.data.channels=1 or 3 converts them all.'
        )
    return (
        f'The images have different sizes: {first!r} is {shape[0]}x{shape[1]}, {second!r} is '
        f'{other[0]}x{other[1]}; set config.data.image_size to resize them all.'
    )


def probe(files, order, fit):
    """Shape (H, W, C) and name of the first image that can be decoded; fit: Fit.

    Raises:
      ValueError: none can be.
    """
    error = None
    for number in order:
        try:
            return decode(files.read(number), *fit).shape, files.names[number]
        except (MemoryError, Changed):
            raise
        except (depth.OtherDepth, formats.Missing) as e:
            raise ValueError(f'The image {files.names[number]!r} {e}.') from e
        except Exception as e:
            error = error or e
    raise ValueError(
        f'None of the {len(order)} images can be decoded; the first is {files.names[order[0]]!r} ({error}).'
    )
