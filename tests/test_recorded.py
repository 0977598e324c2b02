"""A run does not go on with other data than it was begun with."""

import json
import os

import numpy as np
import pytest

from ssljax import experiment
from ssljax.data import sources
from ssljax.records import recorded
from ssljax.storage import files
from tests import bmp

SPLITS = {'train': 'training', 'val': 'validation', 'test': 'test', 'unlabeled': 'unlabelled'}


@pytest.fixture
def root(tmp_path):
    for i in range(4):
        for j, name in enumerate(f'{s}/{c}' for s in ('train', 'val', 'test') for c in 'ab'):
            bmp.write(tmp_path / f'images/{name}/{i}.bmp', 10 * j + i)
        bmp.write(tmp_path / f'images/unlabeled/u{i}.bmp', 200 + i)
    return tmp_path / 'images'


def begin(config, root, workdir, **fields):
    config.data.update(source=f'folder:{root}', labels='2/class', **fields)
    config.transfer.ways, config.pretrain.method = ('scratch',), 'none'
    run = experiment.prepare(config, workdir, sources.load(config.data))
    files.write_json(workdir / 'seed0/scratch/done.json', {})  # something depends on the data now
    return run


CHANGES = {'added': "1 added .*'[^']*new.bmp'", 'removed': '1 removed', 'replaced': "1 changed .*bmp'",
           'relabelled': '1 added .* 1 removed'}  # fmt: skip


@pytest.mark.parametrize('path', ['auto', 'stream'])
@pytest.mark.parametrize('change', CHANGES)
@pytest.mark.parametrize('split', SPLITS)
def test_changed_data_is_refused(config, root, tmp_path, split, change, path):
    begin(config, root, tmp_path / 'run')
    folder = root / split if split == 'unlabeled' else root / split / 'a'
    first = sorted(folder.glob('*'))[0]
    if change == 'added':
        bmp.write(folder / 'new.bmp', 99)
    elif change == 'removed':
        first.unlink()
    elif change == 'replaced':
        bmp.write(first, 98)
    else:
        other = folder if split == 'unlabeled' else root / split / 'b'
        first.rename(other / 'new.bmp')
    kept = {p: p.read_bytes() for p in (tmp_path / 'run').rglob('*') if p.is_file()}
    with pytest.raises(ValueError, match=f'the {SPLITS[split]} images .*{CHANGES[change]}.*another --workdir') as e:
        begin(config, root, tmp_path / 'run', path=path)
    assert sum(f'the {title} images' in str(e.value) for title in SPLITS.values()) == 1
    then = 4 if split == 'unlabeled' else 8
    now = then + {'added': 1, 'removed': -1}.get(change, 0)
    assert f'({now} now, {then} before' in str(e.value)
    assert kept == {p: p.read_bytes() for p in (tmp_path / 'run').rglob('*') if p.is_file()}


def test_unchanged_data_goes_on_by_every_path(config, root, tmp_path):
    (root / 'test/a/1.bmp').write_bytes(b'no image')
    (root / 'train/b/2.bmp').write_bytes(b'no image')
    (root / 'unlabeled/u2.bmp').write_bytes(b'no image')
    begin(config, root, tmp_path / 'run')
    kept = (tmp_path / 'run/data.json').read_text()
    for fields in ({'path': 'stream'}, {'path': 'stream', 'cache': str(tmp_path / 'cache')}, {'path': 'resident'}):
        begin(config, root, tmp_path / 'run', **fields)
        assert (tmp_path / 'run/data.json').read_text() == kept


@pytest.mark.parametrize('change', ['gone', 'new', 'relabelled'])
def test_arrays_say_how_many_changed(config, tmp_path, change):
    arrays = {f'{s}_images': np.random.default_rng(i).integers(0, 256, (9, 8, 8), np.uint8)
              for i, s in enumerate(('train', 'val', 'test'))}  # fmt: skip
    arrays |= {f'{s}_labels': np.arange(9) % 3 for s in ('train', 'val', 'test')}
    np.savez(tmp_path / 'a.npz', **arrays)
    config.data.source = f'npz:{tmp_path / "a.npz"}'
    experiment.prepare(config, tmp_path / 'run', sources.load(config.data))
    files.write_json(tmp_path / 'run/result.json', {})
    if change == 'gone':
        arrays |= {'test_images': arrays['test_images'][1:], 'test_labels': arrays['test_labels'][1:]}
    elif change == 'new':
        arrays['test_images'][0] ^= 1
    else:
        arrays['test_labels'][0] = 1
    np.savez(tmp_path / 'a.npz', **arrays)
    with pytest.raises(ValueError, match=f'the test images .*1 {change}'):
        experiment.prepare(config, tmp_path / 'run', sources.load(config.data))


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def folder(path):
    path.unlink()
    path.mkdir()


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)


def other(path):
    np.savez(path, train_content=np.array(['x']), train_labels=np.zeros((2, 2)), train_names=np.array(3))


DAMAGES = [pipe, folder, flip, other, lambda path: path.write_bytes(b''), lambda path: path.write_text('text')]


@pytest.mark.parametrize('damage', DAMAGES)
def test_what_says_what_changed_may_be_damaged(config, root, tmp_path, damage):
    begin(config, root, tmp_path / 'run')
    bmp.write(root / 'train/a/0.bmp', 98)
    damage(tmp_path / 'run/data.npz')
    with pytest.raises(ValueError, match=r'the training images \(8 now, 8 before; sha256 .*\). Restore it, or give'):
        begin(config, root, tmp_path / 'run')


def test_a_run_that_stored_its_training_images_alone_goes_on(config, root, tmp_path):
    state = begin(config, root, tmp_path / 'run')
    path = tmp_path / 'run/data.json'
    path.write_text(json.dumps({k: state.meta['data'][k] for k in ('shape', 'train')}))
    (tmp_path / 'run/data.npz').unlink()
    begin(config, root, tmp_path / 'run')
    assert files.read_json(path) == state.meta['data']
    path.write_text(json.dumps({'shape': [8, 8, 1], 'train': 'x' * 64}))
    with pytest.raises(ValueError, match='the training images'):
        begin(config, root, tmp_path / 'run')


def test_a_changed_list_of_labels_is_refused(config, root, tmp_path):
    (tmp_path / 'list.txt').write_text('a/0.bmp\nb/0.bmp\n')
    begin(config, root, tmp_path / 'run')
    config.data.labels = f'list:{tmp_path / "list.txt"}'
    source = sources.load(config.data)
    old = recorded.summary(config, source)
    assert recorded.check(old, old, source, tmp_path, 'x') == old
    (tmp_path / 'list.txt').write_text('a/1.bmp\nb/0.bmp\n')
    with pytest.raises(ValueError, match='the content of data.labels has changed'):
        recorded.check(old, recorded.summary(config, source), source, tmp_path, 'x')


def test_a_run_that_has_trained_nothing_is_bound_to_no_data(config, root, tmp_path):
    workdir = tmp_path / 'run'
    begin(config, root, workdir)
    (workdir / 'seed0/scratch/done.json').unlink()
    files.write_json(workdir / 'seed0/partition.npz', {})
    bmp.write(root / 'train/a/new.bmp', 99)
    assert begin(config, root, workdir).meta['data']['counts']['train'] == 9
    assert not (workdir / 'seed0/partition.npz').exists()
    assert files.read_json(workdir / 'data.json')['counts']['train'] == 9
    assert len(np.load(workdir / 'data.npz')['train_labels']) == 9


def test_a_single_class_is_refused_unless_the_run_only_pretrains(config, root, tmp_path):
    for split in ('train', 'val', 'test'):
        for path in (root / split / 'b').glob('*'):
            path.unlink()
        (root / split / 'b').rmdir()
    with pytest.raises(ValueError, match="only one class, 'a': a classifier needs two or more. .*transfer.ways"):
        begin(config, root, tmp_path / 'run')
    assert not (tmp_path / 'run/data.json').exists()
    config.transfer.ways, config.pretrain.method = (), 'rotation'
    experiment.prepare(config, tmp_path / 'run', sources.load(config.data))
