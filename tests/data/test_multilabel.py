"""Labels that name several classes: read from a CSV or an .npz, divided, and given later."""

import re

import numpy as np
import pytest
from PIL import Image

from ssljax.config import base
from ssljax.data import partition as partitions
from ssljax.data import sources, strata, summary
from ssljax.targets import MultiLabel, OneClass, multilabel, of

ROWS = [
    ('cat;dog', ''),
    ('dog', ''),
    ('cat', ''),
    ('dog; cat;cat', ''),
    (';', ''),
    ('', ''),
    ('dog', 'test'),
    (';', 'test'),
]


@pytest.fixture
def folder(tmp_path):
    """Images 0.png to 7.png and the CSV of ROWS."""
    for i in range(len(ROWS)):
        Image.fromarray(np.full((4, 4), 9 * i, np.uint8)).save(tmp_path / f'{i}.png')
    write(tmp_path, ROWS)
    return tmp_path


def write(folder, rows):
    lines = [f'{i}.png,{label},{split}\n' for i, (label, split) in enumerate(rows)]
    (folder / 'labels.csv').write_text('path,label,split\n' + ''.join(lines))


def load(source, **fields):
    config = base().data
    config.update(source=source, **fields)
    return sources.load(config)


def said(source, split):
    return [source.targets.text(label, source.classes) if label >= 0 else None for label in split.labels]


def test_rows_of_several_classes(folder, caplog):
    source = load(f'csv:{folder}/labels.csv')
    assert source.classes == ('cat', 'dog') and isinstance(source.targets, MultiLabel)
    assert said(source, source.train) == ['cat;dog', 'dog', 'cat', 'cat;dog', ';']
    assert said(source, source.test) == ['dog', ';'] and len(source.unlabeled) == 1
    assert source.targets.hot(source.train.labels).tolist() == [[1, 1], [0, 1], [1, 0], [1, 1], [0, 0]]
    assert source.targets.counts(source.train.labels).tolist() == [3, 3]
    assert "multi-label, since line 2 has 'cat;dog'" in caplog.text and '--config.data.multilabel=no' in caplog.text
    shown = summary.text(source)
    assert 'any number of them per image (multi-label)' in shown and 'none of the classes' in shown
    assert re.search(r'total +5 +2', shown)


def test_a_field_decides_against_the_rows(folder):
    plain = load(f'csv:{folder}/labels.csv', multilabel='no')
    assert isinstance(plain.targets, OneClass) and 'cat;dog' in plain.classes and ';' in plain.classes
    write(folder, [('cat', ''), ('dog', ''), ('cat', 'test'), ('dog', 'test')])
    assert load(f'csv:{folder}/labels.csv').sets is None
    source = load(f'csv:{folder}/labels.csv', multilabel='yes')
    assert source.sets.tolist() == [[1, 0], [0, 1]]
    with pytest.raises(
        ValueError, match="data.multilabel='yes' does not go with .*'digits', only with 'folder:PATH' or"
    ):
        load('digits', multilabel='yes')


def test_what_a_label_cannot_be(folder):
    write(folder, [('a;b', ''), ('b', ''), ('b;c', 'test')])
    with pytest.raises(ValueError, match="line 4: the class 'c' of the test split has no training images"):
        load(f'csv:{folder}/labels.csv')
    write(folder, [(';', ''), (';', '')])
    with pytest.raises(ValueError, match='No training image in .* has a class'):
        load(f'csv:{folder}/labels.csv')
    write(folder, [(f'a;{"x" * 101}', '')])
    with pytest.raises(ValueError, match='line 2: the label has 101 characters'):
        load(f'csv:{folder}/labels.csv')


def test_labels_that_are_given_later(folder):
    given = folder.parent / 'given.csv'
    given.write_text('path,label\n5.png,dog\n5.png,cat ; dog\n')
    before = load(f'csv:{folder}/labels.csv')
    source = load(f'csv:{folder}/labels.csv', annotations=str(given))
    assert said(source, source.train)[-1] == 'cat;dog' and len(source.train) == 6
    assert len(source.sets) == len(before.sets), 'there was an image with both'
    given.write_text('path,label\n5.png,dog;cow\n')
    with pytest.raises(ValueError, match="line 2: the class 'cow' is not one of"):
        load(f'csv:{folder}/labels.csv', annotations=str(given))
    write(folder, [('cat;dog', ''), ('dog', ''), ('cat;dog', 'test'), ('dog', 'test'), ('', '')])
    given.write_text('path,label\n4.png,;\n')
    source = load(f'csv:{folder}/labels.csv', annotations=str(given))
    assert said(source, source.train)[-1] == ';' and not source.sets[-1].any(), 'a set that no image had before'


def test_an_npz_of_zeros_and_ones(tmp_path):
    images, hot = (
        np.zeros((6, 4, 4), np.uint8),
        np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0], [1, 1, 1], [-1] * 3, [0, 1, 0]]),
    )
    np.savez(tmp_path / 'a.npz', train_images=images, train_labels=hot, test_images=images, test_labels=hot)
    source = load(f'npz:{tmp_path}/a.npz')
    assert source.classes == ('0', '1', '2')
    known = hot[hot[:, 0] >= 0]
    assert source.targets.hot(source.train.labels).tolist() == np.maximum(hot, 0).tolist()
    assert source.targets.hot(source.test.labels).tolist() == known.tolist() and source.unknown == {'test': 1}
    one = np.eye(3, dtype=int)[[0, 1, 2, 0, 1, 2]]
    np.savez(tmp_path / 'b.npz', train_images=images, train_labels=one, test_images=images, test_labels=one)
    assert load(f'npz:{tmp_path}/b.npz').sets is None
    assert load(f'npz:{tmp_path}/b.npz', multilabel='yes').sets.sum() == 3
    with pytest.raises(ValueError, match='not one-hot: row 0 .*multilabel=yes'):
        load(f'npz:{tmp_path}/a.npz', multilabel='no')


def test_labels_as_text_go_round():
    assert multilabel.parsed(' b;a; a;') == ('a', 'b') and multilabel.parsed(';') == ()
    rows, sets = multilabel.table([('a', 'b'), None, (), ('b',)], ['a', 'b'])
    assert [multilabel.written(['a', 'b'], sets[row]) for row in rows if row >= 0] == ['a;b', ';', 'b'] and rows[
        1
    ] == -1
    shade = of(2, sets).shade(rows)
    assert shade.tolist() == [0, -1, -1, 1], "'a' is rarer"


def labelled(n=600, seed=0):
    """(labels, sets) of images whose classes have shares from 1 to 40%."""
    hot = np.random.default_rng(seed).random((n, 8)) < np.linspace(0.01, 0.4, 8)
    sets, labels = np.unique(hot, axis=0, return_inverse=True)
    return labels.ravel().astype(np.int32), sets.astype(np.uint8)


def test_every_class_keeps_its_share():
    labels, sets = labelled()
    hot = sets[labels]
    for seed in range(3):
        parts = [
            partitions.partition(labels, 8, budget=b, val='20%', seed=seed, sets=sets) for b in ('50', '200', 'all')
        ]
        assert [len(p.labeled) for p in parts] == [50, 200, 480] and len(parts[0].val) == 120
        assert set(parts[0].labeled) < set(parts[1].labeled) < set(parts[2].labeled), 'nested'
        for rows in (parts[1].labeled, parts[0].val):
            expected = hot.sum(0) * len(rows) / 600
            assert np.all(np.abs(hot[rows].sum(0) - expected) <= np.maximum(0.15 * expected, 1.5))
        drawn = np.random.default_rng(seed).permutation(600)[:50]
        far = lambda rows: np.abs(hot[rows].mean(0) - hot.mean(0)).sum()
        assert far(parts[0].labeled) < far(drawn) and hot[parts[0].labeled].any(0).all()


def test_what_is_left_of_each_class_and_what_is_too_much():
    labels, sets = labelled(60)
    found = partitions.partition(labels, 8, budget='all', val='40', seed=0, sets=sets)
    has = sets[labels].sum(0)
    assert len(found.val) == 40 and np.all(sets[labels][found.labeled].sum(0)[has > 0] >= 1)
    assert len(partitions.partition(labels, 8, budget='2/class', val='0', seed=0, sets=sets).labeled) == 16
    with pytest.raises(ValueError, match=r"data.labels='10/class' \(80 images\), but only 60 images .* or all"):
        partitions.partition(labels, 8, budget='10/class', val='0', seed=0, sets=sets)
    assert len(strata.first(np.zeros((5, 2), bool), np.arange(5), 3)) == 3, 'images of no class'


def test_groups_stay_together():
    labels, sets = labelled(300)
    groups = np.arange(300) // 5
    found = partitions.partition(labels, 8, budget='all', val='60', seed=0, sets=sets, groups=groups)
    assert not set(groups[found.val]) & set(groups[found.labeled]) and 45 <= len(found.val) <= 75
    hot = sets[labels]
    assert np.abs(hot[found.val].mean(0) - hot.mean(0)).max() < 0.08
