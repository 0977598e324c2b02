"""Corrupt images and unknown labels, on every path."""

import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ssljax import experiment
from ssljax.config import base
from ssljax.core import split as parts
from ssljax.data import partition as partitions
from ssljax.data import readable, sources
from ssljax.evals import classify, embed, probe
from ssljax.records import result
from ssljax.storage import files
from ssljax.targets import OneClass

NAMES = [f'{s}/{c}/{i}.png' for s, n in (('train', 8), ('val', 3), ('test', 4)) for c in 'ab' for i in range(n)]


@pytest.fixture(scope='module')
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp('images')
    for i, name in enumerate(NAMES):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), 5 * i + 3, np.uint8)).save(root / name)
    return root


def load(source, **fields):
    config = base().data
    config.update(source=source, **fields)
    return sources.load(config)


def shown(split, mesh):
    """{name: mean} of what the evaluation of a split sees."""
    seen = embed.outputs(lambda v, x: x.mean((1, 2, 3)), None, split, batch_size=4 * mesh.size, mesh=mesh)
    return dict(zip(split.names(), np.round(seen, 3).tolist(), strict=True))


@settings(max_examples=12)
@given(broken=st.sets(st.sampled_from(NAMES), max_size=8), seed=st.integers(0, 3))
def test_no_image_is_evaluated_for_another(tree, tmp_path_factory, mesh, broken, seed):
    root = tmp_path_factory.mktemp('broken') / 'images'
    shutil.copytree(tree, root)
    for name in broken:
        data = (root / name).read_bytes()
        (root / name).write_bytes(data[: len(data) // 2])
    expected = {name: float(5 * i + 3) for i, name in enumerate(NAMES)}
    found = []
    for fields in ({'path': 'resident'}, {'path': 'stream'}, {'path': 'stream', 'cache': str(root.parent / 'cache')}):
        try:
            source = load(f'folder:{root}', **fields)
        except ValueError as e:
            assert 'can be decoded' in str(e)
            assert any(all(n in broken for n in NAMES if n[:2] == s) for s in ('te', 'va'))
            continue
        rows = partitions.partition(source.train.labels, 2, budget='3/class', val='0', seed=seed)
        labeled = readable.verified(source.train.take(rows.labeled))
        for split, where in ((source.test, 'test'), (source.val, 'val'), (labeled, 'train')):
            seen = shown(split, mesh)
            assert seen == {name: expected[name] for name in seen} and not broken & set(seen)
            if where != 'train':
                assert set(seen) == {n for n in NAMES if n.startswith(f'{where}/')} - broken
        entry = result.sets(rows, source)['labeled']
        assert entry['count'] == len(labeled) == 6 - entry.get('unreadable', {'count': 0})['count']
        left = {name: readable.noted(split)['count'] for name, split in source.listed.items() if readable.noted(split)}
        found.append((labeled.names(), source.test.names(), source.val.names(), left, source.train.digest()))
    assert all(f == found[0] for f in found)


@pytest.mark.parametrize('change', ['truncate', 'delete'])
def test_an_image_that_is_lost_after_the_start_is_an_error(tree, tmp_path, mesh, monkeypatch, change):
    root = tmp_path / 'images'
    shutil.copytree(tree, root)
    monkeypatch.setattr('ssljax.data.memory.available_memory', lambda: 0)
    source = load(f'folder:{root}', path='stream')
    assert len(shown(source.test, mesh)) == 8
    (root / 'test/a/2.png').write_bytes(b'x') if change == 'truncate' else (root / 'test/a/2.png').unlink()
    with pytest.raises(ValueError, match="test/a/2.png' (has changed|is gone) since it was listed: restore it"):
        shown(source.test, mesh)


def test_a_streamed_test_split_that_fits_is_decoded_once(tree, mesh, monkeypatch):
    decoded = []
    kind = type(load(f'folder:{tree}', path='stream').test.images)
    decode = kind._decode
    monkeypatch.setattr(kind, '_decode', lambda self, row: decoded.append(row) or decode(self, row))
    source = load(f'folder:{tree}', path='stream')
    for _ in range(2):
        shown(source.test, mesh)
    assert len(decoded) == 6 + 8  # validation and test


def archive(path, **labels):
    arrays = {}
    for i, (name, n) in enumerate((('train', 30), ('val', 12), ('test', 15))):
        arrays[f'{name}_images'] = np.random.default_rng(i).integers(0, 256, (n, 8, 8), np.uint8)
        arrays[f'{name}_labels'] = labels.get(name, np.arange(n) % 3)
    np.savez(path, **arrays)
    return f'npz:{path}'


@settings(max_examples=20)
@given(unknown=st.sets(st.integers(0, 14), max_size=14), split=st.sampled_from(['val', 'test']))
def test_unknown_labels_are_not_evaluated(tmp_path_factory, unknown, split):
    n = {'val': 12, 'test': 15}[split]
    labels = np.arange(n) % 3
    labels[[i for i in unknown if i < n]] = -1
    where = archive(tmp_path_factory.mktemp('a') / 'a.npz', **{split: labels})
    if not np.any(labels >= 0) and split == 'val':
        with pytest.raises(ValueError, match='None of the 12 val images .* has a known label'):
            load(where)
        return
    source = load(where)
    kept = getattr(source, split)
    assert np.array_equal(kept.labels, labels[labels >= 0])
    assert source.unknown == ({split: int((labels < 0).sum())} if np.any(labels < 0) else {})
    logits = np.random.default_rng(0).normal(size=(n, 3))
    assert classify.scores(logits, labels) == classify.scores(logits[labels >= 0], labels[labels >= 0])
    x, known = logits.astype(np.float32), labels >= 0
    assert OneClass(3).vote(x, labels) == OneClass(3).vote(x[known], labels[known])
    fit = [probe.probe((x, np.arange(n) % 3), p, p, targets=OneClass(3), l2s=(0.1,), steps=5)
           for p in ((x, labels), (x[known], labels[known]))]  # fmt: skip
    assert fit[0] == fit[1]


def test_a_test_split_without_labels_gives_way(tmp_path):
    source = load(archive(tmp_path / 'a.npz', test=np.full(15, -1)))
    assert source.val is None and len(source.test) == 12
    source = load(archive(tmp_path / 'b.npz', train=np.where(np.arange(30) < 9, np.arange(30) % 3, -1)))
    assert (source.train.labels < 0).sum() == 21


@pytest.mark.parametrize('kind', ['scratch', 'sgan', 'pseudo_label'])
def test_the_metrics_of_every_method_leave_unknown_labels_out(config, tmp_path, kind):
    config.transfer.ways = (kind,)
    config.pretrain.method = 'none'
    run = experiment.prepare(config, tmp_path, sources.load(config.data))
    method = run.methods[kind]
    images = run.source.test.read(np.arange(8))
    variables = method.init(jax.random.key(0), {'image': images[:1], 'unlabeled_count': 2000})
    labels = np.array([0, 1, 2, 0, 1, 2, 0, 1])
    some = np.where(np.arange(8) < 5, labels, -1)
    measure = lambda label, mask: method.measure(  # noqa: E731
        *parts(variables), {'image': images, 'label': jnp.asarray(label), 'mask': jnp.asarray(mask, jnp.float32)}
    )
    found, right = measure(some, np.ones(8)), measure(labels, np.arange(8) < 5)
    for name in ('loss', 'top1'):
        assert [float(v) for v in found[name]] == pytest.approx([float(v) for v in right[name]])


def test_result_says_what_was_left_out(tree, tmp_path, config):
    root = tmp_path / 'images'
    shutil.copytree(tree, root)
    (root / 'test/b/1.png').write_bytes(b'x')
    config.data.update(source=f'folder:{root}', path='stream', labels='2/class', image_size=8)
    config.transfer.ways, config.pretrain.method = ('scratch',), 'none'
    config.evaluate.update(knn=0, probe=False)
    config.transfer.scratch.update(epochs=0.0, steps=2, evals=1)
    outcome = experiment.run(config, tmp_path / 'run')
    assert outcome['data']['unreadable'] == {'test': {'count': 1, 'names': ['test/b/1.png']}}
    assert outcome['data']['counts']['test'] == 7 and '1 test images could not be decoded' in outcome['protocol']
    seed = files.read_json(tmp_path / 'run/result.json')['seeds'][0]
    assert np.sum(seed['ways']['scratch']['test']['confusion']) == 7
