"""Images of more than 8 bits a channel, and transparent ones: no content is lost, and nothing hidden is seen."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ssljax.config import base
from ssljax.data import decode, decoders, depth, encoded, sources, span
from ssljax.data.summary import text as summary


def png(array, color, key=b''):
    """A PNG of 16 bits a channel, uint16 [H, W, C]; color: the format's number for its channels."""
    chunk = lambda kind, data: struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
    rows = b''.join(b'\0' + row.astype('>u2').tobytes() for row in array)
    head = struct.pack('>IIBBBBB', array.shape[1], array.shape[0], 16, color, 0, 0, 0)
    body = (chunk(b'tRNS', key) if key else b'') + chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b'')
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', head) + body


def tiff(array, order='<', planar=1):
    """An uncompressed TIFF of any type and channels."""
    channels, code = array.shape[2], {'u': 1, 'i': 2, 'f': 3}[array.dtype.kind]
    data = array.astype(array.dtype.newbyteorder(order)).tobytes()
    bits, count = array.dtype.itemsize * 8, 12 + (channels == 4)
    end = 8 + 2 + 12 * count + 4
    short = lambda tag, *v: (
        struct.pack(order + 'HHI', tag, 3, len(v)) + (struct.pack(order + 'HH', *v, 0) if len(v) == 1 else b'')
    )
    several = lambda tag, v, where: (
        short(tag, v) if channels == 1 else struct.pack(order + 'HHII', tag, 3, channels, where)
    )
    tags = [short(256, array.shape[1]), short(257, array.shape[0]), several(258, bits, end), short(259, 1)]
    tags += [short(262, 2 if channels > 2 else 1)]
    tags += [struct.pack(order + 'HHII', 273, 4, 1, end + 4 * channels), short(277, channels)]
    tags += [short(278, array.shape[0]), struct.pack(order + 'HHII', 279, 4, 1, len(data)), short(284, planar)]
    tags += [short(274, 1)] + ([short(338, 2)] if channels == 4 else []) + [several(339, code, end + 2 * channels)]
    tags.sort(key=lambda t: struct.unpack(order + 'H', t[:2]))
    head = (b'II' if order == '<' else b'MM') + struct.pack(order + 'HI', 42, 8)
    extra = struct.pack(f'{order}{2 * channels}H', *[bits] * channels, *[code] * channels)
    return head + struct.pack(order + 'H', count) + b''.join(tags) + bytes(4) + extra + data


def encode(image, kind='PNG', **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pnm(array, top):
    magic = b'P6' if array.shape[2] == 3 else b'P5'
    head = f'\n# made by a test\n{array.shape[1]} {array.shape[0]}\n{top}\n'
    return magic + head.encode() + array.astype('>u2').tobytes()


def text(array, top):
    magic = 'P3' if array.shape[2] == 3 else 'P2'
    return f'{magic}\n{array.shape[1]} {array.shape[0]}\n{top}\n{" ".join(map(str, array.ravel()))}\n'.encode()


def compressed(array):
    return encode(Image.fromarray(array[..., 0]), 'TIFF', compression='tiff_lzw')


FORMATS = {
    'png': (lambda a: png(a, {1: 0, 3: 2}[a.shape[2]]), 'uint16', (1, 3)),
    'tiff': (tiff, 'uint16', (1, 3)),
    'tiff, other order': (lambda a: tiff(a, '>'), 'uint16', (1, 3)),
    'tiff, signed': (tiff, 'int16', (1,)),
    'tiff, 32 bits': (tiff, 'uint32', (1,)),
    'tiff, 32 bits, signed': (lambda a: tiff(a, '>'), 'int32', (1,)),
    'tiff, float': (tiff, 'float32', (1,)),
    'tiff, compressed': (compressed, 'uint16', (1,)),
    'tiff, float, compressed': (compressed, 'float32', (1,)),
    'pnm': (lambda a: pnm(a, 65535), 'uint16', (1, 3)),
    'pnm of 12 bits': (lambda a: pnm(a, 4095), 'uint16', (1, 3)),
    'pnm as text': (lambda a: text(a, 4095), 'uint16', (1, 3)),
}


@pytest.mark.parametrize('name', FORMATS)
@pytest.mark.parametrize('channels', [1, 3])
def test_values_are_read_in_full_from_every_format(name, channels):
    write, dtype, known = FORMATS[name]
    if channels not in known:
        return
    array = np.random.default_rng(0).integers(0, 4096, (5, 7, channels)).astype(dtype)
    if dtype == 'uint32':
        array[0, 0] = 2**32 - 1
    if dtype.startswith('int'):
        array[0, 0] = -300
    if dtype == 'float32':
        array[0, 0], array = np.inf, array / 4096
    data = write(array)
    image = Image.open(io.BytesIO(data))
    assert depth.kind(image) == span.kind_of(data, 0) == dtype
    found, alpha, _ = depth.values(image, data)
    assert alpha is None and found.dtype.kind == array.dtype.kind and np.array_equal(found, array)
    assert np.array_equal(decode.decode(data, span=(0, 4095)), depth.to_bytes(array, 0, 4095))
    with pytest.raises(depth.OtherDepth, match=f'{dtype} values'):
        decode.decode(data, span=None)


def test_alpha_and_transparent_colours_of_16_bits():
    array = np.random.default_rng(0).integers(0, 4096, (5, 7, 4)).astype(np.uint16)
    array[..., 3] = 65535
    array[2, 3, 3] = 0
    for data in (png(array, 6), tiff(array), tiff(array, '>'), png(array[..., 2:], 4)):
        colour = array[..., 2:3] if Image.open(io.BytesIO(data)).tile[0].args == 'LA;16B' else array[..., :3]
        found = decode.decode(data, span=(0, 4095))
        expected = depth.to_bytes(colour, 0, 4095)
        expected[2, 3] = 0
        assert np.array_equal(found[..., :-1], expected) and np.array_equal(found[..., -1] == 0, array[..., 3] == 0)
        assert decode.decode(data, channels=1, span=(0, 4095))[2, 3] == 255
    for data in (png(array[..., :3], 2, array[2, 3, :3].astype('>u2').tobytes()), png(array[..., :1], 0, b'\0\0')):
        opaque = png(array[..., :3], 2) if data[25] == 2 else png(array[..., :1], 0)
        expected = decode.decode(opaque, span=(0, 4095)).copy()
        if data[25] == 2:
            expected[2, 3] = 255
            assert (decode.decode(data, channels=4, span=(0, 4095))[2, 3] == 0).all()
        else:
            expected[array[..., 0] == 0] = 255
        assert np.array_equal(decode.decode(data, span=(0, 4095)), expected)


def test_orientation_of_deep_images():
    array = np.arange(6, dtype=np.uint16).reshape(2, 3, 1) * 1000
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encode(Image.fromarray(array[..., 0]), exif=exif)
    expected = depth.to_bytes(np.rot90(array, -1), 0, 5000)
    assert np.array_equal(decode.decode(turned, span=(0, 5000)), expected)
    colour = png(array.repeat(3, 2), 2)
    chunk = b'eXIf' + exif.tobytes().removeprefix(b'Exif\0\0')
    chunk = struct.pack('>I', len(chunk) - 4) + chunk + struct.pack('>I', zlib.crc32(chunk))
    colour = colour[:33] + chunk + colour[33:]
    assert np.array_equal(decode.decode(colour, span=(0, 5000)), expected.repeat(3, 2))


def test_layouts_that_cannot_be_read_in_full_are_refused():
    with pytest.raises(ValueError, match='convert them to PNG'):
        decode.decode(tiff(np.zeros((4, 4, 3), np.uint16), planar=2))


@settings(max_examples=40)
@given(st.floats(-1e9, 1e9), st.floats(1e-3, 1e6), st.sampled_from(['uint16', 'int32', 'float32']), st.integers(0, 99))
def test_mapping_is_linear_and_clips(low, width, dtype, seed):
    high = low + width
    array = np.random.default_rng(seed).uniform(0, 60000, 50).astype(dtype)
    expected = [min(max(round((float(v) - low) * (255 / (high - low))), 0), 255) for v in array]
    assert np.abs(depth.to_bytes(array, low, high).astype(int) - expected).max() <= 1
    odd = np.array([np.nan, np.inf, -np.inf], np.float32)
    assert depth.to_bytes(odd, 0, 1).tolist() == [0, 255, 0]


def folder(root, arrays, write=None, suffix='png'):
    write = write or (lambda a: encode(Image.fromarray(a[..., 0])))
    for i, array in enumerate(arrays):
        path = root / ('cat', 'dog')[i % 2] / f'{i:02}.{suffix}'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(write(array))
    return root


def load(root, **fields):
    config = base().data
    config.update(source=f'folder:{root}', **fields)
    return sources.load(config)


def pixels(source):
    return np.concatenate([split.read(np.arange(len(split))) for split in (source.train, source.test)])


def originals(channels=1):
    arrays = np.random.default_rng(1).integers(0, 256, (20, 8, 8, channels), np.uint8)
    arrays[:, 0, 0], arrays[:, 0, 1] = 0, 255
    return list(arrays)


@pytest.mark.parametrize('apart', [False, True])
@pytest.mark.parametrize('path', ['resident', 'stream'])
@pytest.mark.parametrize('channels', [1, 3])
def test_8_bit_values_in_16_bit_files_are_the_same_pixels(tmp_path, request, monkeypatch, apart, path, channels):
    if apart:
        request.getfixturevalue('processes')
        monkeypatch.setattr(encoded, '_LARGE', 0)
        monkeypatch.setattr(decoders, '_decode', None)
    plain = folder(tmp_path / '8', originals(channels), lambda a: encode(Image.fromarray(a.squeeze())))
    expected = load(plain, path=path)
    assert expected.range is None and 'Stored' not in summary(expected)
    write = lambda a: png(a, {1: 0, 3: 2}[channels])
    for factor in (1, 16, 257):
        root = folder(tmp_path / str(factor), [a.astype(np.uint16) * factor for a in originals(channels)], write)
        found = load(root, path=path)
        assert found.range == (0, 255 * factor) and f'{255 * factor:,g} become 0 to 255' in summary(found)
        assert np.array_equal(pixels(found), pixels(expected))
        declared = load(root, path=path, range=f'0,{255 * factor}')
        assert np.array_equal(pixels(declared), pixels(expected))
    assert np.array_equal(pixels(load(root, path=path, range='full')), pixels(expected))


def test_a_full_16_bit_set_keeps_its_contrast_and_outliers_do_not_matter(tmp_path):
    arrays = [np.random.default_rng(i).integers(0, 65536, (32, 32, 1)).astype(np.uint16) for i in range(20)]
    low, high = load(folder(tmp_path / 'full', arrays)).range
    assert low < 200 and high > 65300
    for array in arrays:
        array //= 64
        array[0, 0] = 65535
    assert 1000 < load(folder(tmp_path / 'outliers', arrays)).range[1] < 1024


def test_sets_of_one_value_and_of_few_other_pixels(tmp_path):
    arrays = [np.full((32, 32, 1), 700, np.uint16) for _ in range(20)]
    constant = load(folder(tmp_path / 'constant', arrays))
    assert constant.range == (700, 1400) and not pixels(constant).any()
    arrays[3][5, 5] = 900
    found = load(folder(tmp_path / 'few', arrays))
    assert found.range == (700, 900) and set(np.unique(pixels(found))) == {0, 255}


def test_nan_takes_no_part(tmp_path):
    arrays = [np.random.default_rng(i).random((8, 8, 1), np.float32) * 2 - 1 for i in range(20)]
    arrays[0][0], arrays[1][0] = np.nan, np.inf
    found = load(folder(tmp_path, arrays, lambda a: encode(Image.fromarray(a[..., 0]), 'TIFF'), 'tif'))
    assert -1 <= found.range[0] < -0.97 and 0.97 < found.range[1] <= 1
    assert pixels(found).std() > 60
    with pytest.raises(ValueError, match="'cat/00.tif' holds floating-point values, .*set config.data.range=LOW,HIGH"):
        load(tmp_path, range='full')


def test_hidden_colours_take_no_part_in_the_range(tmp_path):
    arrays = [np.random.default_rng(i).integers(0, 1000, (8, 8, 2)).astype(np.uint16) for i in range(20)]
    for array in arrays:
        array[..., 1] = 65535
        array[:2] = 60000, 0
    assert load(folder(tmp_path, arrays, lambda a: png(a, 4))).range[1] < 1000


def test_files_of_several_depths_are_refused_with_what_was_seen(tmp_path):
    root = folder(tmp_path / 'a', [a.astype(np.uint16) * 257 for a in originals()])
    (root / 'dog/05.png').write_bytes(encode(Image.fromarray(originals()[5][..., 0])))
    for field in ('auto', '0,65535'):
        with pytest.raises(ValueError, match="of those looked at: 1 8-bit, 19 uint16.*config.data.range='full'"):
            load(root, range=field)
    assert np.array_equal(np.sort(pixels(load(root, range='full')), 0), np.sort(np.array([a for a in originals()]), 0))


def test_another_depth_that_the_sample_missed_is_refused_by_name(tmp_path, monkeypatch):
    deep = folder(tmp_path / 'deep', [a.astype(np.uint16) for a in originals()])
    plain = folder(tmp_path / 'plain', originals(), lambda a: encode(Image.fromarray(a[..., 0])))
    odd = {deep: (plain / 'dog/05.png').read_bytes(), plain: (deep / 'dog/05.png').read_bytes()}
    monkeypatch.setattr(span, 'sample', lambda n: np.arange(min(n, 1)))
    for root, data in odd.items():
        (root / 'dog/05.png').write_bytes(data)
        with pytest.raises(ValueError, match="'dog/05.png' holds .*unlike the other images.*config.data.range='full'"):
            load(root, path='resident')


def test_unlabelled_images_have_the_training_range(tmp_path):
    deep = folder(tmp_path / 'deep', [a.astype(np.uint16) * 16 for a in originals()])
    extra = folder(tmp_path / 'extra', [a.astype(np.uint16) * 8 for a in originals()])
    plain = folder(tmp_path / 'plain', originals(), lambda a: encode(Image.fromarray(a[..., 0])))
    found = load(deep, unlabeled=f'folder:{extra}')
    assert found.range == (0, 4080) and found.unlabeled.read(np.arange(20)).max() == 128
    np.savez(tmp_path / 'x.npz', train_images=np.array(originals()))
    for root, more in ((deep, f'folder:{plain}'), (plain, f'folder:{extra}'), (deep, f'npz:{tmp_path}/x.npz')):
        with pytest.raises(ValueError, match="of config.data.unlabeled=.*config.data.range='full'"):
            load(root, unlabeled=more)
        load(root, unlabeled=more, range='full')


@pytest.mark.parametrize('field', ['', '1', '5,5', '9,1', 'a,b', '0,nan', '0,inf', '1,2,3', 'Auto'])
def test_other_ranges_are_refused(tmp_path, field):
    with pytest.raises(ValueError, match='config.data.range=.*must be'):
        load(tmp_path, range=field)


def test_a_range_without_use_is_refused(tmp_path):
    root = folder(tmp_path, originals(), lambda a: encode(Image.fromarray(a[..., 0])))
    with pytest.raises(ValueError, match='all 20 that were looked at have 8'):
        load(root, range='0,4095')
    config = base().data
    config.update(source='digits', range='0,4095')
    with pytest.raises(ValueError, match="does not go with 'digits'"):
        sources.load(config)


def test_the_cache_keeps_ranges_apart(tmp_path):
    root = folder(tmp_path / 'a', [a.astype(np.uint16) * 16 for a in originals()])
    for field in ('auto', '0,4000', 'full'):
        plain, kept = load(root, range=field), load(root, range=field, cache=str(tmp_path / 'cache'))
        assert np.array_equal(pixels(plain), pixels(kept))
    assert len(list((tmp_path / 'cache').glob('*.npy'))) == 3


def test_samples_are_even_and_the_same_each_time():
    for n in (0, 1, 255, 256, 257, 100_000):
        found = span.sample(n)
        assert np.array_equal(found, span.sample(n)) and len(found) == min(n, 256)
        assert np.array_equal(found * len(found) // max(n, 1), np.arange(len(found))) or n < 100_000
        assert len(np.unique(found)) == len(found) and (not n or found.max() < n)


def hidden():
    array = np.random.default_rng(0).integers(1, 256, (8, 9, 4), np.uint8)
    array[..., 3] = 255
    array[:4, :4, 3] = 0
    array[5, 5, 3] = 128
    return array


def transparent(secret):
    """Files in which the left upper corner is transparent and holds `secret` beneath."""
    array = hidden()
    array[:4, :4, :3] = secret
    rgba, grey = Image.fromarray(array), Image.fromarray(np.ascontiguousarray(array[..., 2:]))
    palette = Image.fromarray((np.arange(72).reshape(8, 9) % 7 + 1).astype(np.uint8), 'P')
    palette.paste(0, (0, 0, 4, 4))
    palette.putpalette([*secret, *range(10, 31)])
    yield 'RGBA', encode(rgba)
    yield 'LA', encode(grey)
    yield 'P', encode(palette, transparency=0)
    yield 'P, some', encode(palette, transparency=b'\0\xff\x80')
    yield 'GIF', encode(palette, 'GIF', transparency=0)
    yield 'WebP', encode(rgba, 'WEBP', lossless=True, exact=True)
    yield 'TIFF', encode(rgba, 'TIFF')
    if secret[0] not in range(200, 255):
        colour = np.full((8, 9, 3), 201, np.uint8)
        colour[:4, :4] = secret
        yield 'RGB', encode(Image.fromarray(colour), transparency=secret)
        yield 'L', encode(Image.fromarray(colour[..., 0]), transparency=secret[0])


@pytest.mark.parametrize('size', [0, 4])
@pytest.mark.parametrize('channels', [0, 1, 3, 4])
def test_hidden_colours_are_never_seen(channels, size):
    for (name, one), (_, other) in zip(transparent((9, 80, 99)), transparent((123, 7, 44))):
        one, other = decode.decode(one, size, channels), decode.decode(other, size, channels)
        assert np.array_equal(one, other), name
        corner = one[0, 0]
        assert not corner.any() if one.shape[2] in (2, 4) else (corner == 255).all(), name
        if channels == 0 and name in ('RGB', 'L'):
            assert one.shape[2] == len(name)


@pytest.mark.parametrize('bits', [1, 2, 4])
def test_transparent_greys_of_few_bits(bits):
    top = 2**bits - 1
    rows = np.tile(np.packbits(np.unpackbits(np.array([[top, 0]], np.uint8).T, 1)[:, -bits:].ravel()), (2, 1))
    chunk = lambda kind, data: struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
    data = b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', 2, 2, bits, 0, 0, 0, 0))
    body = chunk(b'IDAT', zlib.compress(b''.join(b'\0' + r.tobytes() for r in rows))) + chunk(b'IEND', b'')
    for key, expected in ((0, [255, 255]), (top, [255, 0])):
        found = decode.decode(data + chunk(b'tRNS', struct.pack('>H', key)) + body)
        assert found[..., 0].tolist() == [expected] * 2


@pytest.mark.parametrize('mode', ['L', 'LA', 'RGB', 'RGBA', '1', 'P', 'CMYK'])
@pytest.mark.parametrize('channels', [0, 1, 3, 4])
@pytest.mark.parametrize('size', [0, 5])
def test_opaque_8_bit_images_have_pillows_own_pixels(mode, channels, size):
    array = hidden()
    array[..., 3] = 255
    image = Image.fromarray(array).convert(mode)
    data = encode(image, 'TIFF')
    plain = {'1': 'L', 'P': 'RGB', 'CMYK': 'RGB'}.get(mode, mode)
    expected = image.convert(plain).convert({0: plain, 1: 'L', 3: 'RGB', 4: 'RGBA'}[channels])
    if size:
        expected = expected.resize((size, size), Image.Resampling.BILINEAR, box=(0.5, 0, 8.5, 8))
    expected = np.asarray(expected)
    assert np.array_equal(decode.decode(data, size, channels), expected.reshape(*expected.shape[:2], -1))
