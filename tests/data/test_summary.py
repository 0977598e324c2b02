"""The table that a run prints of its data."""

import numpy as np
import pytest

from ssljax import experiment, seeds
from ssljax.data import npz, sources, summary
from tests import bmp


@pytest.fixture
def root(tmp_path):
    for i in range(6):
        for j, name in enumerate(f'{s}/{c}' for s in ('train', 'test') for c in 'ab'):
            bmp.write(tmp_path / f'images/{name}/{i}.bmp', 10 * j + i)
    return tmp_path / 'images'


def row(text, name):
    return next(line.split()[-2:] for line in text.splitlines() if line.strip().startswith(name))


def test_images_that_cannot_be_decoded_count_alike_in_every_split(config, root):
    for path in ('train/a/0.bmp', 'test/a/0.bmp', 'test/a/1.bmp'):
        (root / path).write_bytes(b'BM')
    config.data.source = f'folder:{root}'
    text = summary.text(sources.load(config.data))
    assert row(text, 'a ') == ['5', '4'] and row(text, 'total') == ['11', '10']
    assert row(text, 'cannot be decoded, left out') == ['1', '2']


def test_a_split_that_lacks_classes_is_told(config, root):
    for path in (root / 'test/a').glob('*'):
        path.unlink()
    (root / 'test/a').rmdir()
    config.data.source = f'folder:{root}'
    text = summary.text(sources.load(config.data))
    assert "warning: the test images cover 1 of the 2 classes (none of 'a')" in text


def test_a_label_that_is_used_up_by_a_corrupt_image_is_told(config, root, tmp_path, capfd):
    (root / 'train/a/0.bmp').write_bytes(b'BM')
    config.data.update(source=f'folder:{root}', labels='all', val='0')
    config.transfer.ways, config.pretrain.method = ('scratch',), 'none'
    (tmp_path / 'list.txt').write_text('train/a/0.bmp\ntrain/a/1.bmp\ntrain/b/1.bmp\n')
    config.data.update(labels=f'list:{tmp_path / "list.txt"}', val='1/class')
    run = experiment.prepare(config, tmp_path / 'run', sources.load(config.data), quiet=True)
    _, images = seeds.seed_images(run, 0)
    assert len(images['labeled']) == 2
    said = "seed 0: 3 labelled images were requested, 1 cannot be decoded ('train/a/0.bmp'), using 2"
    assert said in capfd.readouterr().err


def test_one_hot_labels_are_read_and_several_an_image_refused(caplog):
    hot = np.eye(3)[[2, 0, 1]]
    npz.check_labels(hot.shape, hot.dtype, 3, 'train_labels', 'x.npz')
    with caplog.at_level('WARNING', logger='absl'):
        assert npz.labels(hot, None, 'train_labels', 'x.npz').tolist() == [2, 0, 1]
    assert 'is one-hot, [3, 3]: the position of the 1 is the class' in caplog.text
    for bad in (np.ones((3, 3)), np.zeros((3, 3)), hot / 2, -hot):
        with pytest.raises(ValueError, match='several classes per image are 0 and 1 in'):
            npz.labels(bad, None, 'train_labels', 'x.npz')
