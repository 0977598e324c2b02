import numpy as np
import pytest

from ssljax.data import partition as partitions

LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(4), (100, 100, 50, 10)))


def split(budget='40', val='0', labels=LABELS, seed=0, num_classes=4):
    return partitions.partition(labels, num_classes, budget=budget, val=val, seed=seed)


def counts(rows, labels=LABELS):
    return np.bincount(labels[rows], minlength=4).tolist()


def test_permutation_is_fixed():
    # Written down from one run: other versions of NumPy, and other machines, must give the same.
    assert partitions.permutation(8, 1, 2).tolist() == [7, 1, 3, 0, 4, 2, 6, 5]
    assert sorted(partitions.permutation(100, 3)) == list(range(100))


def test_sets_are_disjoint_sorted_and_whole():
    p = split('40', '10%')
    assert np.array_equal(np.sort(np.concatenate(p)), np.arange(len(LABELS)))
    for rows in p:
        assert rows.dtype == np.int64 and np.all(np.diff(rows) > 0)


def test_a_total_is_stratified():
    assert counts(split('26').labeled) == [10, 10, 5, 1]
    assert counts(split('130').labeled) == [50, 50, 25, 5]
    assert counts(split('4').labeled) == [1, 1, 1, 1]
    assert counts(split('10%').labeled) == [10, 10, 5, 1]
    assert counts(split('7/class').labeled) == [7, 7, 7, 7]
    assert len(split('all').labeled) == 260


@pytest.mark.parametrize('budgets', [('1', '4', '5', '26', '100', '50%', 'all'), ('1/class', '2/class', '9/class')])
def test_budgets_are_nested_and_validation_does_not_depend_on_them(budgets):
    parts = [split(budget, '10%') for budget in budgets[:-1]] + [split(budgets[-1], '10%')]
    for small, large in zip(parts, parts[1:]):
        assert set(small.labeled) < set(large.labeled)
        assert np.array_equal(small.val, large.val)
        assert not set(large.labeled) & set(large.val)


def test_seeds_differ_and_repeat():
    assert np.array_equal(split(seed=3).labeled, split(seed=3).labeled)
    assert not np.array_equal(split(seed=3).labeled, split(seed=4).labeled)


def test_validation_leaves_every_class_an_image():
    labels = np.array([0] * 20 + [1])
    p = split('2', '50%', labels)
    assert 20 not in p.val and 20 in p.labeled


def test_unknown_labels_are_unlabelled():
    labels = np.where(np.arange(len(LABELS)) % 2, LABELS, -1)
    p = split('all', '10%', labels)
    assert np.array_equal(p.unlabeled, np.flatnonzero(labels == -1))
    assert len(split('50%', labels=labels).labeled) == 65


@pytest.mark.parametrize(
    ('budget', 'val', 'message'),
    [
        ('261', '0', r"labels='261', but only 260 images .* 'all'"),
        ('95%', '10%', r"labels='95%' \(247 images\), but only 234 images"),
        ('11/class', '0', r"labels='11/class', but class 3 has 10 images"),
        ('0', '0', 'less than one image'),
        ('0.1%', '0', "'0.1%' of 260 images is less than one image"),
        ('0/class', '0', 'asks for no image'),
        ('ten', '0', r"labels='ten' is not an amount: .* '10/class'"),
        ('-3', '0', 'is not an amount'),
        ('10', 'all', r"val='all' is not an amount"),
        ('10', '10/class', r"val='10/class', but class 3 has 10 images .* must keep 1"),
        ('10', '300', r"val='300', but only 256 images"),
    ],
)
def test_impossible_amounts(budget, val, message):
    with pytest.raises(ValueError, match=message):
        split(budget, val)


def test_other_errors():
    with pytest.raises(ValueError, match="class 'dog' has 10 images"):
        partitions.partition(LABELS, 4, budget='11/class', val='', seed=0, classes=('a', 'b', 'c', 'dog'))
    with pytest.raises(ValueError, match='values from -1 to 2'):
        split(num_classes=3)
    with pytest.raises(ValueError, match='must not be negative'):
        split(seed=-1)
    with pytest.raises(ValueError, match='no image with a label'):
        split('1/class', labels=np.full(5, -1))
    with pytest.raises(ValueError, match='only 0 images'):
        split('1', labels=np.full(5, -1))


def test_fewer_labels_than_classes_warns(caplog):
    with caplog.at_level('WARNING', logger='absl'):
        split('2')
    assert 'lack 2 of the 4 classes' in caplog.text


def test_save_and_load(tmp_path):
    p = split('40', '10%')
    path = tmp_path / 'new' / 'partition.npz'
    partitions.save(path, p, source='x')
    loaded, meta = partitions.load(path)
    assert all(map(np.array_equal, p, loaded))
    assert meta['source'] == 'x' and meta['sha256']['val'] == partitions.digest(p.val)
    assert meta['size'] == {'labeled': 40, 'unlabeled': 194, 'val': 26}
    assert [f.name for f in path.parent.iterdir()] == ['partition.npz']
    with np.load(path) as f:
        changed = dict(f)
    changed['val'] = changed['val'] + 1
    np.savez(path, **changed)
    with pytest.raises(ValueError, match='val indices .* do not match'):
        partitions.load(path)
    with pytest.raises(FileNotFoundError, match='no partition file'):
        partitions.load(tmp_path / 'missing.npz')


def test_digest():
    assert partitions.digest([1, 2]) == partitions.digest(np.array([1, 2], np.int32))
    assert partitions.digest([1, 2]) != partitions.digest([2, 1])


def test_a_pool_limits_the_unlabelled_rows():
    labels = np.arange(200) % 4
    whole, some = (partitions.partition(labels, 4, budget='20', val='10', seed=1, pool=n) for n in (0, 50))
    assert len(whole.unlabeled) == 170 and len(some.unlabeled) == 50
    assert set(some.unlabeled) < set(whole.unlabeled) and np.array_equal(some.labeled, whole.labeled)
    with pytest.raises(ValueError, match='config.data.pool=171, but only 170 images'):
        partitions.partition(labels, 4, budget='20', val='10', seed=1, pool=171)
