"""Images of one patient, product or burst stay on one side of every split."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssljax import seeds
from ssljax.data import partition as partitions
from ssljax.data import pattern, records, summary
from ssljax.data.partition import carve_test, choose, partition
from ssljax.data.split import ArrayImages, Split, apart, concat
from tests.data.test_csv import images, load  # noqa: F401 a fixture
from tests.data.test_sources import tree


@st.composite
def grouped(draw):
    """Labels of two or three classes, each in several groups, and the groups: -1 where an image is alone."""
    n = draw(st.integers(12, 120))
    random = np.random.default_rng(draw(st.integers(0, 999)))
    classes, count = draw(st.integers(2, 3)), draw(st.integers(3, 30))
    labels = random.integers(0, classes, n)
    groups = random.integers(-1, count, n)
    labels[: 2 * classes], groups[: 2 * classes] = np.tile(np.arange(classes), 2), -1
    return labels.astype(np.int32), groups


@given(grouped(), st.sampled_from(['10%', '30%', '1', '5', '1/class']), st.integers(0, 5))
@settings(max_examples=60)
def test_no_group_is_on_two_sides(data, amount, seed):
    """Of test and the rest, and of validation and all others; every class stays, and the amount is near."""
    labels, groups = data
    test = carve_test(labels, amount, groups=groups)
    rest = np.setdiff1d(np.arange(len(labels)), test)
    sizes = np.bincount(groups[groups >= 0])
    wanted = int(amount) if amount.isdecimal() else 0
    assert len(test) and not set(groups[test]) & set(groups[rest]) - {-1}
    assert set(labels[rest]) == set(labels)
    assert not wanted or len(test) <= wanted + sizes.max(initial=1)
    hidden = np.where(np.random.default_rng(seed).random(len(labels)) < 0.3, -1, labels)
    hidden[: 2 * (labels.max() + 1)] = labels[: 2 * (labels.max() + 1)]
    parts = partition(hidden, labels.max() + 1, budget='all', val=amount, seed=seed, groups=groups)
    used = np.concatenate([parts.labeled, parts.unlabeled])
    assert not set(groups[parts.val]) & set(groups[used]) - {-1} and not set(used) & set(parts.val)
    assert (hidden[parts.labeled] >= 0).all() and set(hidden[parts.labeled]) == set(labels)


@given(grouped(), st.integers(0, 5))
@settings(max_examples=20)
def test_without_groups_the_rows_are_what_they_were(data, seed):
    labels, _ = data
    plain = choose(labels, np.arange(len(labels)), '20%', name='x', key=(seed, 2), optional=True)
    parts = partition(labels, labels.max() + 1, budget='all', val='20%', seed=seed)
    assert parts.val.tolist() == plain.tolist()
    assert partitions.digest(carve_test(np.arange(300) % 3, '10%')).startswith('dfcaea4c')


@pytest.mark.parametrize('amount', ['10%', '20%', '100'])
def test_classes_keep_their_shares(amount):
    """Of 200 groups of 1 to 9 images of one class each, or of mixed ones."""
    random = np.random.default_rng(0)
    sizes = random.integers(1, 10, 200)
    groups = np.repeat(np.arange(200), sizes)
    for labels in (np.repeat(random.choice(3, 200, p=[0.6, 0.3, 0.1]), sizes), random.choice(3, len(groups))):
        rows = carve_test(labels, amount, groups=groups)
        wanted = 100 if amount == '100' else len(labels) * float(amount[:-1]) / 100
        assert abs(len(rows) - wanted) < 9
        shares = [np.bincount(labels[r], minlength=3) / len(r) for r in (rows, np.arange(len(labels)))]
        assert np.abs(shares[0] - shares[1]).max() < 0.06


def test_seeds_draw_other_groups_and_the_same_seed_the_same():
    labels, groups = np.arange(90) % 3, np.arange(90) // 5
    drawn = [partition(labels, 3, budget='all', val='20%', seed=s, groups=groups).val.tolist() for s in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_what_cannot_be_kept_apart_is_refused():
    with pytest.raises(ValueError, match="data.test='20%': none of the 2 groups of images can"):
        carve_test(np.repeat([0, 1], 10), '20%', groups=np.repeat([0, 1], 10))


def test_large_groups_are_taken_whole_and_told(caplog):
    rows = carve_test(np.arange(40) % 2, '10%', groups=np.arange(40) // 10)
    assert len(rows) == 10 and 'groups are kept together, so 10 images in 1 group are taken' in caplog.text


def test_images_of_a_list_keep_their_groups_out_of_validation(tmp_path):
    (tmp_path / 'list.txt').write_text('0\n1\n')
    labels, groups = np.arange(20) % 2, np.arange(20) // 4
    for seed in range(4):
        parts = partition(labels, 2, budget=f'list:{tmp_path}/list.txt', val='4', seed=seed, groups=groups)
        assert parts.labeled.tolist() == [0, 1] and not set(parts.val) & {0, 1, 2, 3}


def test_a_split_carries_its_groups():
    split = Split(ArrayImages(np.zeros((4, 2, 2, 1), np.uint8)), [0, 1, 0, 1], groups=np.array([0, 0, 1, -1]))
    plain = Split(ArrayImages(np.zeros((1, 2, 2, 1), np.uint8)), [0])
    assert split.take([2, 0]).groups.tolist() == split.hide().relabel([0] * 4).take([2, 0]).groups.tolist() == [1, 0]
    assert concat([plain, split]).groups.tolist() == [-1, 0, 0, 1, -1] and concat([plain, plain]).groups is None
    assert apart(split, split.take([0])).rows.tolist() == [2, 3] and apart(split, plain) is split


ROWS = [('0', 'cat', 'a'), ('1', 'dog', 'a'), ('2', 'cat', 'b'), ('3', 'dog', 'b'), ('4', 'cat', 'c'),
        ('5', 'dog', 'c'), ('6', 'cat', ''), ('7', 'dog', ''), ('8', '', 'a'), ('9', '', 'c')]  # fmt: skip


def test_groups_of_a_csv(images):  # noqa: F811
    """Unlabelled images of a test group, and of a validation group of a seed, are seen by nobody."""
    s = load(images('path,label,group\n' + ''.join(f'{p}.png,{c},{g}\n' for p, c, g in ROWS)), test='2')
    group = {f'{p}.png': g or p for p, _, g in ROWS}
    of = lambda split: {group[n] for n in split.names()}
    assert len(s.test) == 2 and not of(s.test) & (of(s.train) | of(s.unlabeled))
    assert 'groups' in summary.text(s)
    for seed in range(6):
        rows = partition(s.train.labels, 2, budget='all', val='2', seed=seed, groups=s.train.groups)
        shown = seeds.unlabeled_images(s, rows)
        assert not of(s.train.take(rows.val)) & of(shown) and set(of(s.train.take(rows.labeled))) <= of(shown)


def test_images_that_are_labelled_later_keep_their_group(images):  # noqa: F811
    source = images('path,label,group\n' + ''.join(f'{p}.png,{c},{g}\n' for p, c, g in ROWS))
    plain = load(source, test='2')
    name = plain.unlabeled.names()[0]
    s = load(source, test='2', annotations=images(f'path,label\n{name},cat\n', 'more.csv').removeprefix('csv:'))
    assert s.train.names()[-1] == name and s.train.groups[-1] == plain.unlabeled.groups[0] >= 0


def test_a_group_in_two_given_splits(images):  # noqa: F811
    text = 'path,label,group,split\n' + ''.join(f'{p}.png,{c},{g},{"test" if p in "3,5" else ""}\n' for p, c, g in ROWS)
    said = r"the group 'b' is in two splits, train \(line 4\) and test \(line 5\) \(one of 2 such groups: 'b', 'c'\)"
    with pytest.raises(ValueError, match=said):
        load(images(text))


def test_groups_in_the_names_of_files(tmp_path, caplog):
    names = [f'{c}/p{g}_{i}.png' for c in ('cat', 'dog') for g in range(5) for i in range(3)]
    s = load(f'folder:{tree(tmp_path, [*names, "cat/other.png"])}', pattern='{group}_{}.png')
    group = lambda split: {n.split('/')[1].split('_')[0] for n in split.names()}
    assert s.classes == ('cat', 'dog') and not group(s.train) & group(s.test) and 0 < len(s.test) <= 6
    assert '1 images do not match' in caplog.text
    flat = tree(tmp_path / 'flat', [n.replace('/', '-') for n in names])
    s = load(f'folder:{flat}', pattern='{label}-{group}_{}.png')
    assert s.classes == ('cat', 'dog') and len(np.unique(np.concatenate([s.train.groups, s.test.groups]))) == 5


def test_ids_of_groups():
    assert records.group_ids(['b', '', 'a', 'b']).tolist() == [1, -1, 0, 1] and records.group_ids(['', '']) is None
    assert pattern.match('{group}-{}', ['x-1'])[0]['group'] == 'x'
