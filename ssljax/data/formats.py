"""Formats that a further package reads, if it is installed: DICOM and HEIC. The extra `formats` has both."""

import importlib.util
import io
import os
import re
from collections import Counter

import numpy as np
from PIL import Image

PACKAGES = {'DICOM': 'pydicom', 'HEIC': 'pillow-heif'}
ENDINGS = {'.dcm': 'DICOM', '.dicom': 'DICOM', '.heic': 'HEIC', '.heif': 'HEIC'}
_DICOM = re.compile(rb'.{128}DICM', re.DOTALL)
_HEIC = re.compile(rb'.{4}ftyp(hei[cxms]|hev[cmsx]|mif1|msf1)', re.DOTALL)


class Missing(ValueError):
    """An image can only be read by a package that is not installed; the message completes 'The image X ...'."""


def of(data: bytes) -> str:
    """The format of a file by its first 132 bytes: a key of PACKAGES, or ''."""
    return 'DICOM' if _DICOM.match(data) else 'HEIC' if _HEIC.match(data) else ''


def check(names, path: str) -> None:
    """Raises ValueError if names of files have the extension of a format whose package is not installed."""
    endings = [os.path.splitext(name)[1].lower() for name in names]
    for kind, count in Counter(ENDINGS[ending] for ending in endings if ending in ENDINGS).items():
        if not _installed(kind):
            first = next(name for name, ending in zip(names, endings) if ENDINGS.get(ending) == kind)
            raise ValueError(
                f'{path!r} holds {count:,} {kind} file{"s" * (count != 1)}, such as {first!r}, and {_advice(kind)}; or '
                'remove them.'
            )


def opened(data: bytes, kind: str, check_size) -> Image.Image:
    """The Pillow image of a file.

    Its `format` is `kind`. HEIC has 8 bits per channel and is upright. A grey DICOM image of more than 8 bits, or whose
    values are rescaled, has the mode F, and in info['full'] the lowest and highest value that it could have. Values are
    the stored ones, times the rescale slope, plus the intercept, and inverted if MONOCHROME1 says that the lowest is
    white (PS3.3 C.7.6.3.1.2 and C.11.1).

    Args:
      data: the file.
      kind: from `of`.
      check_size: (width, height) -> None, may raise before anything is decoded.

    Raises:
      Missing: the package is not installed, or lacks a further one for the file's compression.
      ValueError: a DICOM file has several frames, or colours of more than 8 bits. Others of the packages': the file is
        damaged.
    """
    if not _installed(kind):
        raise Missing(_advice(kind))
    image = {'DICOM': _dicom, 'HEIC': _heic}[kind](data, check_size)
    image.format = kind
    return image


def _installed(kind: str) -> bool:
    return importlib.util.find_spec(PACKAGES[kind].replace('-', '_')) is not None


def _advice(kind: str) -> str:
    package = PACKAGES[kind]
    return f'{kind} needs the package {package} (the formats extra of ssljax): pip install {package}'


def _heic(data, check_size):
    import pillow_heif  # only if there is such a file

    file = pillow_heif.open_heif(io.BytesIO(data))
    check_size(*file.size)
    return file.to_pillow()


def _dicom(data, check_size):
    import pydicom  # it takes a third of a second
    from pydicom import pixels

    found = pydicom.dcmread(io.BytesIO(data))
    if 'PixelData' not in found:
        raise ValueError('it holds no image')
    if (frames := int(found.get('NumberOfFrames') or 1)) > 1:
        raise ValueError(f'it holds {frames} frames: save each as a file of its own')
    check_size(found.Columns, found.Rows)
    try:
        array = pixels.pixel_array(found)
    except (RuntimeError, NotImplementedError) as e:
        if 'missing dependencies' not in str(e):
            raise
        syntax = found.file_meta.TransferSyntaxUID.name
        raise Missing(
            f'is compressed as {syntax!r}, for which pydicom needs a further package: pip install "pylibjpeg[all]"'
        ) from e
    if found.PhotometricInterpretation == 'PALETTE COLOR':
        array = pixels.apply_color_lut(array, found)
        array = (array >> 8).astype(np.uint8) if array.dtype.itemsize > 1 else array
    if array.ndim == 3:
        if array.dtype != np.uint8:
            raise ValueError('it has colours of more than 8 bits per channel')
        return Image.fromarray(np.ascontiguousarray(array))
    return _grey(found, array, pixels)


def _grey(found, array, pixels):
    bits, signed = int(found.BitsStored), bool(found.PixelRepresentation)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    inverted = found.PhotometricInterpretation == 'MONOCHROME1'
    array = low + high - array.astype(np.int64) if inverted else array
    slope, intercept = float(found.get('RescaleSlope') or 1), float(found.get('RescaleIntercept') or 0)
    if 'ModalityLUTSequence' in found:
        if inverted:
            raise ValueError('it has a modality LUT and is MONOCHROME1')
        array = pixels.apply_modality_lut(array, found)
        low, high = 0, 2 ** int(found.ModalityLUTSequence[0].LUTDescriptor[2]) - 1
    elif (slope, intercept) != (1, 0):
        array, low, high = array * slope + intercept, low * slope + intercept, high * slope + intercept
    elif bits <= 8 and not signed:
        return Image.fromarray(np.rint(array * (255 / high)).astype(np.uint8))
    image = Image.fromarray(array.astype(np.float32))
    image.info['full'] = min(low, high), max(low, high)
    return image
