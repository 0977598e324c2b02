"""A look at images: header, hash and a small picture of each. No JAX here: processes that decode import it."""

import contextlib
import hashlib
import re
from typing import NamedTuple

import numpy as np
from PIL import Image

from ssljax.audit import measures
from ssljax.data import decode, depth

SIDE, CELLS = 32, 8  # pixels per side of a small picture, and of its colour
DETAIL = 64  # pixels per side of the picture that sharpness is measured on; SIDE for smaller images
LEAST_SHARP = 24  # pixels per side, below which it is not measured
_GRAY, _CLEAR = ('1', 'L', 'LA', 'La', 'F', 'I'), ('LA', 'La', 'PA', 'RGBA', 'RGBa')  # modes of Pillow
_PERCENTILES = 0.1, 99.9  # of an image of more than 8 bits that has no range in common with the others


class Header(NamedTuple):
    """What a file says about its image.

    Attributes:
      format: as Pillow names it, 'JPEG'; 'array' where there is no file.
      width, height: pixels, as stored.
      channels: 1 to 4; for a palette, those of its colours.
      bits: per channel.
      alpha: whether pixels can be transparent.
      frames: whether there is more than one image.
      why: why it cannot be decoded; '' if it can.
    """

    format: str = ''
    width: int = 0
    height: int = 0
    channels: int = 0
    bits: int = 0
    alpha: bool = False
    frames: bool = False
    why: str = ''


class Looks(NamedTuple):
    """Of n images: headers; digests uint64 [n, 2] of the bytes; luma uint8 [n, SIDE, SIDE]; chroma uint8
    [n, CELLS, CELLS, 2]; sharp float32 [n], NaN where it cannot be measured."""

    headers: list
    digests: np.ndarray
    luma: np.ndarray
    chroma: np.ndarray
    sharp: np.ndarray


def files(keys, reader, span, most: int) -> Looks:
    """Looks at files.

    Args:
      keys, reader: from folder.Files.
      span: (low, high), the values that become 0 and 255 in images of more than 8 bits; else each has its own range.
      most: pixels that a decoded image may have.
    """
    headers, digests, pictures = [], np.zeros((len(keys), 2), np.uint64), []
    for i, key in enumerate(keys):
        try:
            data = reader(key)
            digests[i] = _digest(data)
            header, image = decoded(data, span, most)
            pictures.append(_picture(image))
        except MemoryError:
            raise
        except Exception as e:  # Pillow raises almost anything on a damaged file
            header = Header(why=decode.reason(e))
            pictures.append(None)
        headers.append(header)
    return _looks(headers, digests, pictures)


def arrays(images) -> Looks:
    """Looks at images uint8 [n, H, W, C]."""
    n, h, w, c = images.shape
    digests = np.stack([_digest(np.ascontiguousarray(image).tobytes()) for image in images])
    headers = [Header('array', w, h, c, 8, c in (2, 4))] * n
    return _looks(headers, digests, [_picture(plain(image)) for image in images])


def decoded(data: bytes, span, most: int, side: int = DETAIL):
    """(Header, Pillow image, L or RGB and upright) of a file; a large JPEG is decoded at a reduced size, no side below
    `side`; 0: whole. Raises what Pillow does."""
    frame = None
    if data.startswith(b'\xff\xd8'):
        with contextlib.suppress(ValueError, LookupError):
            frame = decode.plain_frame(data)
    image = decode.opened(data, side if frame else 0, most=most)
    if frame:
        header = Header('JPEG', frame[1], frame[0], frame[2], 8)
    else:
        header = _header(image)
        if side and image.format == 'JPEG':
            image.draft(None, (side, side))
    if not isinstance(image, np.ndarray) and depth.kind(image):
        image = _of_8_bits(image, data, span)
    return header, plain(image)


def plain(image):
    """A Pillow image, L or RGB and upright, from what decode.opened returns or from uint8 [H, W, C]; what is
    transparent is white."""
    gray = image.shape[2] < 3 if isinstance(image, np.ndarray) else image.mode in _GRAY
    array = decode.fit(image, 0, 1 if gray else 3)
    return Image.fromarray(array[..., 0] if gray else np.ascontiguousarray(array))


def _header(image):
    kind, gray = depth.kind(image), image.mode in _GRAY or image.mode.startswith('I;16')
    clear = image.mode in _CLEAR or 'transparency' in image.info
    bits = int(re.sub(r'\D', '', kind) or 16) if kind else 1 if image.mode == '1' else 8
    channels = (1 if gray else 4 if image.mode == 'CMYK' else 3) + clear
    frames = bool(getattr(image, 'is_animated', False))
    return Header(image.format, *image.size, channels, bits, clear, frames)


def _of_8_bits(image, data, span):
    if isinstance(span, tuple):
        return depth.plain(image, data, span)
    array, _, _ = depth.values(image, data)
    finite = array[np.isfinite(array)]
    low, high = np.percentile(finite, _PERCENTILES) if finite.size else (0.0, 1.0)
    array = depth.to_bytes(array, low, high if high > low else low + 1)
    return Image.fromarray(array[..., 0] if array.shape[2] == 1 else np.ascontiguousarray(array))


def _picture(image):
    """(uint8 [s, s] or, for a colour image, YCbCr [s, s, 3]; whether sharpness can be measured)."""
    side = DETAIL if min(image.size) >= DETAIL else SIDE
    small = image.resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(small if small.mode == 'L' else small.convert('YCbCr')), min(image.size) >= LEAST_SHARP


def _looks(headers, digests, pictures):
    n = len(headers)
    luma, sharp = np.zeros((n, SIDE, SIDE), np.uint8), np.full(n, np.nan, np.float32)
    chroma = np.full((n, CELLS, CELLS, 2), 128, np.uint8)
    shapes = {picture[0].shape for picture in pictures if picture}
    for shape in sorted(shapes):
        rows = [i for i, picture in enumerate(pictures) if picture and picture[0].shape == shape]
        stack = np.stack([pictures[i][0] for i in rows])
        whole = stack if stack.ndim == 3 else stack[..., 0]
        luma[rows] = _shrunk(whole, SIDE)
        measured = measures.sharpness(whole)
        sharp[rows] = np.where([pictures[i][1] for i in rows], measured, np.nan)
        if stack.ndim == 4:
            chroma[rows] = np.stack([_shrunk(stack[..., c], CELLS) for c in (1, 2)], -1)
    return Looks(headers, digests, luma, chroma, sharp)


def _shrunk(x, side):
    n, step = len(x), x.shape[1] // side
    return np.rint(x.reshape(n, side, step, side, step).mean((2, 4), dtype=np.float32)).astype(np.uint8)


def _digest(data):
    return np.frombuffer(hashlib.blake2b(data, digest_size=16).digest(), '<u8')
