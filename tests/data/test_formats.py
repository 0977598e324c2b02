"""Every format that is promised, in every number of channels; DICOM and HEIC with and without their packages."""

import importlib.util
import io

import numpy as np
import pytest
from PIL import Image

from ssljax.data import decode, depth, formats, names, sources
from tests.data.test_sources import draw, encode, load, write

EXACT = [
    *((kind, c, {}) for kind in ('PNG', 'TIFF') for c in (1, 2, 3, 4)),
    *((kind, c, {}) for kind in ('BMP', 'PPM') for c in (1, 3)),
    *(('WEBP', c, {'lossless': True, 'exact': True}) for c in (3, 4)),
    *(('TIFF', c, {'compression': 'tiff_lzw'}) for c in (1, 3)),
    ('GIF', 1, {}),
]
STORED = {  # how each EXIF orientation has an upright image
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.transpose(1, 0, 2),
    6: np.rot90,
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


@pytest.mark.parametrize(('kind', 'channels', 'options'), EXACT)
def test_formats_without_loss_come_back(kind, channels, options):
    array = draw(0, (9, 7, channels))
    array[..., -1] = np.maximum(array[..., -1], 1)  # under an alpha of 0 there is no colour
    image = Image.fromarray(array[..., 0] if channels == 1 else array)
    found = decode.decode(encode(image, kind, **options), channels=0)
    assert np.array_equal(found, array.repeat(3, 2) if found.shape[2] > channels == 1 else array)
    assert formats.of(encode(image, kind, **options)) == ''


@pytest.mark.parametrize(('kind', 'channels'), [('JPEG', 1), ('JPEG', 3), ('WEBP', 3)])
def test_formats_with_loss_come_near(kind, channels):
    array = np.full((16, 24, channels), 90, np.uint8)
    array[:, 12:] = 200
    found = decode.decode(encode(Image.fromarray(array[..., 0] if channels == 1 else array), kind, quality=95))
    assert found.shape == array.shape and abs(found.astype(int) - array).max() < 24


@pytest.mark.parametrize('kind', ['GIF', 'TIFF', 'PNG', 'WEBP'])
def test_the_first_frame_of_several_is_taken(kind):
    frames = [Image.fromarray(np.full((6, 6, 3), v, np.uint8)) for v in (200, 10)]
    found = decode.decode(encode(frames[0], kind, save_all=True, append_images=frames[1:]), channels=3)
    assert abs(found.astype(int) - 200).max() < 3


@pytest.mark.parametrize('kind', ['PNG', 'JPEG', 'WEBP', 'TIFF'])
@pytest.mark.parametrize('turn', STORED)
def test_every_exif_orientation(kind, turn):
    upright = np.zeros((16, 24, 3), np.uint8)
    upright[:8, :12] = 250
    stored = STORED[turn](upright)
    exif = Image.Exif()
    exif[0x0112] = turn
    found = decode.decode(encode(Image.fromarray(np.ascontiguousarray(stored)), kind, exif=exif))
    assert found.shape == upright.shape and abs(found.astype(int) - upright)[2:6, 2:10].max() < 40
    assert abs(found.astype(int) - upright)[10:, 14:].max() < 40


def dicom(array, bits=12, kind='MONOCHROME2', **fields):
    """The bytes of a DICOM file without compression."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=['x'])
    found = FileDataset('x', {}, file_meta=meta, preamble=bytes(128))
    found.Rows, found.Columns = array.shape[:2]
    found.BitsAllocated, found.BitsStored, found.HighBit = 8 * array.itemsize, bits, bits - 1
    found.PixelRepresentation, found.SamplesPerPixel = int(array.dtype.kind == 'i'), array[0, 0].size
    found.PhotometricInterpretation = kind
    if array.ndim == 3:
        found.PlanarConfiguration = 0
    for name, value in fields.items():
        setattr(found, name, value)
    found.PixelData = array.tobytes()
    out = io.BytesIO()
    found.save_as(out, enforce_file_format=True)
    return out.getvalue()


@pytest.fixture
def pydicom():
    return pytest.importorskip('pydicom', reason='pydicom, of the extra formats, is not installed')


RAMP = np.array([[0, 1000, 2000, 4095]], np.uint16)


def test_dicom_of_12_bits(pydicom):
    """By one range, as 16-bit PNG; MONOCHROME1 is turned around, and slope and intercept count."""
    plain, inverted = dicom(RAMP), dicom(4095 - RAMP, kind='MONOCHROME1')
    scaled = dicom(RAMP // 2, RescaleSlope=2, RescaleIntercept=-1000)
    expected = depth.to_bytes(RAMP, 0, 4095).tolist()
    for data in (plain, inverted):
        assert decode.decode(data, span='full')[..., 0].tolist() == expected
        assert decode.decode(data, span=(0, 4095))[..., 0].tolist() == expected
    assert decode.decode(scaled, span=(-1000, 3000))[..., 0].tolist() == [[0, 64, 128, 255]]
    assert decode.decode(scaled, span='full')[0, 3, 0] == round((4094 - 1000 + 1000) * 255 / 8190)
    signed = dicom(RAMP.astype(np.int16) - 2048)
    assert decode.decode(signed, span='full')[..., 0].tolist() == expected
    with pytest.raises(depth.OtherDepth, match='holds DICOM values, unlike the other images, which have 8 bits'):
        decode.decode(plain, span=None)


def test_dicom_of_8_bits_and_colours(pydicom):
    array = draw(1, (4, 5, 1))[..., 0]
    assert np.array_equal(decode.decode(dicom(array, 8), span=None)[..., 0], array)
    assert np.array_equal(decode.decode(dicom(255 - array, 8, 'MONOCHROME1'), span=None)[..., 0], array)
    assert decode.opened(dicom(array, 8)).format == 'DICOM'
    colour = draw(2, (4, 5, 3))
    assert np.array_equal(decode.decode(dicom(colour, 8, 'RGB'), 0, 0, None), colour)
    assert decode.decode(dicom(colour, 8, 'RGB'), 4, 1, None).shape == (4, 4, 1)
    with pytest.raises(ValueError, match='6 x 5 pixels|5 x 4 pixels are more than'):
        decode.decode(dicom(array, 8), most=19)
    with pytest.raises(ValueError, match='it holds 2 frames: save each'):
        decode.decode(dicom(np.concatenate([array, array]), 8, NumberOfFrames=2, Rows=4))


def test_compressed_dicom_names_the_package_of_its_decoder(pydicom):
    """By a folder in one line; nothing is decoded without it."""
    from pydicom.encaps import encapsulate
    from pydicom.uid import JPEGLossless

    if any(importlib.util.find_spec(name) for name in ('libjpeg', 'gdcm')):
        pytest.skip('a decoder of lossless JPEG is installed')
    found = pydicom.dcmread(io.BytesIO(dicom(RAMP)))
    found.file_meta.TransferSyntaxUID = JPEGLossless
    found.PixelData = encapsulate([b'\xff\xd8\xff\xd9'])
    found['PixelData'].is_undefined_length = True
    out = io.BytesIO()
    found.save_as(out, enforce_file_format=True)
    with pytest.raises(formats.Missing, match=r"'JPEG Lossless.*', for which .* pip install \"pylibjpeg\[all\]\"$"):
        decode.decode(out.getvalue())


@pytest.mark.parametrize('where', ['folder', 'named without an ending'])
def test_a_set_of_dicom(pydicom, tmp_path, where):
    random = np.random.default_rng(0)
    for i in range(20):
        path = tmp_path / f'{"ab"[i % 2]}/IM{i:04}{".dcm" if where == "folder" else ""}'
        path.parent.mkdir(exist_ok=True)
        array = random.integers(100, 3000, (8, 8)).astype(np.uint16)
        path.write_bytes(dicom(array, RescaleSlope=1 + i % 2, RescaleIntercept=0))
    s = load(f'folder:{tmp_path}')
    low, high = s.range
    assert s.shape == (8, 8, 1) and 100 <= low < 130 and 5500 < high < 6000 and len(s.train) == 16
    write(tmp_path / 'a/x.png', draw(0, (8, 8, 1)))
    with pytest.raises(ValueError, match='different types, .* 1 8-bit, 20 DICOM'):
        load(f'folder:{tmp_path}')


def heic(array, **options):
    pillow_heif = pytest.importorskip('pillow_heif', reason='pillow-heif, of the extra formats, is not installed')
    out = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(array)).save(out, **options)
    return out.getvalue()


def test_heic(tmp_path):
    array = np.zeros((64, 96, 3), np.uint8)
    array[:32, :48] = 240
    data = heic(array, quality=90)
    found = decode.decode(data)
    assert formats.of(data) == 'HEIC' and found.shape == array.shape and abs(found.astype(int) - array).mean() < 8
    assert decode.decode(data, 16, 1).shape == (16, 16, 1) and decode.opened(data).format == 'HEIC'
    with pytest.raises(ValueError, match='pixels are more than config.data.max_pixels=100'):
        decode.decode(data, most=100)
    for i in range(10):
        (tmp_path / 'ab'[i % 2]).mkdir(exist_ok=True)
        (tmp_path / f'{"ab"[i % 2]}/{i}.{"heic" if i < 8 else "odd"}').write_bytes(data)
    assert load(f'folder:{tmp_path}', image_size=8).shape == (8, 8, 3)
    with pytest.raises(Exception, match='.'):
        decode.decode(data[: len(data) // 2])


@pytest.mark.parametrize('kind', ['DICOM', 'HEIC'])
def test_the_package_that_is_missing_is_named(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(formats, 'PACKAGES', {k: f'no-such-{v}' for k, v in formats.PACKAGES.items()})
    package, ending = formats.PACKAGES[kind], next(e for e, k in formats.ENDINGS.items() if k == kind)
    head = bytes(128) + b'DICM' if kind == 'DICOM' else b'\0\0\0\x18ftypheic' + bytes(120)
    with pytest.raises(formats.Missing, match=f'{kind} needs the package {package}.*pip install {package}'):
        decode.decode(head)
    for i in range(10):
        write(tmp_path / f'{"ab"[i % 2]}/{i}.png', draw(i, (6, 5, 1)))
    (tmp_path / f'a/x{ending.upper()}').write_bytes(head)
    message = f'holds 1 {kind} file, such as .*x{ending}.*pip install {package}; or remove them'
    for source in (f'folder:{tmp_path}', 'synthetic:6x5x1:2'):
        with pytest.raises(ValueError, match='(?i)' + message):
            load(source, unlabeled=f'folder:{tmp_path}')
    (tmp_path / f'a/x{ending.upper()}').rename(tmp_path / 'a/x')  # told by its content
    with pytest.raises(ValueError, match=f"The image 'a/x' {kind} needs the package|The image 'a/x' .*{package}"):
        load(f'folder:{tmp_path}')


def test_what_is_sniffed_for_is_within_the_bytes_that_are_read():
    assert formats.of((bytes(128) + b'DICM' + bytes(9))[: names.HEAD]) == 'DICOM' and sources.load
    assert formats.of(b'\0\0\0\x1cftypavif' + bytes(120)) == '' == formats.of(b'')
