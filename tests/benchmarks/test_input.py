"""The benchmark of data paths: its rows, its sample, its command line, and that the peer reads what we read."""

import contextlib
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from benchmarks import images, input, record
from benchmarks.worker import Worker
from ssljax.data import decode


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    """100 JPEG files of two classes."""
    root = tmp_path_factory.mktemp('photos')
    for i in range(100):
        path = root / 'train' / ('cat', 'dog')[i % 2] / f'{i:02}.jpg'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (12, 15, 3), np.uint8)).save(path)
    return root


def test_every_path_has_a_row(photos, tmp_path, capfd):
    out = tmp_path / 'deep' / 'input.json'
    common = ['--batch=4', '--images=82', '--rounds=2', '--seconds=0.01', f'--out={out}']
    input.main([f'--photos={photos}', '--photo_size=8', *common])
    found = json.loads(out.read_text())
    assert [row['path'] for row in found['rows']] == ['resident', 'zip', 'folder', 'cache', 'cached']
    assert {'hardware', 'versions', 'date', 'command'} <= found.keys()
    assert found['skipped'] == {'cifar': 'no --cifar=PATH is given', 'tfds': 'no --tfds=NAME is given'}
    for row in found['rows']:
        assert row['images'] == 80 and row['data'] == 'photos' and row['size'] == 8 and row['batch'] == 4
        for name in ('first_batch', 'first_epoch', 'later'):
            assert (
                0 < row[name]['least'] <= row[name]['median'] <= row[name]['largest'] and len(row[name]['rounds']) == 2
            )
        assert 80 / row['first_epoch']['rounds'][0] > row['first_batch']['rounds'][0]  # seconds of the epoch
        assert 0 <= row['waits'] < 1 and row['train_images_s'] > 0 and 'ratio' not in row
    parts = found['rows'][0]['parts']
    assert set(parts) == {'read zip', 'read folder', 'decode', 'fit', 'copy', 'transfer'}
    assert parts['decode'] > parts['copy'] > 0
    printed = capfd.readouterr().out
    assert (
        'resident' in printed and 'cifar     skipped: no --cifar=PATH is given' in printed and 'us an image' in printed
    )


def test_a_sample_is_the_same_files_in_a_zip_and_a_folder(photos, tmp_path):
    assert images.sample(str(photos), 30, tmp_path) == 30
    loose = {p.relative_to(tmp_path / 'images').as_posix(): p for p in (tmp_path / 'images').rglob('*.jpg')}
    with zipfile.ZipFile(tmp_path / 'images.zip') as archive:
        assert set(archive.namelist()) == set(loose)
        for name, path in loose.items():
            data = archive.read(name)
            assert data == path.read_bytes() == (photos / 'train' / name.split('/', 1)[1]).read_bytes()
    assert sorted(name.split('/')[0] for name in loose) == ['test'] * 2 + ['train'] * 30


def test_the_peer_reads_our_pixels(photos, tmp_path):
    pytest.importorskip('torch')
    from benchmarks.peers import loader

    images.sample(str(photos), 30, tmp_path)
    data = loader.Files(tmp_path / 'images', 8)
    assert len(data) == 30
    for row in range(30):
        pixels, label = data[row]
        path = data.files[row][0]
        assert label == ('cat', 'dog').index(path.parent.name)
        assert np.array_equal(pixels, decode.decode(path.read_bytes(), 8, 3))
    what = {'root': str(tmp_path), 'size': 8, 'batch': 4}
    with contextlib.closing(Worker('benchmarks.peers.loader', json.dumps(what))) as worker:
        for workers in (0, 1):
            found = worker.ask(f'measure {workers} 0')
            assert found['images'] == 28 and found['later'] > 0 and 28 / found['first_epoch'] > found['first_batch'] > 0


def test_ratios_are_of_medians_and_of_each_round():
    ours, theirs = record.spread([8.0, 2.0, 6.0]), record.spread([2.0, 2.0, 1.0])
    assert record.ratio(ours, theirs) == {'median': 3.0, 'least': 1.0, 'largest': 6.0}


@pytest.mark.parametrize(
    'argv, says',
    (
        ([], '--cifar=PATH, --photos=PATH or --tfds=NAME'),
        (['--cifar=nowhere.zip'], '--cifar=nowhere.zip: there is no such'),
        (['--tfds=mnist', '--rounds=0'], '--rounds=0 must be above 0'),
        (['--tfds=mnist', '--images=100'], 'at least 20 batches of --batch=128'),
        (['--tfds=mnist', '--peer=keras'], 'torch'),
    ),
)
def test_a_wrong_command_line_is_told_what_to_do(argv, says, capsys):
    with pytest.raises(SystemExit):
        input.arguments(argv)
    assert says in capsys.readouterr().err


def test_a_dataset_that_is_not_prepared_is_skipped_not_downloaded(tmp_path, capsys):
    input.main(['--tfds=mnist', f'--data_dir={tmp_path}', f'--out={tmp_path / "input.json"}'])
    assert f'tfds      skipped: mnist is not prepared in --data_dir={str(tmp_path)!r}' in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == [tmp_path / 'input.json']
