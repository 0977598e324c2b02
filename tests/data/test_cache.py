"""The decoded cache: the same pixels as without it, decoded once, never half-made."""

import errno
import os
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssljax.config import base
from ssljax.data import decode, decoders, encoded, readable, sources
from ssljax.data import feed as feeds
from ssljax.storage import files

ROOT = Path(__file__).resolve().parents[2]


def tree(root, n=20):
    for i in range(n):
        path = root / ('cat', 'dog')[i % 2] / f'{i:02}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (16, 20, 3), np.uint8)).save(path)
    return root


def load(root, cache='', **fields):
    config = base().data
    config.update(source=f'folder:{root}', cache=str(cache), **{'path': 'stream', 'image_size': 8} | fields)
    return sources.load(config)


def pixels(source):
    return [split.read(np.arange(len(split))) for split in (readable.verified(source.train), source.test)]


def made(cache):
    return sorted(path.name for path in cache.glob('*.npy'))


@pytest.fixture
def decodes(monkeypatch):
    """How many files were decoded; the first one of a source, for its shape, included."""
    seen = []
    original = decode.decode
    monkeypatch.setattr(decode, 'decode', lambda data, *fit: seen.append(data) or original(data, *fit))
    return seen


@pytest.mark.parametrize('path', ['stream', 'auto'])
def test_images_are_decoded_once_and_are_the_same(tmp_path, mesh, decodes, path):
    root, cache = tree(tmp_path / 'images'), tmp_path / 'new' / 'cache'
    plain = load(root)
    expected = pixels(plain)
    first = load(root, cache, path=path)
    decodes.clear()
    again = load(root, cache, path=path)
    for source in (first, again):
        assert all(np.array_equal(a, b) for a, b in zip(pixels(source), expected))
        assert source.train.digest() == plain.train.digest()
    assert len(decodes) == 1  # for the shape
    assert again.train.images.in_memory() == (path == 'auto')
    batches = [
        next(feeds.make_feed(s.train, batch_size=8, seed=3, mesh=mesh, path='stream').payloads(2, 3))
        for s in (plain, again)
    ]
    assert all(np.array_equal(batches[0][k], batches[1][k]) for k in ('image', 'label', 'index'))


def test_other_files_or_another_fit_make_another_one(tmp_path, monkeypatch):
    root, cache = tree(tmp_path / 'images'), tmp_path / 'cache'
    load(root, cache)
    assert len(made(cache)) == 1
    load(root, cache, image_size=4)
    load(root, cache, channels=1)
    assert len(made(cache)) == 3
    monkeypatch.setattr(decode, 'VERSION', decode.VERSION + 1)
    load(root, cache)
    assert len(made(cache)) == 4
    monkeypatch.undo()
    data = (root / 'dog/05.png').read_bytes()
    Image.fromarray(np.zeros((16, 20, 3), np.uint8)).save(root / 'dog/05.png')
    assert np.array_equal(np.concatenate(pixels(load(root, cache))), np.concatenate(pixels(load(root))))
    assert len(made(cache)) == 5
    (root / 'dog/05.png').write_bytes(data)
    load(root, cache)
    assert len(made(cache)) == 5


def test_corrupt_images_are_treated_as_without_it(tmp_path, caplog):
    root, cache = tree(tmp_path / 'images'), tmp_path / 'cache'
    (root / 'dog/05.png').write_bytes(b'no image')
    for path in ('stream', 'auto'):
        expected = load(root, path=path)
        wanted = pixels(expected)
        for _ in range(2):
            caplog.clear()
            with caplog.at_level('WARNING', logger='absl'):
                found = load(root, cache, path=path)
                read = pixels(found)
            assert all(np.array_equal(a, b) for a, b in zip(read, wanted))
            assert len(found.train) == len(expected.train) == 16 == len(readable.verified(found.train)) + 1
            assert caplog.text.count("'dog/05.png', which cannot be decoded (it is not an image in a") == 1
    for directory in (cache, tmp_path / 'other'):
        with pytest.raises(ValueError, match="'dog/05.png' cannot be decoded .*config.data.corrupt='skip'"):
            load(root, directory, corrupt='refuse')
    assert os.listdir(tmp_path / 'other') == ['.lock']


SLOW = """
import sys, time
from ssljax.config import base
from ssljax.data import cache, readable, sources
write = cache._write
cache._write = lambda *args: (write(*args), print('wrote', flush=True), time.sleep(60))
config = base().data
config.update(source=f'folder:{sys.argv[1]}', cache=sys.argv[2], path='stream', image_size=8)
sources.load(config)
"""


def test_of_a_killed_process_nothing_is_read(tmp_path):
    root, cache = tree(tmp_path / 'images'), tmp_path / 'cache'
    environment = os.environ | {'PYTHONPATH': str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, '-c', SLOW, root, cache], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == 'wrote\n'
    process.kill()
    process.wait()
    assert made(cache) == [] and len(list(cache.glob('*.part'))) == 1
    assert all(np.array_equal(a, b) for a, b in zip(pixels(load(root, cache)), pixels(load(root))))
    assert len(made(cache)) == 1 and not list(cache.glob('*.part'))


def test_a_second_process_waits_for_the_first(tmp_path, decodes):
    """It takes what the first one made meanwhile."""
    root, cache = tree(tmp_path / 'images'), tmp_path / 'cache'
    environment = os.environ | {'PYTHONPATH': str(ROOT)}
    slow = SLOW.replace('sleep(60)', 'sleep(1)')
    process = subprocess.Popen(
        [sys.executable, '-c', slow, root, cache], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == 'wrote\n'
    load(root, cache)
    assert len(decodes) == 1 and len(made(cache)) == 1
    process.communicate()
    assert process.returncode == 0


@pytest.mark.parametrize('suffix', ['.part', '.npy', '.json'])
@pytest.mark.parametrize('kind', ['link', 'hard link', 'dangling', 'pipe', 'directory'])
def test_what_else_has_the_name_of_a_file_is_neither_written_to_nor_waited_for(tmp_path, suffix, kind):
    root, cache, victim = tree(tmp_path / 'images'), tmp_path / 'cache', tmp_path / 'victim'
    load(root, cache)
    path = (cache / made(cache)[0]).with_suffix(suffix)
    path.unlink(missing_ok=True)
    victim.write_text('mine')
    if kind == 'link':
        path.symlink_to(victim)
    elif kind == 'dangling':
        path.symlink_to(tmp_path / 'nothing')
    elif kind == 'hard link':
        os.link(victim, path)
    elif kind == 'pipe':
        os.mkfifo(path)
    else:
        path.mkdir()
        (path / 'inside').write_text('x')
    if suffix == '.part':
        (cache / made(cache)[0]).unlink()  # it is made again
    assert all(np.array_equal(a, b) for a, b in zip(pixels(load(root, cache)), pixels(load(root))))
    assert victim.read_text() == 'mine' and not (tmp_path / 'nothing').exists()
    assert len(made(cache)) == 1 and load(root, cache)


def test_a_damaged_file_is_made_anew(tmp_path):
    root, cache = tree(tmp_path / 'images'), tmp_path / 'cache'
    load(root, cache)
    path = cache / made(cache)[0]
    os.truncate(path, path.stat().st_size - 1)
    assert all(np.array_equal(a, b) for a, b in zip(pixels(load(root, cache)), pixels(load(root))))


@pytest.mark.parametrize('path', ['stream', 'auto'])
@pytest.mark.parametrize('corrupt', [False, True])
def test_damaged_pixels_are_decoded_again_and_the_file_is_named(tmp_path, caplog, path, corrupt):
    root, cache = tree(tmp_path / 'images'), tmp_path / 'cache'
    if corrupt:
        (root / 'dog/05.png').write_bytes(b'no image')
    load(root, cache)
    file = cache / made(cache)[0]
    content = file.read_bytes()
    file.write_bytes(content[:-700] + bytes(700))
    expected = pixels(load(root))
    for damaged in (True, False):
        caplog.clear()
        with caplog.at_level('WARNING', logger='absl'):
            found = load(root, cache, path=path)
            for _ in range(2):
                assert all(np.array_equal(a, b) for a, b in zip(pixels(found), expected))
        assert caplog.text.count(f'{file} is damaged') == damaged
    assert file.read_bytes() == content


def test_a_file_of_an_earlier_version_without_checksums_is_made_anew(tmp_path, decodes):
    root, cache = tree(tmp_path / 'images'), tmp_path / 'cache'
    load(root, cache)
    about = next(cache.glob('*.json'))
    kept = files.read_json(about)
    files.write_json(about, {k: v for k, v in kept.items() if k != 'crc32'})
    decodes.clear()
    load(root, cache)
    assert len(decodes) == 21 and files.read_json(about) == kept


def test_a_file_that_is_cut_short_while_it_is_in_use_is_named(tmp_path):
    root, cache = tree(tmp_path / 'images'), tmp_path / 'cache'
    source = load(root, cache)
    os.truncate(cache / made(cache)[0], 0)
    with pytest.raises(ValueError, match='npy was truncated while in use: delete it'):
        source.train.read(np.arange(4))


def test_no_process_decodes_what_is_there(tmp_path, monkeypatch):
    root, cache = tree(tmp_path / 'images'), tmp_path / 'cache'
    load(root, cache)
    monkeypatch.setattr(encoded, '_LARGE', 0)
    monkeypatch.setattr(decoders, 'number', lambda: 2)
    monkeypatch.setattr(decoders, 'decode_into', None)
    assert all(np.array_equal(a, b) for a, b in zip(pixels(load(root, cache, path='auto')), pixels(load(root, cache))))


def test_a_full_disk_is_said_before_anything_is_decoded(tmp_path, monkeypatch, decodes):
    root, cache = tree(tmp_path / 'images'), tmp_path / 'cache'
    usage = namedtuple('usage', 'total used free')(2**20, 2**20 - 20 * 8 * 8 * 3 + 1, 20 * 8 * 8 * 3 - 1)
    monkeypatch.setattr('shutil.disk_usage', lambda path: usage)
    with pytest.raises(OSError, match='20 decoded images take 0.0 MiB, but config.data.cache=.*give another') as e:
        load(root, cache)
    assert e.value.errno == errno.ENOSPC and len(decodes) == 1 and os.listdir(cache) == ['.lock']
