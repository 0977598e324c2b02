import gzip
import io
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssljax.config import base
from ssljax.data import decode, decoders, encoded, folder, partition, readable, sources
from ssljax.data import split as splits

ROOT = Path(__file__).resolve().parents[2]


def load(source, **fields):
    config = base().data
    config.update(source=str(source), **fields)
    return sources.load(config)


def draw(seed, shape=(6, 5, 3)):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def write(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array).save(path, **options)
    return path


def tree(root, names, shape=(6, 5, 3)):
    for seed, name in enumerate(names):
        write(root / name, draw(seed, shape))
    return root


@pytest.fixture(params=['here', 'apart'])
def where(request, monkeypatch):
    """Sets of files are decoded in this process, and in others."""
    if request.param == 'apart':
        request.getfixturevalue('processes')
        monkeypatch.setattr(encoded, '_LARGE', 0)
        monkeypatch.setattr(decoders, '_decode', None)


SPLITS = [f'{s}/{c}/{i}.png' for s in ('train', 'val', 'test') for c in ('cat', 'dog') for i in range(3)]
SPLITS += ['unlabeled/x.png', 'train/unlabelled/y.png']
FLAT = [f'{c}/{i:02}.png' for c in ('cat', 'dog') for i in range(10)]


def archives(root):
    """The folder and the same in three kinds of .zip, a .tar and a .tar.gz, with litter."""
    found = [root]
    methods = {'stored.zip': zipfile.ZIP_STORED, 'deflated.zip': zipfile.ZIP_DEFLATED, 'other.zip': zipfile.ZIP_BZIP2}
    for name, method in methods.items():
        with zipfile.ZipFile(root.parent / name, 'w', method) as f:
            for path in sorted(root.rglob('*'), reverse=True):
                f.write(path, f'top/{path.relative_to(root)}')
            f.writestr('__MACOSX/top/cat/._0.png', b'x')
            f.writestr('top/.DS_Store', b'x')
            f.writestr('top/README.md', b'x')
        found.append(root.parent / name)
    for name, mode in (('plain.tar', 'w'), ('packed.tar.gz', 'w:gz')):
        with tarfile.open(root.parent / name, mode) as f:
            f.add(root, './top')
        found.append(root.parent / name)
    return found


def same(a, b):
    assert a.classes == b.classes and a.shape == b.shape
    for name in ('train', 'val', 'test', 'unlabeled'):
        x, y = getattr(a, name), getattr(b, name)
        assert (x is None) == (y is None)
        if x is not None:
            assert np.array_equal(x.labels, y.labels)
            assert np.array_equal(x.read(np.arange(len(x))), y.read(np.arange(len(y))))
            assert x.digest() == y.digest()


def test_digits():
    s = load('digits')
    assert s.shape == (8, 8, 1) and len(s.classes) == 10 and s.val is None and s.unlabeled is None
    assert len(s.train) + len(s.test) == 1797 and len(s.test) == 359
    images = s.train.read(np.arange(50))
    assert images.dtype == np.uint8 and images.max() == 255
    assert s.test.digest() == load('digits').test.digest() != load('digits', test='10%').test.digest()
    with pytest.raises(ValueError, match='takes no argument'):
        load('digits:8')


def test_circles_are_two_rings_apart():
    s = load('circles')
    assert s.shape == (1, 1, 2) and s.classes == ('inner', 'outer') and s.val is None and s.unlabeled is None
    assert (len(s.train), len(s.test)) == (5000, 2000)
    again = load('circles')
    assert s.train.digest() == again.train.digest() and s.test.digest() == again.test.digest()
    for split in (s.train, s.test):
        places = split.read(np.arange(len(split))).reshape(-1, 2) / 127.5 - 1
        radii, angles = np.hypot(*places.T), np.arctan2(places[:, 1], places[:, 0])
        for label, radius in ((0, 0.4), (1, 0.8)):
            ring = split.labels == label
            assert ring.sum() == len(split) / 2
            assert abs(radii[ring].mean() - radius) < 0.005 and abs(radii[ring].std() - 0.03) < 0.003
            assert np.histogram(angles[ring], 8, (-np.pi, np.pi))[0].min() > len(split) / 20  # all around
        assert radii[split.labels == 0].max() + 0.1 < radii[split.labels == 1].min()
    rows = partition.partition(s.train.labels, 2, budget='4/class', val='10/class', seed=0, classes=s.classes)
    assert np.bincount(s.train.labels[rows.labeled]).tolist() == [4, 4]


@pytest.mark.parametrize('field', ['image_size', 'channels'])
def test_circles_refuse_what_is_for_pictures(field):
    with pytest.raises(ValueError, match=f"config.data.{field}=1 does not go with 'circles'.*Leave it at 0"):
        load('circles', **{field: 1})
    with pytest.raises(ValueError, match='takes no argument'):
        load('circles:2')
    with pytest.raises(ValueError, match="did you mean 'circles'"):
        load('circle')


def test_synthetic_is_learnable():
    s = load('synthetic:8x8x3:4')
    assert s.shape == (8, 8, 3) and (len(s.train), len(s.test)) == (2000, 500)
    assert s.train.digest() == load('synthetic:8x8x3:4').train.digest()
    x, y = (a.read(np.arange(len(a))).reshape(len(a), -1).astype(float) for a in (s.train, s.test))
    means = np.stack([x[s.train.labels == c].mean(0) for c in range(4)])
    nearest = ((y[:, None] - means) ** 2).sum(2).argmin(1)
    assert np.mean(nearest == s.test.labels) > 0.5
    for wrong in ('synthetic:8x8x5:4', 'synthetic:8x8:4', 'synthetic:8x8x3:1', 'synthetic:0x8x3:4'):
        with pytest.raises(ValueError, match="'synthetic:HxWxC:K'"):
            load(wrong)


@pytest.mark.parametrize('names', [SPLITS, FLAT, [f'train/{name}' for name in FLAT]])
def test_folder_zip_and_tar_are_equal(tmp_path, names, where):
    paths = archives(tree(tmp_path / 'images', names))
    first = load(f'folder:{paths[0]}')
    for path in paths[1:]:
        same(first, load(f'folder:{path}'))
        same(first, load(f'folder:{path}', path='stream'))


def test_splits_of_folders(tmp_path):
    s = load(f'folder:{tree(tmp_path / "a", SPLITS)}')
    assert s.classes == ('cat', 'dog') and s.shape == (6, 5, 3)
    assert s.train.labels.tolist() == [0, 0, 0, 1, 1, 1] == s.val.labels.tolist() == s.test.labels.tolist()
    assert s.unlabeled.labels.tolist() == [-1, -1]
    assert np.array_equal(s.train.read([4]), draw(4)[None])

    s = load(f'folder:{tree(tmp_path / "b", [n for n in SPLITS if "test" not in n])}')
    assert s.val is None and np.array_equal(s.test.read([0]), draw(6)[None])

    names = [n.replace('val', 'Validation') for n in SPLITS]
    assert len(load(f'folder:{tree(tmp_path / "c", names)}').val) == 6

    s = load(f'folder:{tree(tmp_path / "d", FLAT + ["unlabeled/a/b.png"])}')
    assert np.bincount(s.test.labels).tolist() == [2, 2] and len(s.train) == 16 and len(s.unlabeled) == 1

    names = [*FLAT, *(n.replace('cat', 'train') for n in FLAT if 'cat' in n)]
    assert load(f'folder:{tree(tmp_path / "e", names)}').classes == ('cat', 'dog', 'train')  # no split among them


@pytest.mark.parametrize(
    ('names', 'folders', 'message'),
    [
        ([], [], 'There is no image in .*.jpg'),
        (['a.png'], [], "'a.png' .* is not in a class folder"),
        (['train/a.png', 'test/cat/a.png'], [], "'train/a.png' .* is not in a class folder"),
        (FLAT, ['bird'], "class folder 'bird' .* has no images"),
        (SPLITS, ['train/bird'], "class folder 'train/bird' .* has no images"),
        (SPLITS, ['test/bird'], "class folder 'test/bird' .* has no images"),
        ([*SPLITS, 'test/bird/a.png'], [], "class 'bird' of the test split .* no training images"),
        ([*SPLITS, 'valid/cat/a.png'], [], "'val' and 'valid' .* same split"),
        ([*SPLITS, 'extra/cat/a.png'], [], "Next to the split folder 'train' .* 'extra'"),
        (['test/cat/a.png', 'val/cat/a.png'], [], 'no train folder'),
        (['train/unlabeled/a.png', 'test/cat/a.png'], [], "split folder 'train' .* no labelled image"),
    ],
)
def test_folder_errors(tmp_path, names, folders, message):
    (tmp_path / 'images').mkdir()
    tree(tmp_path / 'images', names)
    for name in folders:
        (tmp_path / 'images' / name).mkdir(parents=True)
    with pytest.raises(ValueError, match=message):
        load(f'folder:{tmp_path / "images"}')


def test_path_errors(tmp_path):
    for kind in ('folder', 'npz'):
        with pytest.raises(FileNotFoundError, match='nowhere'):
            load(f'{kind}:{tmp_path}/nowhere')
        (tmp_path / 'x').write_bytes(b'no archive')
        with pytest.raises(ValueError, match='cannot be read as'):
            load(f'{kind}:{tmp_path}/x')
    archives(tree(tmp_path / 'images', FLAT))
    for name in ('stored.zip', 'packed.tar.gz'):
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) // 2])
        with pytest.raises(ValueError, match='cannot be read as a folder, .zip or .tar'):
            load(f'folder:{tmp_path / name}')


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        (dict(source='digit'), "'digit': unknown source .*'digits'.*'tfds:NAME'"),
        (dict(source='folder:'), "'folder' needs more after the colon: use 'folder:PATH'"),
        (dict(source=''), 'unknown source'),
        (dict(source='digits', unlabeled='x'), "unlabeled='x': unknown source.*'folder:PATH'"),
        (dict(source='digits', unlabeled='circle'), "did you mean 'circles'"),
        (dict(source='digits', test='x'), "data.test='x' is not an amount"),
    ],
)
def test_config_errors(fields, message):
    with pytest.raises(ValueError, match=message):
        load(**fields)


@pytest.mark.parametrize('channels', [1, 2, 3, 4])
def test_native_channels(tmp_path, channels):
    s = load(f'folder:{tree(tmp_path, FLAT, (6, 5, channels))}')
    assert s.shape == (6, 5, channels)
    assert np.array_equal(s.train.images.read([3]), draw(3, (6, 5, channels))[None])
    for wanted in (1, 3, 4):
        assert load(f'folder:{tmp_path}', channels=wanted).shape == (6, 5, wanted)


@pytest.mark.parametrize('path', ['auto', 'stream'])
def test_mixed_images(tmp_path, path):
    tree(tmp_path, FLAT)
    write(tmp_path / 'dog/05.png', draw(0, (6, 5, 1)))
    with pytest.raises(ValueError, match="'cat/00.png' has 3, .*'dog/05.png' has 1; config.data.channels=1 or 3"):
        s = load(f'folder:{tmp_path}', path=path)
        s.train.images.read(np.arange(20))
    assert load(f'folder:{tmp_path}', channels=3).shape == (6, 5, 3)
    write(tmp_path / 'dog/05.png', draw(0, (7, 5, 3)))
    with pytest.raises(ValueError, match="'cat/00.png' is 6x5, 'dog/05.png' is 7x5; set config.data.image_size"):
        s = load(f'folder:{tmp_path}', path=path)
        s.train.images.read(np.arange(20))
    assert load(f'folder:{tmp_path}', image_size=4).shape == (4, 4, 3)


def encode(image, kind='PNG', **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_decoding():
    colour = Image.fromarray(draw(0, (20, 30, 3)))
    palette = colour.quantize(8)
    assert decode.decode(encode(palette)).shape == (20, 30, 3)
    assert decode.decode(encode(palette, transparency=0)).shape == (20, 30, 4)
    assert decode.decode(encode(colour.convert('CMYK'), 'JPEG')).shape == (20, 30, 3)
    assert set(np.unique(decode.decode(encode(colour.convert('1'))))) == {0, 255}
    deep = np.array([[0, 255, 256, 65535]], np.uint16)
    assert decode.decode(encode(Image.fromarray(deep)))[..., 0].tolist() == [[0, 1, 1, 255]]


@pytest.mark.parametrize('size', [0, 8])
def test_exif_orientation(size):
    array = np.zeros((16, 24, 3), np.uint8)
    array[:8] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: what is up is to the right
    for kind in ('PNG', 'JPEG'):
        decoded = decode.decode(encode(Image.fromarray(array), kind, exif=exif), size)
        assert decoded.shape == ((8, 8, 3) if size else (24, 16, 3))
        assert decoded[:, -2:].min() > 200 and decoded[:, :2].max() < 50


def test_resizing_keeps_the_centre_square():
    array = np.zeros((40, 80, 3), np.uint8)
    array[:, 20:60] = (np.indices((40, 40)).sum(0) % 2 * 255)[..., None]  # 127 where antialiased
    for kind in ('PNG', 'JPEG'):
        decoded = decode.decode(encode(Image.fromarray(array), kind, **({} if kind == 'PNG' else {'quality': 98})), 10)
        assert decoded.shape == (10, 10, 3) and abs(decoded[1:-1, 1:-1].astype(int) - 127).max() < 6


@pytest.mark.parametrize('kind', ['PNG', 'JPEG'])
@pytest.mark.parametrize('shape', [(40, 80), (80, 40), (200, 400), (1, 90), (60, 60)])
def test_padding_keeps_the_whole_image_and_squashing_fills_the_square(kind, shape):
    array = np.full((*shape, 3), 200, np.uint8)
    array[: (shape[0] + 1) // 2, : (shape[1] + 1) // 2] = 80
    data = encode(Image.fromarray(array), kind, **({} if kind == 'PNG' else {'quality': 100}))
    squashed, padded = (decode.decode(data, 16, resize=r).astype(int) for r in ('squash', 'pad'))
    assert squashed.shape == padded.shape == (16, 16, 3)
    assert abs(squashed[:7, :7] - 80).max() < 8 and (shape[0] == 1 or abs(squashed[9:, 9:] - 200).max() < 8)
    tall, wide = (max(round(16 * side / max(shape)), 1) for side in shape)
    top, left = (16 - tall) // 2, (16 - wide) // 2
    inside = padded[top : top + tall, left : left + wide]
    assert inside.min() > 60 and padded.sum() == inside.sum()  # the bars are black
    if shape == (60, 60):
        assert np.array_equal(squashed, padded) and np.array_equal(padded, decode.decode(data, 16))


@pytest.mark.parametrize('mode', ['L', 'LA', 'RGB', 'RGBA'])
def test_bars_are_transparent_where_there_is_alpha(mode):
    image = Image.fromarray(draw(0, (8, 16, 4))).convert(mode)
    channels = {'LA': 0, 'RGBA': 4}.get(mode, len(mode.replace('A', '')))
    padded = decode.decode(encode(image), 16, channels, resize='pad')
    assert padded.shape == (16, 16, len(mode)) and not padded[:4].any() and not padded[12:].any() and padded[4:12].any()


def test_resizing_is_a_field_of_sources_caches_and_arrays(tmp_path):
    where = tree(tmp_path / 'a', FLAT, (6, 12, 3))
    found = {}
    for resize in ('crop', 'pad', 'squash'):
        s = load(f'folder:{where}', image_size=6, resize=resize, cache=str(tmp_path / 'cache'))
        found[resize] = s.train.read([0])
        assert np.array_equal(found[resize], load(f'folder:{where}', image_size=6, resize=resize).train.read([0]))
    assert len(list((tmp_path / 'cache').glob('*.npy'))) == 3
    assert not np.array_equal(found['crop'], found['squash']) and not found['pad'][:, :1].any()
    key = decode.Fit(6, 3, 'full', 9).key()
    assert key == "Fit(size=6, channels=3, span='full', most=9)"  # that of caches from before there was a choice
    assert decode.Fit(6, 3, 'full', 9, 'pad').key() != key
    np.savez(tmp_path / 'x.npz', train_images=np.full((9, 4, 8, 3), 9, np.uint8), train_labels=np.arange(9) % 3)
    assert not load(f'npz:{tmp_path}/x.npz', image_size=8, resize='pad').train.read([0])[:, :2].any()


def test_jpeg_decoded_at_a_fraction_is_near_the_full_decode():
    smooth = Image.fromarray(draw(0, (5, 6, 3))).resize((600, 500), Image.Resampling.BICUBIC)
    data = encode(smooth, 'JPEG')
    full = decode.fit(Image.open(io.BytesIO(data)), 32).astype(int)
    difference = abs(decode.decode(data, 32) - full)
    assert difference.max() < 16 and difference.mean() < 2


@pytest.mark.parametrize(('shape', 'scale'), [((63, 90), 1), ((64, 65), 2), ((127, 300), 2), ((300, 129), 4)])
def test_jpeg_is_decoded_at_the_smallest_fraction_that_is_not_below_the_size(shape, scale):
    """From twice the size on, by the shorter side; with EXIF, where Pillow decodes, as well."""
    image, expected = Image.fromarray(draw(0, (*shape, 3))), (-(-shape[0] // scale), -(-shape[1] // scale))
    assert decode.opened(encode(image, 'JPEG'), 32).shape == (*expected, 3)
    assert decode.opened(encode(image, 'JPEG', exif=Image.Exif()), 32).size == expected[::-1]


@pytest.mark.parametrize(
    'options', [{}, {'subsampling': 0}, {'subsampling': 1}, {'progressive': True}, {'quality': 30}]
)
@pytest.mark.parametrize('kind', ['RGB', 'L'])
@pytest.mark.parametrize('size', [0, 16, 40, 50])
def test_plain_jpegs_are_decoded_to_the_pixels_of_pillow(kind, options, size):
    smooth = Image.fromarray(draw(0, (9, 12, 3))).resize((131, 93), Image.Resampling.BICUBIC).convert(kind)
    data = encode(smooth, 'JPEG', **options)
    image = Image.open(io.BytesIO(data))
    if size:
        image.draft(None, (size, size))
    assert isinstance(decode.opened(data, size), np.ndarray)
    for channels in (0, 1, 3):
        assert np.array_equal(decode.decode(data, size, channels), decode.fit(image.copy(), size, channels))


def test_other_jpegs_are_left_to_pillow():
    image = Image.fromarray(draw(0, (20, 30, 3)))
    exif = Image.Exif()
    exif[0x0112] = 6
    plain = encode(image, 'JPEG')
    frame, scan = plain.index(b'\xff\xc0'), plain.index(b'\xff\xda')
    turned = encode(image, 'JPEG', exif=exif)
    app1 = turned[(start := turned.index(b'\xff\xe1')) : start + 2 + int.from_bytes(turned[start + 2 : start + 4])]
    late = plain[:scan] + app1 + plain[scan:]
    filled = plain[:frame] + b'\xff' + plain[frame:]
    for data in (turned, late, filled, encode(image.convert('CMYK'), 'JPEG'), encode(image)):
        assert isinstance(decode.opened(data), Image.Image)
    assert decode.decode(turned).shape == decode.decode(late).shape == (30, 20, 3)
    assert np.array_equal(decode.decode(filled), decode.decode(plain)) and isinstance(decode.opened(plain), np.ndarray)
    with pytest.raises(OSError, match='truncated'):
        decode.decode(encode(image, 'JPEG')[:-200])


def spoil(root):
    (root / 'cat/03.png').write_bytes(b'')
    data = (root / 'dog/00.png').read_bytes()
    (root / 'dog/00.png').write_bytes(data[: len(data) // 2])
    (root / 'dog/09.png').write_bytes(b'not an image')
    return root


def test_corrupt_images_are_dropped(tmp_path, caplog, where):
    root = spoil(tree(tmp_path, FLAT, (20, 20, 3)))
    with caplog.at_level('WARNING', logger='absl'):
        s = load(f'folder:{root}', test='1/class')
    for name in ('cat/03.png', 'dog/00.png', 'dog/09.png'):
        assert caplog.text.count(f"'{name}'") == 1
    both = splits.concat([readable.verified(s.train), s.test])
    assert np.bincount(both.labels).tolist() == [9, 8]
    kept = {i: draw(i, (20, 20, 3)) for i in range(20) if i not in (3, 10, 19)}
    assert sorted(map(bytes, both.read(np.arange(17)))) == sorted(map(bytes, kept.values()))


def test_corrupt_images_of_a_stream_are_replaced_by_their_class(tmp_path, caplog, where):
    root = spoil(tree(tmp_path, FLAT, (20, 20, 3)))
    with caplog.at_level('WARNING', logger='absl'):
        images = load(f'folder:{root}', path='stream').train.images
        read = images.read(np.arange(20))
        again = images.read([19, 3])
    assert caplog.text.count("'dog/09.png'") == 1
    for row, other in ((3, 4), (10, 11), (19, 11), (5, 5)):
        assert np.array_equal(read[row], draw(other, (20, 20, 3)))
    assert np.array_equal(again, read[[19, 3]]) and np.array_equal(images.array(), read)


@pytest.mark.parametrize('path', ['auto', 'stream'])
def test_corrupt_images_are_refused(tmp_path, path, where):
    root = spoil(tree(tmp_path, FLAT, (20, 20, 3)))
    with pytest.raises(ValueError, match="'cat/03.png' cannot be decoded .*config.data.corrupt='skip'"):
        load(f'folder:{root}', path=path, corrupt='refuse').train.images.read([0, 3])


def test_a_damaged_zip_member_is_corrupt(tmp_path, where):
    path = archives(tree(tmp_path / 'images', FLAT))[1]
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as f:
        info = f.getinfo('top/cat/04.png')
        data[info.header_offset + 30 + len(info.filename) + info.file_size - 20] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="'cat/04.png' cannot be decoded .*CRC"):
        load(f'folder:{path}', corrupt='refuse')


def test_a_zip_that_is_touched_is_still_the_one_that_was_listed(tmp_path, where):
    path = archives(tree(tmp_path / 'images', FLAT))[1]
    images = load(f'folder:{path}', path='stream').train.images
    os.utime(path, (0, 0))
    assert np.array_equal(images.read(np.arange(20)), [draw(i) for i in range(20)])


def test_nothing_can_be_decoded(tmp_path):
    for name in FLAT:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b'x')
    with pytest.raises(ValueError, match='None of the 20 images can be decoded'):
        load(f'folder:{tmp_path}')


def medmnist(path, *, shape=(5, 5), labels=lambda n: np.arange(n)[:, None] % 3, **more):
    arrays = {}
    for i, (name, n) in enumerate((('train', 30), ('val', 6), ('test', 9))):
        arrays |= {f'{name}_images': draw(i, (n, *shape)), f'{name}_labels': labels(n)}
    arrays |= more
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return f'npz:{path}'


def test_npz(tmp_path):
    s = load(medmnist(tmp_path / 'a.npz'))
    assert s.shape == (5, 5, 1) and s.classes == ('0', '1', '2')
    assert (len(s.train), len(s.val), len(s.test), s.unlabeled) == (30, 6, 9, None)
    assert s.train.labels.dtype == np.int32 and s.train.labels[:4].tolist() == [0, 1, 2, 0]
    extra = draw(9, (4, 5, 5, 3))
    s = load(medmnist(tmp_path / 'b.npz', shape=(5, 5, 3), labels=lambda n: np.arange(n) % 2, unlabeled_images=extra))
    assert s.shape == (5, 5, 3) and np.array_equal(s.unlabeled.read(np.arange(4)), extra)
    s = load(medmnist(tmp_path / 'c.npz', test_images=None))
    assert s.val is None and len(s.test) == 6
    s = load(medmnist(tmp_path / 'd.npz', test_images=None, val_images=None), image_size=4, channels=3)
    assert s.shape == (4, 4, 3) and len(s.test) == 6 and len(s.train) == 24


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        (dict(train_images=None), "no array 'train_images'"),
        (dict(train_labels=None), "no array 'train_labels'"),
        (dict(test_labels=None), 'test_images but no test_labels'),
        (dict(shape=(28, 28, 28)), 'uint8 .* 1 to 4 channels'),
        (dict(train_images=np.zeros((30, 5, 5))), 'must be uint8 .* got float64'),
        (dict(labels=lambda n: np.zeros((n, 14), int)), 'no row of train_labels has a 1'),
        (dict(train_labels=np.zeros(29, int)), 'one label per image'),
        (dict(test_labels=np.full(9, 7)), 'go up to 7'),
        (dict(train_labels=np.array([{}] * 30)), 'cannot be read as an .npz of plain arrays'),
    ],
)
def test_npz_errors(tmp_path, fields, message):
    with pytest.raises(ValueError, match=message):
        load(medmnist(tmp_path / 'a.npz', **fields))


NOTHING = dict(images=np.zeros((0, 5, 5), np.uint8), labels=np.zeros(0, int))


@pytest.mark.parametrize('empty', [('val',), ('test',), ('val', 'test'), ('unlabeled',), ('val', 'test', 'unlabeled')])
def test_an_empty_split_of_an_npz_counts_as_none(tmp_path, caplog, empty):
    gone = {f'{s}_{k}': array for s in empty for k, array in NOTHING.items()}
    with caplog.at_level('WARNING', logger='absl'):
        found = load(medmnist(tmp_path / 'a.npz', **gone))
    for split in ('val', 'test'):
        assert (f'has 0 {split}_images, which counts as none' in caplog.text) == (split in empty)
    expected = load(medmnist(tmp_path / 'b.npz', **{k: None for k in gone if 'unlabeled' not in k}))
    for one, other in ((found.train, expected.train), (found.val, expected.val), (found.test, expected.test)):
        assert (one is None and other is None) or (one.digest() == other.digest() and len(one))
    assert found.unlabeled is None or not len(found.unlabeled)


@pytest.mark.parametrize('empty', [('train',), ('train', 'val', 'test', 'unlabeled')])
def test_an_npz_without_training_images_or_labels_is_refused(tmp_path, empty):
    gone = {f'{s}_{k}': array for s in empty for k, array in NOTHING.items()}
    with pytest.raises(ValueError, match='has 0 train_images, so there is nothing to train on'):
        load(medmnist(tmp_path / 'a.npz', **gone))
    with pytest.raises(ValueError, match='all train_labels are -1, unknown'):
        load(medmnist(tmp_path / 'a.npz', train_labels=np.full(30, -1)))
    unlabeled = medmnist(tmp_path / 'b.npz', unlabeled_images=NOTHING['images'])
    with pytest.raises(ValueError, match='has no images: unlabeled_images has 0'):
        load(medmnist(tmp_path / 'a.npz'), unlabeled=unlabeled)


@pytest.mark.parametrize('empty', ['train', 'val', 'test', 'unlabeled'])
def test_an_empty_split_of_a_folder_is_refused_or_counts_as_none(tmp_path, empty):
    for split in {'train', 'val', 'test', 'unlabeled'} - {empty}:
        for name in 'ab':
            (tmp_path / split / name).mkdir(parents=True)
            for i in range(3):
                Image.fromarray(draw(i, (4, 4))).save(tmp_path / split / name / f'{i}.png')
    (tmp_path / empty).mkdir()
    if empty == 'unlabeled':
        assert not len(load(f'folder:{tmp_path}').unlabeled)
    else:
        with pytest.raises(ValueError, match=f'{empty}.*holds no labelled image'):
            load(f'folder:{tmp_path}')


def test_labels_with_a_gap_are_named(tmp_path):
    source = load(medmnist(tmp_path / 'a.npz', labels=lambda n: np.arange(n) % 2 * 2))
    for fields in ({'budget': '2/class', 'val': '2'}, {'budget': '2', 'val': '2/class'}):
        with pytest.raises(ValueError, match="no training image has the class '1', label 1: .* without gaps"):
            partition.partition(source.train.labels, 3, seed=0, classes=source.classes, **fields)


def test_extra_unlabelled_images(tmp_path):
    source = medmnist(tmp_path / 'a.npz', shape=(6, 5, 3), unlabeled_images=draw(0, (2, 6, 5, 3)))
    tree(tmp_path / 'extra', ['a.png', 'deep/b.png'])
    s = load(source, unlabeled=f'folder:{tmp_path / "extra"}')
    assert s.unlabeled.labels.tolist() == [-1] * 4
    assert np.array_equal(s.unlabeled.read([2, 3]), np.stack([draw(0), draw(1)]))
    assert len(load(source, unlabeled=source).unlabeled) == 4
    for name, count in (('digits', 1797), ('synthetic:5x5x3:2', 2000), ('circles', None)):
        if count:
            assert len(load(source, unlabeled=name, image_size=6, channels=3).unlabeled) == 2 + count
        else:
            with pytest.raises(ValueError, match="does not go with 'circles'"):
                load(source, unlabeled=name, image_size=6)
    with pytest.raises(ValueError, match='unlabeled images are .*6x5x3.* 8x8x1'):
        load('digits', unlabeled=source)
    assert load('digits', unlabeled=source, image_size=8, channels=1).unlabeled.shape == (8, 8, 1)
    (tmp_path / 'none').mkdir()
    with pytest.raises(ValueError, match='has no images'):
        load('digits', unlabeled=f'folder:{tmp_path / "none"}')


def test_splits(tmp_path):
    a = splits.Split(splits.ArrayImages(draw(0, (6, 4, 4, 3))), np.arange(6))
    b = splits.Split(splits.ArrayImages(draw(1, (3, 4, 4, 3))), np.arange(3))
    assert a.nbytes == 6 * 48 and a.take([4, 2]).take([1]).labels.tolist() == [2]
    assert np.array_equal(a.take([4, 2]).read([1]), a.read([2]))
    assert splits.concat([a.take([1]), a.take([0])]).images is a.images
    joined = splits.concat([a.take([5, 1]), b.hide()])
    assert joined.labels.tolist() == [5, 1, -1, -1, -1]
    expected = np.concatenate([a.read([5, 1]), b.read([0, 1, 2])])
    before = joined.digest()
    assert np.array_equal(joined.read(np.arange(5)), expected)
    assert joined.images is splits.concat([a, b]).images and not joined.images.in_memory()
    whole = joined.images.array()
    assert np.array_equal(joined.read(np.arange(5)), expected) and joined.digest() == before
    assert np.shares_memory(a.images.array(), whole) and np.shares_memory(b.images.array(), whole)
    assert np.array_equal(joined.compact().read(np.arange(5)), expected)
    assert len({s.digest() for s in (a, a.hide(), a.take([1, 0, 2, 3, 4, 5]), b, joined)}) == 5
    with pytest.raises(ValueError, match='one image shape'):
        splits.concat([a, splits.Split(splits.ArrayImages(draw(0, (1, 4, 5, 3))), [0])])


def test_digest_follows_the_bytes(tmp_path):
    s = load(f'folder:{tree(tmp_path, SPLITS)}').train
    write(tmp_path / SPLITS[0], draw(99))
    assert load(f'folder:{tmp_path}').train.digest() != s.digest()


def test_a_file_that_is_longer_or_shorter_than_it_was_listed_is_refused(tmp_path):
    root = tree(tmp_path, SPLITS)
    files = folder.listing(str(root))
    for content in (b'longer' * 1000, b'short'):
        (tmp_path / files.names[0]).write_bytes(content)
        with pytest.raises(ValueError, match='has changed since it was listed'):
            files.read(0)


def test_real_images(shared_data):
    s = load(f'folder:{shared_data("imagenette.zip")}', path='stream', image_size=32)
    assert s.shape == (32, 32, 3) and (len(s.train), len(s.test), len(s.classes)) == (9469, 3925, 10)
    assert s.val is None and 20 < s.train.read(np.arange(0, 9000, 300)).std() < 110


@pytest.fixture(scope='module')
def fashion_mnist(shared_data, tmp_path_factory):
    """config.data fields for the real builder over its real files, cut short: all take 20 s."""
    pytest.importorskip('tensorflow_datasets')
    from tensorflow_datasets.image_classification import mnist

    fields = dict(data_dir=str(tmp_path_factory.mktemp('tfds')), manual_dir=str(shared_data('fashion_mnist')))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mnist, '_TRAIN_EXAMPLES', 600)
        patch.setattr(mnist, '_TEST_EXAMPLES', 100)
        load('tfds:fashion_mnist', **fields)
    return fields


def test_tensorflow_datasets(fashion_mnist):
    s = load('tfds:fashion_mnist', **fashion_mnist)
    assert s.shape == (28, 28, 1) and s.classes[0] == 'T-shirt/top' and len(s.classes) == 10
    assert (len(s.train), s.val, len(s.test), s.unlabeled) == (600, None, 100, None)
    # Straight from the original files; the builder shuffles, so as sets.
    folder_ = fashion_mnist['manual_dir']
    with (
        gzip.open(f'{folder_}/train-images-idx3-ubyte.gz') as f,
        gzip.open(f'{folder_}/train-labels-idx1-ubyte.gz') as g,
    ):
        images, labels = f.read(16 + 600 * 784)[16:], g.read(8 + 600)[8:]
    expected = sorted((images[i * 784 : (i + 1) * 784], labels[i]) for i in range(600))
    assert sorted((x.tobytes(), y) for x, y in zip(s.train.read(np.arange(600)), s.train.labels)) == expected
    streamed = load('tfds:fashion_mnist', **fashion_mnist, path='stream').train
    assert not streamed.images.in_memory() and streamed.digest() == s.train.digest()
    assert np.array_equal(streamed.read([5, 3]), s.train.read([5, 3]))


def test_tensorflow_datasets_prepared_as_tfrecord(fashion_mnist, tmp_path):
    """Held in memory as encoded; the splits have their roles by name."""
    tfds = pytest.importorskip('tensorflow_datasets')

    class Pets(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version('1.0.0')

        def _info(self):
            features = dict(image=tfds.features.Image(), label=tfds.features.ClassLabel(names=['cat', 'dog']))
            return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {
                'train': self._examples(8),
                'validation': self._examples(4),
                'unlabelled': self._examples(6),
            }

        def _generate_examples(self):
            raise NotImplementedError

        def _examples(self, n):
            for i in range(n):
                yield i, {'image': draw(i, (6 + i, 9, 3)), 'label': i % 2}

    Pets(data_dir=tmp_path).download_and_prepare(file_format='tfrecord')
    s = load('tfds:pets', data_dir=str(tmp_path), image_size=6)
    assert s.shape == (6, 6, 3) and s.classes == ('cat', 'dog') and s.val is None
    assert (len(s.train), len(s.test)) == (8, 4) and s.unlabeled.labels.tolist() == [-1] * 6
    more = load('synthetic:6x6x3:2', unlabeled='tfds:pets', data_dir=str(tmp_path), image_size=6)
    assert more.unlabeled.digest() == s.unlabeled.digest()


def test_tensorflow_datasets_errors(tmp_path):
    pytest.importorskip('tensorflow_datasets')
    with pytest.raises(ValueError, match="no builder 'fashon_mnist'; did you mean 'fashion_mnist'"):
        load('tfds:fashon_mnist', data_dir=str(tmp_path))
    with pytest.raises(ValueError, match="'wider_face' needs the features 'image'"):
        load('tfds:wider_face', data_dir=str(tmp_path))


def test_sources_without_tensorflow(tmp_path):
    tree(tmp_path / 'images', FLAT)
    medmnist(tmp_path / 'a.npz')
    code = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in ('tensorflow', 'tensorflow_datasets'):
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)
sys.meta_path.insert(0, Block())
import jax
from ssljax.config import base
from ssljax.data import feed, sources
from ssljax.devices.sharding import make_mesh
config = base().data
for source in ('folder:images', 'npz:a.npz', 'digits', 'synthetic:8x8x1:3'):
    config.source = source
    split = sources.load(config).train
    f = feed.make_feed(split, batch_size=8, seed=0, mesh=make_mesh())
    assert f.path == 'resident' and next(f.payloads(0, 1)).shape == (1, 8, 3)
    next(feed.eval_batches(split, batch_size=8, mesh=make_mesh()))
    f = feed.make_feed(split, batch_size=8, seed=0, mesh=make_mesh(), path='stream')
    assert f.path == 'stream' and next(f.payloads(0, 1))['image'].shape[:2] == (1, 8)
config.source = 'tfds:mnist'
try:
    sources.load(config)
except ImportError as e:
    assert 'pip install' in str(e), e
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, '-c', code], cwd=tmp_path, check=True, env=os.environ | {'PYTHONPATH': str(ROOT)})
