"""What a file declares is held against a limit before any memory is taken for it."""

import gzip
import io
import os
import resource
import struct
import tarfile
import time
import warnings
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ssljax.config import base
from ssljax.data import decode, folder, npz, pick, sources, tars, zips
from ssljax.data.sources import splits
from ssljax.planning import fingerprint
from ssljax.settings import checks


@pytest.fixture(autouse=True)
def little():
    """Nothing here may take 10 seconds of the CPU, where most takes none, or 200 MB more memory than was ever used; no
    warning of Pillow's is let out."""
    began, peak = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with warnings.catch_warnings():
        warnings.simplefilter('error', Image.DecompressionBombWarning)
        yield
    assert time.process_time() - began < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 200_000


def load(source, **fields):
    config = base().data
    config.update(source=str(source), **fields)
    return sources.load(config)


def encode(kind, size=(16, 16), **options):
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)).save(buffer, kind, **options)
    return buffer.getvalue()


def claims(kind, w=16000, h=16001):
    """A small file that declares w x h pixels."""
    data = bytearray(encode(kind))
    if kind == 'PNG':
        data[16:24] = struct.pack('>II', w, h)
        data[29:33] = struct.pack('>I', zlib.crc32(data[12:29]))
    elif kind == 'BMP':
        data[18:26] = struct.pack('<ii', w, h)
    elif kind == 'GIF':
        data[6:10] = struct.pack('<HH', w, h)
    elif kind == 'PPM':
        data = data.replace(b'16 16', b'%d %d' % (w, h), 1)
    elif kind == 'JPEG':
        place = data.index(b'\xff\xc0')
        data[place + 5 : place + 9] = struct.pack('>HH', h, w)
    elif kind == 'WEBP':
        data[26:30] = struct.pack('<HH', w, h)
    elif kind == 'TIFF':
        for tag, value in ((256, w), (257, h)):
            place = data.index(struct.pack('<HHI', tag, 4, 1))
            data[place + 8 : place + 12] = struct.pack('<I', value)
    return bytes(data)


KINDS = ['PNG', 'BMP', 'GIF', 'PPM', 'JPEG', 'WEBP', 'TIFF']


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('size', [0, 8])
def test_declared_pixels(kind, size):
    data = claims(kind)
    w, h = Image.open(io.BytesIO(data)).size if kind != 'WEBP' else (16000, 16001)
    assert w * h > 200e6
    with pytest.raises(ValueError, match=f'{w:,} x {h:,} pixels are more than config.data.max_pixels=100000000'):
        decode.decode(data, size, 3, 'full', 100_000_000)
    with pytest.raises(ValueError, match=f'{w:,} x {h:,} pixels'):
        decode.header(data, 100_000_000)
    assert decode.decode(encode(kind), 0, 3, 'full', 256).shape == (16, 16, 3)
    with pytest.raises(ValueError, match='16 x 16 pixels are more than config.data.max_pixels=255'):
        decode.decode(encode(kind), 0, 3, 'full', 255)


def test_jpeg_with_exif_lossless_webp_and_large_tiles():
    exif = Image.Exif()
    exif[0x0112] = 6
    extended = b'RIFF' + struct.pack('<I', 30) + b'WEBPVP8X' + struct.pack('<II', 10, 0) + b'\xff' * 6
    tile = bytearray(encode('TIFF', size=(8, 8)))
    for old, new in ((278, 322), (279, 323)):  # a strip's rows and bytes become a tile's sides
        place = max(tile.find(struct.pack('<HHI', old, kind, 1)) for kind in (3, 4))
        tile[place : place + 12] = struct.pack('<HHII', new, 4, 1, 60000)
    for data in (encode('JPEG', exif=exif), encode('WEBP', lossless=True), extended, bytes(tile)):
        with pytest.raises(ValueError, match='max_pixels=200'):
            decode.decode(data, most=200)
    with pytest.raises(ValueError, match='60,000 x 60,000'):
        decode.decode(bytes(tile), most=10_000)


def test_formats_that_hold_other_files_are_not_opened():
    for kind in ('ICO', 'EPS', 'PCX', 'TGA'):
        with pytest.raises(Image.UnidentifiedImageError):
            decode.decode(encode(kind))


def tree(root, odd):
    for i in range(20):
        path = root / ('cat', 'dog')[i % 2] / f'{i:02}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode('PNG') if i != 5 else odd)
    return root


@pytest.mark.parametrize('path', ['resident', 'stream'])
def test_an_image_over_a_limit_is_one_that_cannot_be_read(tmp_path, caplog, path):
    root = tree(tmp_path / 'a', claims('PNG'))
    with caplog.at_level('WARNING', logger='absl'):
        found = load(f'folder:{root}', path=path)
        found.train.images.read(np.arange(20) if path == 'stream' else np.arange(2))
    assert "'dog/05.png'" in caplog.text and 'config.data.max_pixels=100000000' in caplog.text
    with pytest.raises(ValueError, match="'dog/05.png' cannot be decoded .*max_pixels=100000000"):
        load(f'folder:{root}', path=path, corrupt='refuse').train.images.read(np.arange(20))


def archive(kind, root, path):
    if kind == 'folder':
        return root
    if kind == 'zip':
        with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as f:
            for file in sorted(root.rglob('*.png')):
                f.write(file, str(file.relative_to(root)))
    else:
        with tarfile.open(path, 'w' if kind == 'tar' else 'w:gz') as f:
            f.add(root, '.')
    return path


@pytest.mark.parametrize('path', ['resident', 'stream'])
@pytest.mark.parametrize('kind', ['folder', 'zip', 'tar'])
def test_a_file_over_a_limit_is_never_read(tmp_path, monkeypatch, caplog, kind, path):
    monkeypatch.setattr(folder, 'MAX_BYTES', 10_000)
    root = archive(kind, tree(tmp_path / 'a', bytes(10_001)), tmp_path / 'archive')
    with caplog.at_level('WARNING', logger='absl'):
        found = load(f'folder:{root}', path=path)
        found.train.images.read(np.arange(20) if path == 'stream' else np.arange(2))
    assert "'dog/05.png'" in caplog.text and '10,001 bytes exceed the limit of 10,000' in caplog.text
    assert len(found.train.digest()) == 64
    with pytest.raises(ValueError, match="'dog/05.png' cannot be decoded .*10,001 bytes"):
        load(f'folder:{root}', path=path, corrupt='refuse').train.images.read(np.arange(20))


def test_sparse_files_of_many_gigabytes(tmp_path):
    root = tree(tmp_path / 'a', b'')
    with open(root / 'dog/05.png', 'wb') as f:
        f.truncate(100 << 30)
    assert len(load(f'folder:{root}', path='resident').train.digest()) == 64


def test_a_compressed_tar_with_a_file_over_the_limit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, 'MAX_BYTES', 10_000)
    path = archive('tgz', tree(tmp_path / 'a', bytes(10_001)), tmp_path / 'a.tgz')
    with pytest.raises(ValueError, match=r"'./dog/05.png' has 10,001 bytes, but an image file may have at most 10,000"):
        load(f'folder:{path}')


@pytest.mark.parametrize('type', [b'L', b'K', b'x', b'g'])
def test_headers_of_tars_that_claim_gigabytes(tmp_path, type):
    member = tarfile.TarInfo('x')
    member.type, member.size = type, 6 << 30
    (tmp_path / 'a.tgz').write_bytes(gzip.compress(member.tobuf() + bytes(1 << 20)))
    with pytest.raises(ValueError, match='it is damaged: a header has 6,442,450,944 bytes'):
        load(f'folder:{tmp_path}/a.tgz')


def test_a_compressed_tar_that_does_not_fit_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(tars, 'available_memory', lambda: 1000)
    with tarfile.open(tmp_path / 'a.tgz', 'w:gz', compresslevel=1) as f:
        member = tarfile.TarInfo('cat/0.png')
        member.size = 1 << 26
        f.addfile(member, io.BytesIO(bytes(member.size)))
    with pytest.raises(ValueError, match='do not fit in the free memory: unpack it'):
        load(f'folder:{tmp_path}/a.tgz')


def test_what_a_compressed_tar_holds_is_counted_together(tmp_path, monkeypatch):
    path = archive('tgz', tree(tmp_path / 'a', encode('PNG')), tmp_path / 'a.tgz')
    held = sum(file.stat().st_size for file in tmp_path.rglob('*.png'))
    for room, fits in ((held, True), (held - 1, False)):
        free = iter([room / tars.SHARE])  # asked once, at the start
        monkeypatch.setattr(tars, 'available_memory', lambda free=free: next(free))
        if fits:
            load(f'folder:{path}')
        else:
            with pytest.raises(ValueError, match='do not fit in the free memory'):
                load(f'folder:{path}')


@pytest.mark.parametrize('method', [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize('name', ['cat/05.png', 'cat/05'])
def test_a_zip_inflates_no_more_than_it_declares(tmp_path, monkeypatch, method, name):
    whole = encode('PNG') + bytes(100_000)
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w', method) as f:
        f.writestr('dog/01.png', encode('PNG'))
        f.writestr(name, whole)
        info = f.getinfo(name)
    files = folder.listing(tmp_path / 'a.zip')
    assert files.read(files.names.index(name)) == whole
    data, asked = bytearray((tmp_path / 'a.zip').read_bytes()), []
    for magic, place in ((b'PK\3\4', 22), (b'PK\1\2', 24)):
        at = data.rindex(magic)
        assert data[at + place : at + place + 4] == struct.pack('<I', info.file_size)
        data[at + place : at + place + 4] = struct.pack('<I', 1000)
    (tmp_path / 'a.zip').write_bytes(data)
    inflate = zips._inflated
    monkeypatch.setattr(zips, '_inflated', lambda *args: asked.append(inflate(*args)) or asked[-1])
    files = folder.listing(tmp_path / 'a.zip')
    with pytest.raises(ValueError, match='do not match its CRC'):
        files.read(files.names.index(name))
    assert asked and max(map(len, asked)) <= 1001


def test_an_unknown_compression_of_a_zip_is_named(tmp_path):
    with pytest.raises(ValueError, match='its compression \\(method 9\\) is not supported'):
        zips._inflated(b'', 10, 9)


@pytest.mark.parametrize('kind', KINDS)
def test_a_plan_decodes_no_image_over_the_limit(tmp_path, kind):
    for i in range(4):
        (tmp_path / 'ab'[i % 2]).mkdir(exist_ok=True)
        (tmp_path / 'ab'[i % 2] / f'{i}.png').write_bytes(encode('PNG'))
    (tmp_path / 'a/5').write_bytes(claims(kind))
    config = base()
    config.data.source = f'folder:{tmp_path}'
    found = fingerprint.take(config)
    assert found.low == found.high == 16


def test_a_list_over_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(pick, 'MOST', 10)
    (tmp_path / 'a.csv').write_text('path,label\na,b\n')
    with pytest.raises(ValueError, match='has more than 10 bytes: is it the right file'):
        load(f'csv:{tmp_path}/a.csv')


@pytest.mark.parametrize('kind', ['pipe', 'device', 'sparse'])
@pytest.mark.parametrize('name', ['labels.csv', 'x.TSV'])
def test_what_is_called_a_table_beside_class_folders_is_not_read_whole(tmp_path, kind, name):
    root = tree(tmp_path / 'a', encode('PNG'))
    if kind == 'pipe':
        os.mkfifo(root / name)
    elif kind == 'device':
        (root / name).symlink_to('/dev/zero')
    else:
        with open(root / name, 'wb') as f:
            f.truncate(100 << 30)
    assert load(f'folder:{root}').classes == ('cat', 'dog')


def arrays(**more):
    images = np.random.default_rng(0).integers(0, 256, (20, 4, 4), np.uint8)
    return dict(train_images=images, train_labels=np.arange(20) % 2) | more


def declared(path, name, header, lies=None):
    """An .npz in which `name` is a header alone; lies: the size that the archive says it has."""
    with zipfile.ZipFile(path, 'w') as f:
        for other, array in arrays().items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, array)
            f.writestr(f'{other}.npy', header if other == name else buffer.getvalue())
    if lies is not None:
        data = bytearray(path.read_bytes())
        place = data.rindex(b'PK\1\2', 0, data.rindex(f'{name}.npy'.encode()))
        data[place + 24 : place + 28] = struct.pack('<I', lies)
        path.write_bytes(data)
    return f'npz:{path}'


def header(shape, dtype='|u1', version=1):
    text = repr({'descr': dtype, 'fortran_order': False, 'shape': shape}).encode() + b'\n'
    return b'\x93NUMPY' + bytes((version, 0)) + struct.pack('<H' if version == 1 else '<I', len(text)) + text


@pytest.mark.parametrize('name', ['train_images', 'train_labels'])
@pytest.mark.parametrize('shape', [(10**15,), (10**5, 10**5, 10**5), (20, 10**9, 10**9), (-1, 4, 4), (2**63, 4, 4)])
def test_npz_of_petabytes(tmp_path, name, shape):
    source = declared(tmp_path / 'a.npz', name, header(shape))
    with pytest.raises(ValueError, match=f'a.npz.*{name}.npy claims to be uint8'):
        load(source)
    with pytest.raises(ValueError, match='claims to be|free'):
        load(declared(tmp_path / 'b.npz', name, header(shape), 2**32 - 2))


def test_npz_headers_that_are_large_empty_or_no_headers(tmp_path):
    long = b'\x93NUMPY\2\0' + struct.pack('<I', 2**31) + bytes(20_000)
    for odd in (long, b'', b'\x93NUMPY\1\0', b'x' * 200, header((2, 2), version=3)):
        with pytest.raises(ValueError, match='a.npz.*cannot be read as an .npz of plain arrays'):
            load(declared(tmp_path / 'a.npz', 'train_images', odd))
    for shape in ((10**12, 0, 4), (20, 4, 0), (10**12, 4, 0, 1)):
        with pytest.raises(ValueError, match='must be uint8'):
            load(declared(tmp_path / 'a.npz', 'train_images', header(shape)))
    np.save(tmp_path / 'b.npy', np.zeros(3))
    with pytest.raises(ValueError, match='cannot be read as an .npz'):
        load(f'npz:{tmp_path}/b.npy')


def test_npz_larger_than_the_memory(tmp_path, monkeypatch):
    np.savez(tmp_path / 'a.npz', **arrays())
    monkeypatch.setattr(npz, 'available_memory', lambda: 300)
    with pytest.raises(
        ValueError, match=r'largest is train_images, \[20, 4, 4\]\), but only 0.0 GiB of memory is free'
    ):
        load(f'npz:{tmp_path}/a.npz')
    monkeypatch.undo()
    with pytest.raises(ValueError, match='train_images in .*4 x 4 pixels are more than config.data.max_pixels=15'):
        load(f'npz:{tmp_path}/a.npz', max_pixels=15)


DTYPES = ['bool', 'u1', 'u2', 'u4', 'u8', 'i1', 'i2', 'i4', 'i8', 'f2', 'f4', 'f8']


@settings(max_examples=50)
@given(
    st.sampled_from(DTYPES),
    st.one_of(st.integers(-3, 25), st.sampled_from([2**31, 2**32, 2**32 - 1, 2**64 - 1, 10**8, -(2**31), 1.5, np.nan])),
    st.booleans(),
)
def test_labels_are_checked_in_their_own_type(dtype, odd, column):
    with np.errstate(all='ignore'):
        array = (np.arange(20) % 2).astype(dtype)
        array[7] = np.array(odd).astype(dtype)
    value = array[7].item()
    array = array[:, None] if column else array
    if value == int(value) if np.isfinite(value) else False:
        good = -1 <= value < 20
    else:
        good = False
    if good:
        found = npz.labels(array, None, 'train_labels', 'x')
        assert found.dtype == np.int32 and found.shape == (20,) and found[7] == value
    else:
        with pytest.raises(ValueError, match='train_labels'):
            npz.labels(array, None, 'train_labels', 'x')


@pytest.mark.parametrize('split', ['train', 'val', 'test'])
@pytest.mark.parametrize('odd', [2**31, 2**32, 2**32 - 1, 10**8, -2, np.uint64(2**64 - 1), 0.5, np.nan, np.inf, 20])
def test_labels_out_of_range_in_files(tmp_path, split, odd):
    labels = np.array([0, 1] * 10, np.asarray(odd).dtype)
    labels[3] = odd
    more = {f'{split}_images': arrays()['train_images'], f'{split}_labels': labels}
    np.savez(tmp_path / 'a.npz', **arrays(**more))
    with pytest.raises(ValueError, match=f'{split}_labels in .*(must be integers|go up to)'):
        load(f'npz:{tmp_path}/a.npz')


def test_whole_labels_of_any_type_are_read(tmp_path):
    expected = load_labels(tmp_path, np.arange(20) % 3)
    for dtype in ('u1', 'u8', 'i2', 'f4', 'f8'):
        assert np.array_equal(load_labels(tmp_path, (np.arange(20) % 3).astype(dtype)), expected)


def load_labels(root, labels):
    np.savez(root / 'a.npz', **arrays(train_labels=labels))
    return load(f'npz:{root}/a.npz').train.labels


@pytest.mark.parametrize(
    ('source', 'message'),
    [
        ('synthetic:100000x100000x3:10', 'config.data.max_pixels=100000000'),
        ('synthetic:9999x9999x4:10000', 'GiB of memory is free'),
        ('synthetic:8x8x1:100000000', '2 to 10,000 classes'),
        ('synthetic:8x8x1:' + '9' * 5000, '2 to 10,000 classes'),
        ('synthetic:999999999x999999999x4:2', 'max_pixels'),
    ],
)
def test_synthetic_images_of_any_size(source, message):
    with pytest.raises(ValueError, match=message):
        load(source)


def test_sizes_that_are_asked_for(monkeypatch):
    source = 'synthetic:8x8x1:3'
    config = base()
    config.data.update(image_size=200, max_pixels=39_999)
    with pytest.raises(ValueError, match='image_size is 200, so images would have 40,000 pixels'):
        checks.check(config)
    monkeypatch.setattr(splits, 'available_memory', lambda: 1 << 26)
    with pytest.raises(ValueError, match='GiB of memory is free: make them fewer or smaller'):
        load(source, image_size=5000)
