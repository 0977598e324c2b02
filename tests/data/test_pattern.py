"""Labels from the names of files."""

import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssljax import config as configs
from ssljax.data import pattern
from tests.data.test_sources import load, tree

KAGGLE = [f'train/{c}.{i}.png' for c in ('cat', 'dog') for i in range(6)] + ['test1/1.png', 'test1/2.png']


def classes(text, *names):
    return [m and m['label'] for m in pattern.match(text, names)]


def test_parts_of_a_name():
    assert classes('{label}.{}.jpg', 'cat.1.jpg', 'a/dog.2.jpg', 'x.jpg') == ['cat', 'dog', None]
    assert classes('{label}_{}.jpg', 'american_bulldog_100.jpg') == ['american_bulldog']  # as long as it can be
    assert classes(r'(?P<label>[a-z]+)\d+\.jpg', 'cat12.jpg', 'dog3.jpg') == ['cat', 'dog']
    assert classes('{label}/{}.jpg', 'x/cat/1.jpg') == ['cat']  # as many folders as it has slashes
    assert classes('{label} ({}).jpg', 'a+b (1).jpg') == ['a+b']  # the rest of a name is no expression
    found = pattern.match('{label}-{group}-{}.png', ['cat-p1-3.png'])[0]
    assert found.groupdict() == {'label': 'cat', 'group': 'p1'}


@given(st.lists(st.from_regex(r'[^/{}.\0\n\r]+', fullmatch=True), min_size=2, max_size=2))
def test_a_name_of_parts_without_the_mark_comes_apart(parts):
    assert classes('{label}.{}.jpg', '.'.join([*parts, 'jpg'])) == [parts[0]]


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('{}.jpg', 'neither {label} nor {group}'),
        ('cat', 'neither {label} nor {group}'),
        ('{lable}.jpg', r'it has {lable} \(did you mean label\?\); known are label, group and split'),
        ('{label}{label}', 'it has {label} twice'),
        ('(?P<label>[a-z', 'it is not a regular expression'),
        ('(?P<klass>x)(?P<label>y)', "the group 'klass'"),
        ('{group}_{split}.png', 'split} without {label}'),
    ],
)
def test_patterns_that_say_nothing_are_refused(text, said):
    with pytest.raises(ValueError, match=said):
        configs.definitions()['data.pattern'].fits(text)


def test_a_flat_folder_with_splits(tmp_path, caplog):
    where = tree(tmp_path / 'a', KAGGLE)
    with pytest.raises(ValueError, match=r"begin with the class, set --config.data.pattern='\{label\}.\{\}.png'"):
        load(f'folder:{where}')
    s = load(f'folder:{where}', pattern='{label}.{}.png', test='2')
    assert s.classes == ('cat', 'dog') and len(s.train) == 10 and not len(s.unlabeled)
    assert '2 test images do not match' in caplog.text and 'test images of' in caplog.text
    assert all(s.classes[c] in n for n, c in zip(s.train.names(), s.train.labels))
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w') as archive:
        for name in KAGGLE:
            archive.write(where / name, name)
    assert load(f'folder:{tmp_path}/a.zip', pattern='{label}.{}.png', test='2').train.digest() == s.train.digest()


def test_what_does_not_match_is_unlabelled(tmp_path, caplog):
    where = tree(tmp_path, [*KAGGLE[:12], 'train/7.png', 'unlabeled/cat.77.png'])
    s = load(f'folder:{where}', pattern='{label}.{}.png', test='2')
    assert sorted(s.unlabeled.names()) == ['train/7.png', 'unlabeled/cat.77.png']
    assert "1 train images do not match config.data.pattern='{label}.{}.png', such as 'train/7.png'" in caplog.text


def test_the_split_in_a_name(tmp_path):
    where = tree(tmp_path, [f'{s}_{c}_{i}.png' for s in ('train', 'valid') for c in ('cat', 'dog') for i in range(3)])
    s = load(f'folder:{where}', pattern='{split}_{label}_{}.png')
    assert s.classes == ('cat', 'dog') and np.bincount(s.test.labels).tolist() == [3, 3]
    with pytest.raises(ValueError, match="the image 'train_cat_0.png' is of the split 'cat', which is unknown"):
        load(f'folder:{where}', pattern='{}_{split}_{label}.png')


def test_wrong_patterns(tmp_path):
    where = tree(tmp_path, [*KAGGLE[:12], 'val/cow.1.png'])
    with pytest.raises(
        ValueError, match=r"jpg' matches none of the 13 names, which look like 'cat.0.png', .*: it must be a"
    ):
        load(f'folder:{where}', pattern='{label}.{}.jpg')
    with pytest.raises(ValueError, match='matches none.*must match the whole name, so add .* at its end'):
        load(f'folder:{where}', pattern=r'(?P<label>[a-z]+)')
    with pytest.raises(ValueError, match="'val/cow.1.png': the class 'cow' of the val split has no training images"):
        load(f'folder:{where}', pattern='{label}.{}.png')
    with pytest.raises(ValueError, match="data.pattern='{label}.{}' does not go with .*'digits'"):
        load('digits', pattern='{label}.{}')


@pytest.mark.parametrize(
    ('names', 'found'),
    [
        (['cat.0.jpg', 'cat.1.jpg', 'dog.0.jpg', 'dog.1.jpg'], '{label}.{}.jpg'),
        (['cat_0.jpg', 'cat_1.png', 'dog_0.jpg', 'dog_1.jpg'], '{label}_{}'),
        (['cat0.jpg', 'cat1.jpg', 'dog0.jpg', 'dog1.jpg'], r'(?P<label>[^\W\d_]+).*'),
        (['cat.0.1.jpg', 'cat.1.2.jpg', 'dog.0.3.jpg', 'dog.1.4.jpg'], r'(?P<label>[^\W\d_]+).*'),
        ([f'IMG_{i}.jpg' for i in range(9)], ''),
        (['a.jpg', 'b.jpg'], ''),
    ],
)
def test_the_pattern_that_is_advised_reads_the_names(names, found):
    assert pattern.advice(names) == found
    if found:
        assert {m['label'] for m in pattern.match(found, names)} == {'cat', 'dog'}
