import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

import ssljax
from ssljax.buckets import snapshot
from ssljax.buckets.mirror import changed, opened
from ssljax.buckets.store import BucketError, Store, Used
from ssljax.report.__main__ import main as report
from ssljax.storage import paths
from tests.store import bucket

CHECKPOINT = 'seed0/pretrain/checkpoints/{}/params/data'


@pytest.fixture(params=['file', 's3'])
def url(request, tmp_path, monkeypatch):
    with bucket(request.param, tmp_path, monkeypatch) as found:
        yield f'{found}/run'


@pytest.fixture
def disk(tmp_path, monkeypatch):
    with bucket('file', tmp_path, monkeypatch) as found:
        yield f'{found}/run'


def fill(local, step):
    """What a run has after some steps."""
    path = local / CHECKPOINT.format(step)
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes([step]) * 1000)
    with open(local / 'metrics.jsonl', 'a') as log:
        log.write(f'{step}\n')


def content(directory):
    return {name: path.read_bytes() for name, path in snapshot.listed(directory).items()}


def after(url, *steps):
    """The local copy of a run, closed, with a snapshot after each of some steps, and its content then."""
    with opened(url, None) as local:
        local.mkdir(exist_ok=True)
        seen = []
        for step in steps:
            fill(local, step)
            changed(local / 'metrics.jsonl')
            seen.append(content(local))
    return local, seen


def test_a_machine_without_a_copy_goes_on_from_the_bucket(url):
    local, seen = after(url, 1, 2)
    times = {name: path.stat().st_mtime_ns for name, path in snapshot.listed(local).items()}
    assert Store(url).read('metrics.jsonl') == b'1\n2\n'  # for people
    assert Store(url).read('.ssljax/lease.json') is None
    shutil.rmtree(local.parent)
    with opened(url, None) as again:
        assert again == local and content(again) == seen[-1]
        assert {name: path.stat().st_mtime_ns for name, path in snapshot.listed(again).items()} == times


def test_an_older_local_copy_is_brought_up_to_date(url, tmp_path):
    local, _ = after(url, 1)
    shutil.copytree(local.parent, tmp_path / 'old')
    _, seen = after(url, 2)
    shutil.rmtree(local.parent)
    shutil.copytree(tmp_path / 'old', local.parent)
    with opened(url, None) as again:
        assert content(again) == seen[-1]


def test_a_newer_local_copy_is_kept(url):
    local, _ = after(url, 1)
    fill(local, 2)
    with opened(url, None) as again:
        assert (again / CHECKPOINT.format(2)).exists()
    assert snapshot.newest(Store(url)).files.keys() == content(local).keys()


@pytest.mark.parametrize('at', [snapshot.SNAPSHOTS, snapshot.VERSIONS])
def test_half_an_upload_is_never_used(disk, monkeypatch, capsys, at):
    local, seen = after(disk, 1)
    store = Store(disk)
    real = Store.write

    def broken(self, name, *args, **kw):
        if name.startswith(at):
            raise BucketError('the network is gone.')
        return real(self, name, *args, **kw)

    with monkeypatch.context() as patch:
        patch.setattr(Store, 'write', broken)
        with pytest.raises(BucketError, match=f'the network is gone. All results are in {local}'), opened(disk, None):
            fill(local, 2)
            changed(local)
            assert 'tried again when the run next saves' in capsys.readouterr().err
    assert store.read(CHECKPOINT.format(2))  # what was cut short
    shutil.rmtree(local.parent)
    with opened(disk, None) as again:
        assert content(again) == seen[-1]
        assert store.read(CHECKPOINT.format(2)) is None


def test_what_is_damaged_is_left_out(url, caplog):
    local, seen = after(url, 1, 2)
    store, newest = Store(url), CHECKPOINT.format(2)
    store.write(newest, b'\2' * 999 + b'\3')
    shutil.rmtree(local.parent)
    with opened(url, None) as again:
        assert content(again) == {name: value for name, value in seen[-1].items() if name != newest}
    assert f'{newest} is damaged (its content does not match its checksum)' in caplog.text
    shutil.rmtree(local.parent)
    store.write(snapshot.path_of(snapshot.numbers(store)[0]), b'{}')
    with opened(url, None) as again:
        assert 'using the snapshot before it' in caplog.text
        assert content(again).keys() >= {CHECKPOINT.format(1), 'metrics.jsonl'}
        fill(again, 3)
    assert CHECKPOINT.format(3) in snapshot.newest(store).files


def test_only_two_snapshots_and_what_they_have_are_kept(url):
    local, _ = after(url, 1, 2)
    with opened(url, None):
        shutil.rmtree(local / 'seed0')
        for step in (3, 4, 5):
            fill(local, step)
            changed(local)
    store = Store(url)
    assert len(snapshot.numbers(store)) == 2
    assert store.read(CHECKPOINT.format(1)) is None and store.read(CHECKPOINT.format(3))
    assert len(store.names(snapshot.VERSIONS)) == 2


def test_a_second_run_is_refused_and_a_dead_one_waited_for(url, monkeypatch, capsys, tmp_path):
    local, _ = after(url, 1)
    monkeypatch.setenv('SSLJAX_LOST_AFTER', '600')  # a quarter of it passes before the first renews its lease
    with opened(url, None):
        monkeypatch.setenv('SSLJAX_BUCKETS', str(tmp_path / 'another_machine'))
        monkeypatch.setenv('SSLJAX_LOST_AFTER', '2')
        real = Store.read
        turns = iter(range(100, 200))

        def alive(self, name):
            found = real(self, name)
            return (
                found
                and name.endswith('lease.json')
                and found.replace(b'"turn": ', b'"turn": %d' % next(turns))
                or found
            )

        with monkeypatch.context() as patch:
            patch.setattr(Store, 'read', alive)
            patch.setattr(Store, 'age', lambda *_: 0.0)  # a bucket's clock may have whole seconds
            with pytest.raises(Used, match=r'another run is using .* \(process \d+ on .*\): wait for it'):
                with opened(url, None):
                    raise AssertionError
        with opened(url, None) as other:  # as if it were dead
            fill(other, 2)
        assert 'waiting' in capsys.readouterr().err
        fill(local, 3)
        with pytest.raises(Used, match='another run is using'):
            changed(local)
        shutil.rmtree(local)


def test_an_emptied_bucket_is_not_filled_again_unasked(disk, tmp_path):
    local, _ = after(disk, 1)
    shutil.rmtree(tmp_path / 'bucket/run')
    with pytest.raises(BucketError, match=f'delete {local.parent} to start anew'), opened(disk, None):
        raise AssertionError


def test_a_bucket_that_cannot_be_used_is_one_error_at_the_start(url, config, monkeypatch, tmp_path):
    if url.startswith('file'):
        (tmp_path / 'bucket').write_text('a file')
        with pytest.raises(BucketError, match='cannot be .*check the name of the bucket, the credentials'):
            ssljax.train(config, url)
        return
    with pytest.raises(
        BucketError, match=r's3://no-such/run cannot be written to \(The specified bucket does not exist'
    ):
        ssljax.train(config, 's3://no-such/run')
    for name in ('AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'):
        monkeypatch.delenv(name)
    monkeypatch.setenv('AWS_SHARED_CREDENTIALS_FILE', str(tmp_path / 'none'))
    with pytest.raises(BucketError, match='Unable to locate credentials'):
        ssljax.train(config, url)
    assert not list((tmp_path / 'copies').rglob('seed0'))


def test_schemes_without_a_driver(tmp_path, monkeypatch):
    monkeypatch.setenv('SSLJAX_BUCKETS', str(tmp_path))
    with pytest.raises(BucketError, match='not a place on a bucket: give a URL such as'):
        Store('s3://')
    with pytest.raises(BucketError, match='nosuch://a/b cannot be opened .*nosuch'):
        Store('nosuch://a/b')
    with pytest.raises(ValueError, match='is on a bucket, which cannot be used here: copy it to a disk'):
        paths.expand('s3://a/b')


def test_a_finished_run_is_read_from_the_bucket(url, config, tmp_path, capsys):
    config.transfer.ways = ('scratch',)
    done = ssljax.train(config, url)
    assert f'copied to {url}' in capsys.readouterr().err
    shutil.rmtree(tmp_path / 'copies')
    model = ssljax.load(url)
    assert model.info['way'] == 'scratch'
    assert ssljax.load(f'{url}/seed0/scratch').info['way'] == 'scratch'
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / 'x.png')
    assert ssljax.predict(url, tmp_path / 'x.png', out='').labels
    Store(url).remove(['report.html'])
    assert report([url]) == 0
    assert f'{url}/report.html' in capsys.readouterr().out and Store(url).read('report.html')
    assert ssljax.train(config, url)['summary'] == done['summary']  # read, not trained again
    assert report([f'{url}2']) == 1 and 'there is nothing at' in capsys.readouterr().err


def test_an_archive_of_images_is_read_from_the_bucket(url, tmp_path):
    with zipfile.ZipFile(tmp_path / 'x.zip', 'w') as archive:
        for i in range(8):
            Image.fromarray(np.full((8, 8), 30 * i, np.uint8)).save(tmp_path / 'x.png')
            archive.write(tmp_path / 'x.png', f'{"ab"[i % 2]}/{i}.png')
    Store(url).write('x.zip', (tmp_path / 'x.zip').read_bytes())
    data = ssljax.load_data(f'folder:{url}/x.zip', val='2', test='2')
    assert data.classes == ('a', 'b') and data.name == f'folder:{url}/x.zip'
    with pytest.raises(BucketError, match='a folder of images on a bucket cannot be read'):
        ssljax.load_data(f'folder:{url}/photos')
