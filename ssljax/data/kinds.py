"""Which encoded images are plain: TensorFlow decodes those to the same pixels as Pillow. Others have more than 8 bits,
alpha, a palette, four colours or an orientation, or are of another format, or damaged: decode.py knows what to do."""

import io

from PIL import Image

from ssljax.data import decode

OTHER = 0
_END = b'\xff\xd9', b'IEND\xaeB`\x82'  # of a JPEG and of a PNG that was not cut short
JPEG_GRAY, JPEG_RGB, PNG_GRAY, PNG_RGB = 1, 3, 11, 13  # the last digit is the number of channels
JPEGS, PNGS = (JPEG_GRAY, JPEG_RGB), (PNG_GRAY, PNG_RGB)
_PNG = b'\x89PNG\r\n\x1a\n'
_COLOURS = {0: PNG_GRAY, 2: PNG_RGB}  # by a PNG's colour type
_CHANGES = {b'tRNS', b'eXIf', b'acTL'}  # chunks of a PNG: a transparent colour, an orientation, an animation
_ORIENTATION = 0x0112  # a tag of EXIF


def of(data: bytes) -> tuple[int, int]:
    """(OTHER or one of the kinds above, pixels) of an encoded image; pixels are 0 if they are not known."""
    try:
        if data.startswith(b'\xff\xd8') and _END[0] in data[-64:]:
            return _jpeg(data)
        if data.startswith(_PNG) and data.endswith(_END[1]):
            return _png(data)
    except Exception:  # Pillow raises almost anything on a damaged file
        pass
    return OTHER, 0


def channels(kind: int) -> int:
    """The channels of a plain image: 1 or 3."""
    return kind % 10


def _jpeg(data):
    try:
        height, width, components = decode.plain_frame(data)
    except (ValueError, LookupError):
        with Image.open(io.BytesIO(data), formats=['JPEG']) as image:
            plain = image.mode in ('L', 'RGB') and image.getexif().get(_ORIENTATION, 1) == 1
            return (JPEG_GRAY if image.mode == 'L' else JPEG_RGB) if plain else OTHER, image.width * image.height
    return components if components in JPEGS else OTHER, height * width


def _png(data):
    width, height = (int.from_bytes(data[at : at + 4], 'big') for at in (16, 20))
    place = 8
    while (name := data[place + 4 : place + 8]) != b'IDAT':
        if name in _CHANGES or not name:
            return OTHER, width * height
        place += 12 + int.from_bytes(data[place : place + 4], 'big')
    return _COLOURS.get(data[25], OTHER) if data[24] == 8 else OTHER, width * height
