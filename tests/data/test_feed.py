import os
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from ssljax.config import base
from ssljax.data import feed as feeds
from ssljax.data import sources
from ssljax.data import split as splits
from ssljax.devices.sharding import make_mesh
from ssljax.settings.resolve import input_path
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]


def numbered():
    """37 random images, each labelled with its number."""
    images = np.random.default_rng(0).integers(0, 256, (37, 5, 4, 3), np.uint8)
    return splits.Split(splits.ArrayImages(images), np.arange(37))


@pytest.fixture(scope='module')
def split():
    return numbered()


def folder_split(root, n=12, path='stream', damaged=()):
    for i in range(n):
        file = root / 'train' / 'ab'[i % 2] / f'{i:02}.png'
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (6, 5, 3), np.uint8)).save(file)
    for name in damaged:
        (root / 'train' / name).write_bytes(b'x')
    config = base().data
    config.update(source=f'folder:{root}', path=path, test='1/class')
    return sources.load(config).train


def batches(feed, start, stop, k=1):
    """[(image, label)] of each step, by the jitted `get` of one payload."""
    get = jax.jit(feed.get)
    out = []
    for item in feed.payloads(start, stop, k):
        steps = {x.shape[0] for x in jax.tree.leaves(item)}
        assert steps == {min(k, stop - start - len(out))}
        for i in range(steps.pop()):
            batch = get(feed.arrays, jax.tree.map(lambda x: x[i], item))
            assert batch['image'].dtype == np.uint8 and batch['label'].dtype == np.int32
            out.append(jax.tree.map(np.asarray, batch))
    return out


def equal(a, b):
    return len(a) == len(b) and all(
        np.array_equal(x['image'], y['image']) and np.array_equal(x['label'], y['label']) for x, y in zip(a, b)
    )


@pytest.mark.parametrize('path', ['resident', 'stream'])
def test_each_epoch_is_a_permutation(split, mesh, path):
    feed = feeds.make_feed(split, batch_size=10, seed=0, mesh=mesh, path=path)
    assert feed.path == path and feed.n == 37 and feed.batch_size == 10 and feed.waited_s() == 0
    seen = batches(feed, 0, 12, 5)
    labels = np.concatenate([b['label'] for b in seen])
    for epoch in range(3):
        assert sorted(labels[epoch * 37 : epoch * 37 + 37]) == list(range(37))
    assert labels[:37].tolist() != labels[37:74].tolist()
    for b in seen:
        assert np.array_equal(b['image'], split.read(b['label']))
    assert feed.waited_s() > 0


def test_paths_and_chunks_agree_and_a_resumed_feed_continues(split, mesh):
    part = split.take(np.arange(3, 30, 2))
    kinds = {p: feeds.make_feed(part, batch_size=4, seed=5, mesh=mesh, path=p) for p in ('resident', 'stream')}
    whole = batches(kinds['resident'], 0, 11)
    for feed in kinds.values():
        for k in (1, 3, 20):
            assert equal(batches(feed, 0, 11, k), whole)
        assert equal(batches(feed, 7, 11, 2), whole[7:])
        assert batches(feed, 4, 4) == []
    other = feeds.make_feed(part, batch_size=4, seed=6, mesh=mesh, path='resident')
    assert not equal(batches(other, 0, 11), whole)


@pytest.mark.parametrize('path', ['resident', 'stream'])
def test_a_set_smaller_than_a_batch(split, mesh, path):
    feed = feeds.make_feed(split.take([4, 8, 9]), batch_size=8, seed=0, mesh=mesh, path=path)
    labels = np.concatenate([b['label'] for b in batches(feed, 0, 3)])
    assert all(sorted(labels[i : i + 3]) == [4, 8, 9] for i in range(0, 24, 3))


def test_feeds_share_one_copy_on_the_device(split, mesh):
    make = lambda s: feeds.make_feed(s, batch_size=2, seed=0, mesh=mesh)  # noqa: E731
    one, two, hidden = make(split), make(split.take([5, 2])), make(split.take([3, 1]).hide())
    assert one.path == 'resident'
    assert one.arrays['image'] is two.arrays['image'] is hidden.arrays['image']
    assert batches(hidden, 0, 1)[0]['label'].tolist() == [-1, -1]


def test_a_leftover_stream_stops(split, mesh):
    items = feeds.make_feed(split, batch_size=2, seed=0, mesh=mesh, path='stream').payloads(0, 10**9, 4)
    assert next(items)['image'].shape == (4, 2, 5, 4, 3)
    items.close()


def test_a_stream_skips_before_it_reads(split, mesh, monkeypatch):
    read = []
    monkeypatch.setattr(splits.ArrayImages, 'read', lambda self, rows: read.append(rows) or self._array[rows])
    feed = feeds.make_feed(split, batch_size=4, seed=0, mesh=mesh, path='stream')
    batches(feed, 10**6, 10**6 + 2)
    assert sum(map(len, read)) == 2 * 4


def test_a_stream_holds_a_bounded_number_of_batches(split, mesh, monkeypatch):
    """However long the consumer takes."""
    read = []
    monkeypatch.setattr(splits.ArrayImages, 'read', lambda self, rows: read.append(rows) or self._array[rows])
    items = feeds.make_feed(split, batch_size=2, seed=0, mesh=mesh, path='stream').items(0, 10**6, 2)
    for _ in range(5):
        next(items)
    deadline = time.monotonic() + 60
    while sum(map(len, read)) <= 5 * 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)
    items.close()
    assert 5 * 4 < sum(map(len, read)) <= (5 + 3) * 4


def test_files_are_decoded_once(tmp_path, mesh, monkeypatch):
    split = folder_split(tmp_path)
    streamed = batches(feeds.make_feed(split, batch_size=4, seed=1, mesh=mesh, path='stream'), 0, 6, 2)
    decoded = []
    images, decode = split.images, type(split.images)._decode
    monkeypatch.setattr(type(images), '_decode', lambda self, row: decoded.append(row) or decode(self, row))
    for _ in range(2):
        feed = feeds.make_feed(split, batch_size=4, seed=1, mesh=mesh, path='resident')
        assert equal(batches(feed, 0, 6, 2), streamed)
        assert input_path(split.take([1, 2]), 'auto', mesh)[1] == 'resident'
        list(feeds.eval_batches(split, batch_size=4, mesh=mesh))
    assert sorted(decoded) == list(range(len(images)))


def test_too_large_a_set(tmp_path, mesh, monkeypatch):
    split = folder_split(tmp_path)
    size = split.nbytes // len(split)
    free = {'now': 4 * 2 * size}
    monkeypatch.setattr('ssljax.data.memory.available_memory', lambda: free['now'])
    assert input_path(split, 'auto', mesh)[1:] == ('stream', '900 bytes do not fit in a quarter of the free memory')
    part, path, _ = input_path(split.take([4, 1]), 'auto', mesh)
    small = feeds.make_feed(part, batch_size=2, seed=0, mesh=mesh, path=path)
    assert small.path == 'resident' and small.arrays['image'].shape == (2, 6, 5, 3)
    assert equal(batches(small, 0, 1), batches(feeds.Feed(split.take([4, 1]), batch_size=2, seed=0, mesh=mesh,
                                                          path='stream'), 0, 1))  # fmt: skip
    assert len(list(feeds.eval_batches(split, batch_size=4, mesh=mesh))) == 3
    assert not split.images.in_memory()
    free['now'] = size
    with pytest.raises(ValueError, match="path='resident', but the 10 images take .* GiB.*'stream'"):
        feeds.make_feed(split, batch_size=2, seed=0, mesh=mesh, path='resident')


def test_errors(split, mesh, tmp_path):
    make = lambda s=split, **k: feeds.make_feed(s, **dict(batch_size=2, seed=0, mesh=mesh) | k)  # noqa: E731
    for message, fields in (
        ("path of a feed is 'x'", dict(path='x')),
        ('the split is empty', dict(s=split.take([]))),
        ('must be at least 1', dict(batch_size=0)),
        ('must not be negative', dict(seed=-1)),
    ):
        with pytest.raises(ValueError, match=message):
            make(**fields)
    with pytest.raises(ValueError, match='at least one step'):
        next(make().payloads(0, 1, 0))
    files = folder_split(tmp_path, damaged=[f'a/{i:02}.png' for i in range(0, 8, 2)])
    files.images._corrupt = 'refuse'
    with pytest.raises(ValueError, match=r"'train/a/\d+.png' cannot be decoded .it is not an image in a known"):
        batches(make(files, path='stream'), 0, 5)


@pytest.mark.parametrize('on_device', [False, True])
def test_eval_batches(split, mesh, on_device):
    split = splits.Split(splits.ArrayImages(split.read(np.arange(37))), np.arange(37)).take(np.arange(36, 0, -2))
    if on_device:
        feeds.make_feed(split, batch_size=2, seed=0, mesh=mesh)
    found = list(feeds.eval_batches(split, batch_size=8, mesh=mesh))
    image, label, mask = (np.concatenate([b[k] for b in found]) for k in ('image', 'label', 'mask'))
    assert (image.dtype, label.dtype, mask.dtype) == (np.uint8, np.int32, np.float32)
    assert image.shape == (24, 5, 4, 3) and mask.tolist() == [1.0] * 18 + [0.0] * 6
    assert np.array_equal(image[:18], split.read(np.arange(18))) and np.array_equal(label[:18], split.labels)
    assert not image[18:].any() and np.all(label[18:] == -1)
    assert list(feeds.eval_batches(split.take([]), batch_size=8, mesh=mesh)) == []


def collect(split, mesh):
    """{'name/first row': the rows a device of this process holds}, of some batches of each kind."""
    out = {}
    split = split.take(np.arange(0, 37, 2))

    def put(name, batch):
        for key, array in batch.items():
            for shard in array.addressable_shards:
                out[f'{name}/{key}/{shard.index[0].start or 0}'] = np.asarray(shard.data)

    for path in ('resident', 'stream'):
        feed = feeds.make_feed(split, batch_size=8, seed=3, mesh=mesh, path=path)
        get = jax.jit(feed.get)
        for n, item in enumerate(feed.payloads(2, 7, 2)):
            for leaf in jax.tree.leaves(item):
                assert leaf.addressable_shards[0].data.shape[1] == 8 // jax.device_count()
            for i in range(jax.tree.leaves(item)[0].shape[0]):
                put(f'{path}/{n}.{i}', get(feed.arrays, jax.tree.map(lambda x: x[i], item)))
        for n, batch in enumerate(feeds.eval_batches(split, batch_size=8, mesh=mesh)):
            put(f'{path}/eval{n}', batch)
    return out


def whole(*parts):
    """{name: whole array} of what the processes collected."""
    shards = {}
    for part in parts:
        for key, array in part.items():
            name, begin = key.rsplit('/', 1)
            shards.setdefault(name, {})[int(begin)] = array
    return {name: np.concatenate([rows[i] for i in sorted(rows)]) for name, rows in shards.items()}


def start(path, devices, *arguments):
    env = os.environ | {
        'PYTHONPATH': str(ROOT),
        'JAX_PLATFORMS': 'cpu',
        'XLA_FLAGS': f'--xla_force_host_platform_device_count={devices}',
    }
    return subprocess.Popen([sys.executable, __file__, path, *map(str, arguments)], env=env)


def test_other_devices_and_processes_see_the_same_batches(split, mesh, tmp_path):
    port = free_port()
    four, a, b = (str(tmp_path / f'{name}.npz') for name in ('four', 'a', 'b'))
    processes = [start(four, 4), start(a, 2, port, 0), start(b, 2, port, 1)]
    expected = whole(collect(split, mesh))
    try:
        assert [process.wait(600) for process in processes] == [0] * 3
    finally:
        for process in processes:
            process.kill()
    assert len(expected) == 2 * (5 * 3 + 3 * 3)  # image, label and index; image, label and mask
    for paths in ((four,), (a, b)):
        found = whole(*(dict(np.load(path)) for path in paths))
        assert found.keys() == expected.keys()
        for name, array in expected.items():
            assert np.array_equal(found[name], array), name


def main(path, *process):
    """One of the processes that the test above starts."""
    if process:
        jax.distributed.initialize(f'localhost:{process[0]}', 2, int(process[1]))
    mesh = make_mesh()
    assert (jax.device_count(), jax.process_count()) == (4, 2 if process else 1)
    split = numbered()
    np.savez(path, **collect(split, mesh))
    with pytest.raises(ValueError, match='does not divide over 4 devices'):
        feeds.make_feed(split, batch_size=6, seed=3, mesh=mesh)


if __name__ == '__main__':
    main(*sys.argv[1:])
