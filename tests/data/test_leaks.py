"""Copies between splits and classes that their files give away are said by number and name."""

import re

import numpy as np
import pytest
from PIL import Image

from ssljax import experiment
from ssljax.config import base
from ssljax.data import leaks, sources


def picture(seed, side=48):
    small = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC)


def save(root, name, image, **options):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    image.save(root / name, **options)


@pytest.fixture
def root(tmp_path):
    for i, name in enumerate(f'{s}/{c}/{j}.png' for s in ('train', 'val', 'test') for c in 'ab' for j in range(6)):
        save(tmp_path / 'images', name, picture(i))
    for i in range(4):
        save(tmp_path / 'images', f'unlabeled/{i}.png', picture(100 + i))
    return tmp_path / 'images'


def found(root, **fields):
    config = base().data
    config.update(source=f'folder:{root}', **fields)
    return leaks.find(sources.load(config))


@pytest.mark.parametrize('path', ['auto', 'stream'])
def test_clean_data_has_no_warning(root, path):
    assert found(root, path=path, image_size=32) == []


@pytest.mark.parametrize('path', ['auto', 'stream'])
@pytest.mark.parametrize('one, many, words', [
    ('test', 'train/a', 'test images have exact copies among the training images'),
    ('test', 'unlabeled', 'test images have exact copies among the unlabelled images'),
    ('val', 'train/a', 'validation images have exact copies among the training images'),
])  # fmt: skip
def test_exact_copies(root, path, one, many, words):
    for i in range(2):
        (root / many / f'copy{i}.png').write_bytes((root / one / f'a/{i}.png').read_bytes())
    (text,) = found(root, path=path)
    assert text.startswith(f'2 of 12 {words}') and f"'{one}/a/0.png' = '{many}/copy0.png'" in text


@pytest.mark.parametrize('options', [dict(quality=75), dict(quality=90), dict(side=96, quality=90), dict(side=32)])
def test_re_encoded_and_resized_copies(root, options):
    side = options.pop('side', 48)
    with Image.open(root / 'test/a/3.png') as image:
        for c in 'ab':  # so that the ending tells nothing
            save(root, f'train/{c}/x.jpg', image.resize((side, side)) if c == 'b' else picture(999), **options)
    (text,) = found(root, image_size=48)
    assert text.startswith('1 of 12 test images have near copies') and "'test/a/3.png' = 'train/b/x.jpg'" in text


def test_copies_under_another_label(root):
    (root / 'train/b/x.png').write_bytes((root / 'train/a/0.png').read_bytes())
    assert found(root) == ['1 training images are exact copies of an image with another label.']


@pytest.mark.parametrize('kind, words', [
    ('ending', r'2 of 2 classes can be told apart by file extension alone: a \(.png\), b \(.jpg\)'),
    ('format', r'2 of 2 classes can be told apart by file format alone: a \(PNG\), b \(JPEG\)'),
    ('size', r'2 of 2 classes can be told apart by size in pixels alone: a \(48x48\), b \(40x40\)'),
])  # fmt: skip
def test_classes_that_their_files_give_away(root, kind, words):
    for i, path in enumerate(sorted((root / 'train/b').iterdir())):
        image = picture(500 + i, 40 if kind == 'size' else 48)
        path.unlink()
        if kind == 'size':
            image.save(path)
        else:
            image.save(path.with_suffix('.jpg') if kind == 'ending' else path, 'JPEG')
    texts = found(root, image_size=32)
    assert len(texts) == 1 and re.match(words, texts[0])


def test_arrays(tmp_path):
    arrays = {f'{s}_images': np.random.default_rng(i).integers(0, 256, (9, 8, 8), np.uint8)
              for i, s in enumerate(('train', 'test'))}  # fmt: skip
    arrays['test_images'][:3] = arrays['train_images'][4:7]
    np.savez(tmp_path / 'a.npz', **arrays, train_labels=np.arange(9) % 3, test_labels=np.arange(9) % 3)
    config = base().data
    config.source = f'npz:{tmp_path / "a.npz"}'
    assert leaks.find(sources.load(config)) == ['3 of 9 test images have exact copies among the training images.']


def test_warnings_are_printed_once_and_kept(root, tmp_path, config, capsys, monkeypatch):
    (root / 'train/a/x.png').write_bytes((root / 'test/a/0.png').read_bytes())
    config.data.update(source=f'folder:{root}', labels='2/class', val='0')
    source = sources.load(config.data)
    experiment.prepare(config, tmp_path / 'run', source)
    (text,) = experiment.leaks_of(tmp_path / 'run', source)
    assert capsys.readouterr().err.count(text) == 1
    monkeypatch.setattr(leaks, 'find', None)
    state = experiment.prepare(config, tmp_path / 'run', source)
    assert experiment.leaks_of(tmp_path / 'run', source) == [text] == state.meta['data']['warnings']
    assert text not in capsys.readouterr().err
