"""Names of files, whatever they are: on lists, in hashes, on pages; and what is printed before training."""

import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from ssljax import label_set
from ssljax.config import base
from ssljax.data import names as naming
from ssljax.data import pick, sources, summary
from ssljax.storage import files
from ssljax.text import literal

PART = st.one_of(
    st.text(st.characters(exclude_characters='/\0'), min_size=1, max_size=6),  # surrogates, too
    st.text('#"\\ \n\r\t\u2028.1\udcff', min_size=1, max_size=5),
    st.integers(0, 30).map(str),
)
NAME = st.lists(PART, min_size=1, max_size=3).map('/'.join)


@settings(max_examples=50)
@given(names=st.lists(NAME, min_size=1, max_size=8, unique=True), data=st.data())
@example(names=['"b"', 'b', '"\\"b\\""', '1', '0'], data=None)
@example(names=['a/1.jpg', 'b/a/1.jpg', '1.jpg', './a/1.jpg', ' 1.jpg', '1.jpg ', '1.jpg # x'], data=None)
def test_a_list_reads_back_to_the_rows_it_was_written_from(tmp_path_factory, names, data):
    rows = range(len(names)) if data is None else data.draw(st.sets(st.sampled_from(range(len(names))), min_size=1))
    path = tmp_path_factory.mktemp('lists') / 'labels.txt'
    files.write_atomically(path, ''.join(naming.to_line(names[row]) + '\n' for row in rows))
    assert pick.listed(str(path), names, np.zeros(len(names), int)).tolist() == sorted(rows)


def test_plain_names_are_written_as_they_are():
    for name in ('cat/1.jpg', 'cat and dog/a b.jpg', "it's/é.png", 'train[5]', '12'):
        assert naming.to_line(name) == name


NAMES = ['C#/1.png', 'C/1.png', 'a/1.jpg', 'b/a/1.jpg', 'b/a b.jpg', 'caf\udce9/2.jpg', 'b/ c.jpg']


def rows(tmp_path, content, names=NAMES):
    path = tmp_path / 'list.txt'
    path.write_bytes(content)
    return pick.listed(str(path), names, np.zeros(len(names or range(20)), int)).tolist()


@pytest.mark.parametrize(
    ('content', 'expected'),
    [
        (b'C#/1.png', [0]),
        (b'C#/1.png # a comment # and more', [0]),
        (b'C/1.png#close', [1]),
        (b'# C#/1.png\n  # x\nC/1.png', [1]),
        (b'"C#/1.png"  # quoted', [0]),
        (b'a/1.jpg', [2]),
        (b'./a/1.jpg', [2]),
        (b'b/a/1.jpg', [3]),
        (b'a/1.jpg\nb/a/1.jpg', [2, 3]),
        (b'\xef\xbb\xbfa b.jpg  \r\n\r\n2.jpg\t\r\n', [4, 5]),
        ('a/1.jpg\r\na b.jpg'.encode('utf-16'), [2, 4]),
        ('\ufeffa/1.jpg\n'.encode('utf-16-be'), [2]),
        ('a/1.jpg\n'.encode('utf-16-le'), [2]),
        (b'caf\xe9/2.jpg', [5]),
        (b'b\\a b.jpg', [4]),
        (b' c.jpg', [6]),
        (b'c.jpg', None),
        (b'3 # a row', [3]),
        (b'1#/9.png', None),
        (b'C#/9.png', None),
    ],
)
def test_lists_of_many_makers(tmp_path, content, expected):
    if expected is None:
        with pytest.raises(ValueError, match='line 1: .* is not a training image'):
            rows(tmp_path, content)
    else:
        assert rows(tmp_path, content) == expected


def test_rows_without_names_and_text_that_is_none(tmp_path):
    assert rows(tmp_path, b'12#x\n 3 # y\n', None) == [3, 12]
    with pytest.raises(ValueError, match='not UTF-8 or UTF-16 text'):
        rows(tmp_path, b'\xff\xfea')


@settings(max_examples=50)
@given(st.text(st.characters(), max_size=8))
def test_what_is_shown_can_be_written(name):
    literal.clean(name).encode()
    if name.isprintable():
        assert literal.clean(name) == name
    assert literal.clean(b'caf\xe9'.decode(errors='surrogateescape')) == 'caf\\xe9'


@pytest.fixture
def odd(tmp_path):
    """A folder with names that are not UTF-8, have # and line ends."""
    names = '1.png', 'a\nb#.png', '\udcff.png'
    for i, name in enumerate(f'{c}/{n}' for c in ('C#', 'caf\udce9') for n in names):
        path = tmp_path / 'odd' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), i, np.uint8)).save(path, 'PNG')
    config = base()
    config.data.update(source=f'folder:{tmp_path}/odd', test='1/class', labels='all', val='1/class')
    return config


@pytest.mark.parametrize('path', ['auto', 'stream'])
def test_odd_names_go_all_the_way(odd, tmp_path, path):
    odd.data.path = path
    source = sources.load(odd.data)
    assert source.classes == ('C#', 'caf\\xe9') and len(source.train.digest()) == 64
    parts = label_set.rows(odd, source, None, 0, tmp_path / 'seed0')
    labels = source.train.labels
    assert pick.listed(tmp_path / 'seed0/labels.txt', source.train.names(), labels).tolist() == parts.labeled.tolist()
    files.write_json(tmp_path / 'result.json', {'classes': source.classes, 'names': source.train.names()})
    assert json.loads((tmp_path / 'result.json').read_text())['names'] == source.train.names()
    files.write_atomically(tmp_path / 'page.html', f'<p>{source.train.names()[0]}</p>')
    summary.text(source).encode()


def test_the_summary_counts_every_split(odd, capsys):
    summary.show(sources.load(odd.data))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith('odd: 4x4x1, 2 classes') and lines[1].split() == ['train', 'test']
    assert [line.split() for line in lines[2:]] == [['C#', '2', '1'], ['caf\\xe9', '2', '1'], ['total', '4', '2']]


def test_the_summary_of_many_classes_and_of_one(tmp_path):
    config = base().data
    config.source = 'synthetic:4x4x1:30'
    text = summary.text(sources.load(config))
    assert '30 classes' in text and '0, 1, 2' in text and '..., 29' in text and len(text.splitlines()) == 5
    assert [w for w in text.splitlines()[3].split() if w[0].isdigit()] == ['66-67', '16-17']
    labels = np.array([0, 0, -1])
    np.savez(tmp_path / 'a.npz', train_images=np.zeros((3, 4, 4), np.uint8), train_labels=labels,
             test_images=np.zeros((3, 4, 4), np.uint8), test_labels=labels)  # fmt: skip
    config.source = f'npz:{tmp_path}/a.npz'
    text = summary.text(sources.load(config))
    assert 'warning: all images are of one class' in text
    assert ['without', 'a', 'label', '1', '0'] in [line.split() for line in text.splitlines()]
