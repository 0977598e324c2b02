"""Labels from a CSV: as people write it, and everything that can be wrong with one."""

import csv
import io
import os
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ssljax import label_set
from ssljax.config import base
from ssljax.data import sources, summary, table
from ssljax.records import recorded


def load(source, **fields):
    config = base().data
    config.update(source=str(source), **fields)
    return sources.load(config)


def png(seed, shape=(6, 5, 3)):
    array = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, 'PNG')
    return buffer.getvalue()


@pytest.fixture
def images(tmp_path):
    """A flat folder of ten images, and a function that writes a CSV beside them."""
    for i in range(10):
        (tmp_path / f'{i}.png').write_bytes(png(i))

    def write(text, name='labels.csv', encoding='utf-8'):
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        return f'csv:{tmp_path / name}'

    write.folder = tmp_path
    return write


ROWS = [(f'{i}.png', 'cat' if i % 2 else 'dog') for i in range(8)]
PLAIN = 'path,label\n' + ''.join(f'{p},{c}\n' for p, c in ROWS)


def counts(source):
    return {
        name: [os.path.basename(n) for n in split.names()] if split is not None and split.names() else None
        for name in ('train', 'val', 'test', 'unlabeled')
        for split in [getattr(source, name)]
    }


def test_what_is_not_listed_or_has_no_label_is_unlabelled(images):
    s = load(images(PLAIN + '8.png,\n'), test='2')
    assert s.classes == ('cat', 'dog') and s.val is None
    assert counts(s)['unlabeled'] == ['8.png', '9.png'] and s.unlabeled.labels.tolist() == [-1, -1]
    assert len(s.train) == 6 and len(s.test) == 2
    for split in (s.train, s.test):
        assert all((s.classes[c] == 'cat') == int(n[0]) % 2 for n, c in zip(split.names(), split.labels))
    assert '2 unlabelled' in summary.text(s)


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16', 'utf-16-le', 'utf-16-be'])
@pytest.mark.parametrize('mark', [',', ';', '\t'])
def test_encodings_and_marks(images, encoding, mark):
    lines = ['', 'sep=;', 'Label ; note; FileName'] if mark == ';' else [' Label ; note; FileName ']
    rows = [*lines, *(f'{c}é; "a{mark}b";{p}' if i else f'{c}é;;./{p}' for i, (p, c) in enumerate(ROWS)), '', '']
    text = '\r\n'.join(rows).replace('; "', ';"').replace(';', mark).replace(f'sep={mark}', 'sep=;')
    s = load(images(text, encoding=encoding), test='2')
    assert s.classes == ('caté', 'dogé') and len(s.train) == 6


def test_splits(images):
    splits = ['train', 'TRAIN', '', 'Training', 'valid', 'val', 'test', 'test_set']
    text = 'split,path,label\n' + ''.join(f'{s},{p},{c}\n' for s, (p, c) in zip(splits, ROWS))
    s = load(images(text + 'unlabeled,8.png,cat\ntest,9.png,\n'))
    assert counts(s) == {
        'train': ['0.png', '1.png', '2.png', '3.png'],
        'val': ['4.png', '5.png'],
        'test': ['6.png', '7.png'],  # 9.png has no label, and is not trained on either
        'unlabeled': ['8.png'],
    }
    s = load(images(text.replace('test_set', 'val').replace('test', 'val')))
    assert s.val is None and len(s.test) == 4


def test_the_order_of_the_lines_does_not_matter(images):
    first = load(images(PLAIN))
    lines = PLAIN.splitlines(keepends=True)
    again = load(images(lines[0] + ''.join(reversed(lines[1:]))))
    assert first.train.digest() == again.train.digest() and first.test.digest() == again.test.digest()


def test_paths_from_elsewhere_links_and_ends_of_paths(images, tmp_path_factory):
    other = tmp_path_factory.mktemp('other')
    for name in ('far.png', 'near.png'):
        (other / name).write_bytes(png(name == 'far.png'))
    (images.folder / 'deep').mkdir()
    (images.folder / 'deep/inner.png').write_bytes(png(77))
    os.symlink(images.folder / '9.png', images.folder / 'link.png')
    up = os.path.relpath(other / 'near.png', images.folder)
    text = PLAIN + f'{other}/far.png,cat\n{up},dog\nlink.png,cat\ninner.png,dog\n'
    s = load(images(text), test='2')
    names = [*s.train.names(), *s.test.names()]
    assert {os.path.realpath(other / n) for n in ('far.png', 'near.png')} < set(names)
    assert '9.png' in names and 'deep/inner.png' in names and counts(s)['unlabeled'] == ['8.png']
    assert s.train.read(np.arange(len(s.train))).shape == (10, 6, 5, 3)
    s = load(images('path,label\ndeep\\inner.png,cat\n0.png,dog\n1.png,dog\n'), test='1')
    assert 'deep/inner.png' in s.train.names()


@pytest.mark.parametrize('where', ['beside', 'elsewhere'])
def test_images_in_an_archive(images, tmp_path_factory, where):
    place = images.folder if where == 'beside' else tmp_path_factory.mktemp('archives')
    with zipfile.ZipFile(place / 'photos.zip', 'w') as archive:
        for i in range(10):
            archive.writestr(f'top/{i}.png', png(i))
    given = 'photos.zip' if where == 'beside' else str(place / 'photos.zip')
    for text in (PLAIN, PLAIN.replace('\n', '\ntop/', 8)):
        s = load(images(text), images=given, test='2')
        assert len(s.train) == 6 and counts(s)['unlabeled'] == ['8.png', '9.png']
    with pytest.raises(ValueError, match=r"line 10: there is no image '12.png': paths are relative to .*photos.zip"):
        load(images(PLAIN + '12.png,cat\n'), images=given)
    with pytest.raises(FileNotFoundError, match='no folder or archive .*others.zip'):
        load(images(PLAIN), images='others.zip')
    with pytest.raises(ValueError, match="data.images='x' does not go with .*'digits', only with 'csv:PATH'"):
        load('digits', images='x')


WRONG = {
    'missing file': (PLAIN + 'x.png,cat\ny.png,cat\n', r"line 10: there is no image 'x.png' \(2 of 10 lines"),
    'no ending': (PLAIN + '8,cat\n', "line 10: there is no image '8': '8.png' is there: add the file ext"),
    'twice': (PLAIN + './3.png,cat\n', r"line 10: './3.png' is already on line 5: remove one"),
    'twice with another label': (PLAIN + '3.png,dog\n', 'line 10: .* is already on line 5'),
    'no path': (PLAIN + ',cat\n', 'line 10: the path is empty'),
    'split': ('path,label,split\n0.png,cat,tarin\n', "line 2: unknown split 'tarin': use train, val"),
    'fold': ('path,label,split\n0.png,cat,3\n', "line 2: unknown split '3'"),
    'test class': (
        'path,label,split\n0.png,cat,\n1.png,dog,\n\n2.png,cow,test\n',
        "line 5: the class 'cow' of the test split has no training images; those that do are 'cat', 'dog'",
    ),
    'no labels': ('path,label\n0.png,\n1.png\n', 'No training image in .* has a label'),
    'no rows': ('path,label\n\n', 'lists no image'),
    'nothing': ('', 'is empty: its first line must name the columns'),
    'no header': ('0.png,cat\n1.png,dog\n', "line 1: its columns are '0.png', 'cat', but none is called path"),
    'another header': (
        'path,lable\n0.png,cat\n',
        r"none is called label \('lable' is close to 'label'\). .* separated by",
    ),
    'spaces': ('path label\n0.png cat\n', "its columns are 'path label', but none is called path or label. "),
    'capitals': (PLAIN + '8.PNG,cat\n', "no image '8.PNG': '8.png' is there: upper and lower case differ"),
    'a novel': (PLAIN + f'8.png,{"x" * 101}\n', 'line 10: the label has 101 characters; the limit is 100'),
    'a class each': ('path,label\n' + ''.join(f'{i}.png,c{i}\n' for i in range(9)), 'Each of the 9 .* its own, such'),
    'twice a column': ('path,label,path\n0.png,cat,1.png\n', "line 1: there are 2 columns called 'path'"),
    'a comma too many': (
        PLAIN + '8.png,a cat, asleep\n',
        'line 10: it has 3 columns, but the header has 2.*quotes around',
    ),
    'a quote': (PLAIN + '8.png,"cat\n9.png,dog\n', 'line 10: it cannot be read as CSV .* quote not closed'),
    'latin-1': ('path,label\n0.png,h\xfcndin\n'.encode('latin-1'), 'line 2: the label is not in UTF-8: save'),
    'binary': (b'PK\3\4\0\0\0\0', 'is not a text file: give a CSV'),
}


@pytest.mark.parametrize('name', WRONG)
def test_what_is_wrong_is_told_with_its_line(images, name):
    text, message = WRONG[name]
    with pytest.raises(ValueError, match=message):
        load(images(text))


def test_two_images_of_one_end(images):
    for folder in ('a', 'b'):
        (images.folder / folder).mkdir()
        (images.folder / folder / 'x.png').write_bytes(png(folder == 'a'))
    with pytest.raises(ValueError, match=r"line 10: 'x.png' could be 2 images \('a/x.png', 'b/x.png'\): write more"):
        load(images(PLAIN + 'x.png,cat\n'))


def test_no_such_file(images):
    with pytest.raises(ValueError, match='x.xlsx. is not a text file: save the sheet as CSV'):
        load(images(b'PK\3\4\0\0\0\0', 'x.xlsx'))
    with pytest.raises(FileNotFoundError, match='no file .*none.csv'):
        load(f'csv:{images.folder}/none.csv')
    with pytest.raises(ValueError, match='is a folder: give a CSV file'):
        load(f'csv:{images.folder}')
    with pytest.raises(ValueError, match="'csv' needs more after the colon: use 'csv:PATH'"):
        load('csv:')


def test_odd_classes_are_warned_of(images, caplog):
    load(images(PLAIN + '8.png,Cat\n9.png,nan\n'), test='1')
    assert "'Cat' and 'cat' differ only in case" in caplog.text
    assert "'nan' is treated as a class" in caplog.text
    load(images(PLAIN.replace('path,label', 'path,label,age').replace('\n', ',3\n', 9).replace('age,3', 'age')))
    assert "ignoring the columns 'age'" in caplog.text


def test_a_folder_with_one_csv_and_no_class_folders(images, caplog):
    images(PLAIN)
    images('id,score\n1,2\n', 'scores.csv')
    s = load(f'folder:{images.folder}', test='2')
    assert s.classes == ('cat', 'dog') and counts(s)['unlabeled'] == ['8.png', '9.png']
    assert 'has no class folders: the labels are those of' in caplog.text
    config = base()
    config.data.update(source=f'folder:{images.folder}', test='2', labels='2', val='1')
    (images.folder / 'list.txt').write_text('0.png\n1.png\n')
    config.data.labels = f'list:{images.folder}/list.txt'
    rows = label_set.rows(config, s, None, 0, images.folder / 'run')
    assert [s.train.names()[r] for r in rows.labeled] == ['0.png', '1.png']
    images(PLAIN, 'more.tsv')
    with pytest.raises(ValueError, match=r'several files with labels \(.*labels.csv.*more.tsv'):
        load(f'folder:{images.folder}')


def test_class_folders_go_before_a_csv(images, caplog):
    for i in range(10):
        (images.folder / 'ab'[i % 2]).mkdir(exist_ok=True)
        (images.folder / f'{i}.png').rename(images.folder / f'{"ab"[i % 2]}/{i}.png')
    images(PLAIN)
    assert load(f'folder:{images.folder}').classes == ('a', 'b')
    assert "labels.csv' is not read" in caplog.text
    assert load(f'csv:{images.folder}/labels.csv').classes == ('cat', 'dog')  # by the ends of the paths


def test_a_csv_of_further_unlabelled_images(images):
    more = images('path\n2.png\n9.png\n', 'more.csv')
    s = load('digits', unlabeled=more, image_size=8, channels=1)
    assert counts(s)['unlabeled'] == ['2.png', '9.png']


def test_annotations(images):
    source = images(PLAIN, 'labels.csv')
    before = load(source, test='2')

    def annotated(text, **fields):
        path = images.folder / 'more.csv'
        path.write_text('path,label\n' + text)
        return load(source, test='2', annotations=str(path), **fields)

    s = annotated(f'8.png,cat\n9.png,cat\n{images.folder}/8.png,dog\n9.png,\n')
    assert s.test.digest() == before.test.digest() and counts(s)['unlabeled'] == ['9.png']
    assert s.train.names() == [*before.train.names(), '8.png'] and s.train.labels[-1] == 1 and not s.train.replaces
    assert np.array_equal(s.train.read([6]), np.asarray(Image.open(images.folder / '8.png'))[None])
    assert not len(annotated('8.png,cat\n9.png,dog\n').unlabeled)
    assert annotated('').train.digest() == before.train.digest()
    named = f'{before.train.names()[0]},{before.classes[before.train.labels[0]]}\n{before.train.names()[1]},\n'
    assert annotated(named).train.digest() == before.train.digest()
    other = before.classes[1 - before.train.labels[0]]
    for text, message in {
        '8.png,cow\n': r"line 2: the class 'cow' .*is not one of .*: cat, dog",
        '8.png,cat\nx.png,cat\n': "line 3: 'x.png' is not an unlabelled image: names look like '8.png'",
        f'{before.train.names()[0]},{other}\n': "line 2: .* is already labelled '.*' in the data: correct",
        f'{before.test.names()[0]},cat\n': 'line 2: .* is a test image',
    }.items():
        with pytest.raises(ValueError, match=message):
            annotated(text)
    with pytest.raises(FileNotFoundError, match='config.data.annotations: there is no file'):
        load(source, annotations='nowhere.csv')
    with pytest.raises(ValueError, match="annotations='x.csv' does not go with .*'digits'"):
        load('digits', annotations='x.csv')
    config = base()
    config.data.annotations = str(images.folder / 'more.csv')
    assert recorded.named(config) == {'data.annotations': config.data.annotations}


@given(
    st.lists(st.tuples(st.text(min_size=1), st.text()), min_size=1, max_size=5),
    st.sampled_from(sorted(table.MARKS)),
    st.booleans(),
)
def test_what_a_writer_writes_is_read(tmp_path_factory, rows, mark, quoted):
    """Cells of any text without line ends come back: labels but for white space around them, paths as they are."""
    clean = lambda s: ''.join(' ' if c in '\r\n\0' or '\ud800' <= c <= '\udfff' else c for c in s)
    rows = [(clean(a), clean(b)) for a, b in rows]
    path = tmp_path_factory.mktemp('tables') / 'x.csv'
    with open(path, 'w', newline='', encoding='utf-8') as f:
        writer = csv.writer(f, delimiter=mark, quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL)
        writer.writerows([('label', 'path'), *rows])
    found = [(row.values['label'], row.values['path']) for row in table.read(path, 'x').rows]
    assert found == [(a.strip(), table._path(b)) for a, b in rows if a.strip() or b.strip()]


@pytest.mark.parametrize('name', ['=cmd.png', '+1.png', '-2.png', '@x.png', ' a.png', 'b.png ', './=y.png'])
def test_a_name_survives_a_spreadsheet(name, tmp_path):
    """What a spreadsheet would compute is written as the same file in another way, and read as it was."""
    cell = table.written(name)
    assert cell[0] not in '=+-@' and (tmp_path / cell) == (tmp_path / name)
    with open(tmp_path / 'x.csv', 'w', newline='') as f:
        csv.writer(f).writerows([('path', 'label'), (cell, 'cat')])
    assert table.read(tmp_path / 'x.csv', 'x').rows[0].values['path'] == name.removeprefix('./')


def test_names_with_spaces_around_them_and_formulas_are_found(images):
    """As they are written first, and then without the spaces that people leave after a comma."""
    names = {' a.png': 1, 'b.png ': 2, '=c.png': 3}
    for name, seed in names.items():
        (images.folder / name).write_bytes(png(seed + 20))
    written = [' a.png', 'b.png ', './=c.png', ' 4.png', '5.png ']
    lines = [f'{name},{"xy"[i % 2]},train' for i, name in enumerate(written)]
    source = load(images('path,label,split\n' + '\n'.join([*lines, '6.png,x,test', '7.png,y,test']), 'odd.csv'))
    assert sorted(source.train.names()) == sorted([*names, '4.png', '5.png'])


def test_cifar10_as_a_flat_folder_is_the_same_set(shared_data, tmp_path):
    """Names as in the zip's folders, so that the order, and with it every split, is the same."""
    with zipfile.ZipFile(shared_data('cifar10.zip')) as archive:
        names = sorted(n for n in archive.namelist() if n.endswith('.jpg'))
        few = [n for n in names if int(n.rpartition('/')[2][:4]) < 6]
        some = [n for n in few if n.split('/')[-2] in ('airplane', 'cat', 'ship')]
        rows = ['path,label,split']
        for name in some:
            split, label, file = name.split('/')[-3:]
            for folder in (tmp_path / 'folders' / split / label, tmp_path / 'flat'):
                folder.mkdir(parents=True, exist_ok=True)
            flat = f'{split}_{label}_{file}'
            rows.append(f'{flat},{label},{split}')
            for path in (tmp_path / 'folders' / split / label / file, tmp_path / 'flat' / flat):
                path.write_bytes(archive.read(name))
    (tmp_path / 'flat/labels.csv').write_text('\n'.join(rows))
    a, b = load(f'folder:{tmp_path}/folders'), load(f'folder:{tmp_path}/flat')
    assert a.classes == b.classes == ('airplane', 'cat', 'ship') and len(a.train) > 10 and len(a.test) > 10
    for x, y in ((a.train, b.train), (a.test, b.test)):
        assert x.labels.tolist() == y.labels.tolist()
        assert np.array_equal(x.read(np.arange(len(x))), y.read(np.arange(len(y))))


@pytest.mark.parametrize('source', ['csv:{}/labels.csv', 'folder:{}'])
def test_labels_in_an_archive_are_refused_with_what_to_do(source, images, tmp_path):
    """And what it says works."""
    place = tmp_path / 'packed'
    place.mkdir()
    with zipfile.ZipFile(place / 'set.zip', 'w') as archive:
        for i in range(10):
            archive.writestr(f'images/{i}.png', png(i))
        archive.writestr('labels.csv', PLAIN)
    with pytest.raises((ValueError, FileNotFoundError), match='labels inside an archive are not read: unpack') as told:
        load(source.format(place / 'set.zip'))
    advice = dict(part.strip('.').split('=', 1) for part in str(told.value).split(' --config.data.')[1:])
    with zipfile.ZipFile(place / 'set.zip') as archive:
        archive.extract('labels.csv', place)
    assert set(load(**advice).classes) == {'cat', 'dog'}


@pytest.mark.parametrize('name', ['x' * 300, 'a/' * 3000 + 'x.csv'])
def test_a_path_that_no_file_system_has(name):
    with pytest.raises(FileNotFoundError, match='config.data.source'):
        load(f'csv:{name}')
