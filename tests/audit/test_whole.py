"""A check finds what was planted among real photographs, and nothing else; and what it is given in its place."""

import html
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ssljax
from ssljax.audit import told, whole
from tests.audit import planted

ROOT = Path(__file__).resolve().parents[2]


def state(root):
    return {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in sorted(Path(root).rglob('*'))}


def of_kind(result, kind, **fields):
    return [f for f in result['findings'] if f['kind'] == kind]


def names(item):
    return {image['name'] for image in item['images']}


@pytest.fixture(scope='module')
def checked(shared_data, tmp_path_factory):
    """(Planted, the result, its directory)"""
    root, out = tmp_path_factory.mktemp('planted'), tmp_path_factory.mktemp('out') / 'check'
    made = planted.make(shared_data('imagenette.zip'), root / 'photos')
    before = state(root)
    result = ssljax.check(root / 'photos', out)
    assert state(root) == before  # it is only read
    return made, result, out


def test_every_copy_across_splits_is_found_and_no_other(checked):
    made, result, _ = checked
    (found,) = of_kind(result, 'copies_across_splits')
    assert found['severity'] == 'serious' and found['count'] == 10
    assert {frozenset(names(item)) for item in found['items']} == {frozenset(pair) for pair in made.across.items()}


def test_every_copy_under_two_labels_is_found_and_no_other(checked):
    made, result, _ = checked
    (found,) = of_kind(result, 'copies_under_labels')
    assert {frozenset(names(item)) for item in found['items']} == {frozenset(pair) for pair in made.labels.items()}
    assert {image['label'] for image in found['items'][0]['images']} == set(planted.CLASSES)


def test_every_corrupt_file_is_named_with_its_reason(checked):
    made, result, _ = checked
    (found,) = of_kind(result, 'unreadable')
    assert {item['name'] for item in found['items']} == made.corrupt and all(item['why'] for item in found['items'])
    assert sum(split['unreadable'] for split in result['splits'].values()) == 10


def test_nothing_else_is_found(checked):
    """Two sizes and formats, few test images and no colour are as they were made."""
    _, result, _ = checked
    kinds = {finding['kind'] for finding in result['findings']}
    assert kinds <= {
        'copies_across_splits',
        'copies_under_labels',
        'unreadable',
        'few_test_images',
        'sizes_differ',
        'channels_differ',
    }
    assert result['classes'] == list(planted.CLASSES) and result['images'] == 440 + 10 + 5 + 10


def test_the_page_and_the_sheet_show_them(checked):
    made, result, out = checked
    page = (out / 'check.html').read_text()
    assert json.loads((out / 'check.json').read_text())['findings'] == result['findings']
    assert 'src="http' not in page and 'href="http' not in page  # nothing from elsewhere
    assert all(html.escape(name) in page for name in made.corrupt)
    with Image.open(out / 'findings.png') as sheet:
        assert sheet.width == 1120 and sheet.height > 300


def test_the_terminal_says_the_most_important_first(checked):
    _, result, out = checked
    said = whole.text(result, out)
    assert re.search(r'465 images, 2 classes \(train 7\d, test 8\d, unlabeled 30\d\)', said)
    assert said.index('serious: ') < said.index('warning: 10 files cannot be decoded') < said.index('note: ')
    assert 'Remove the copies' in said and str(out / 'check.html') in said


def photo(seed, side=40, mode='RGB'):
    small = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC).convert(mode)


def folder(root, per_class=15, **more):
    for c in ('a', 'b'):
        (root / c).mkdir(parents=True, exist_ok=True)
        for i in range(per_class):
            photo(1000 * (c == 'b') + i, **more).save(root / c / f'{i}.png')
    return root


def test_thirty_images(tmp_path):
    result = ssljax.check(folder(tmp_path / 'x'), tmp_path / 'out')
    assert [f['kind'] for f in result['findings']] == ['few_test_images']
    assert result['splits']['train'] == {'images': 30, 'labelled': 30, 'unreadable': 0, 'per_class': [15, 15]}


@pytest.mark.parametrize('given', ['x', 'x/labels.csv'])
def test_images_with_a_csv(given, tmp_path):
    folder(tmp_path / 'x')
    found = [(p, c) for c in 'ab' for p in sorted((tmp_path / 'x' / c).iterdir())]
    rows = [(p.rename(tmp_path / 'x' / f'{c}{p.name}').name, c) for p, c in found]
    (tmp_path / 'x/labels.csv').write_text('path,label\n' + ''.join(f'{name},{c}\n' for name, c in rows[2:]))
    result = ssljax.check(tmp_path / given, tmp_path / 'out')
    assert not of_kind(result, 'refused_layout')
    assert result['splits']['train']['per_class'] == [13, 15] and result['splits']['unlabeled']['images'] == 2
    assert not of_kind(result, 'left_out')  # the CSV is read


def test_images_whose_names_say_the_class(tmp_path):
    """As in training: by config.data.pattern, and no other field."""
    folder(tmp_path / 'x')
    for path in list((tmp_path / 'x').rglob('*.png')):
        path.rename(tmp_path / 'x' / f'{path.parent.name}.{path.name}')
    result = ssljax.check(tmp_path / 'x', tmp_path / 'out', data__pattern='{label}.{}.png')
    assert result['classes'] == ['a', 'b'] and result['splits']['train']['per_class'] == [15, 15]
    assert not of_kind(result, 'refused_layout')
    for fields, said in (
        ({'data__pattern': '{label}.{}.jpg'}, 'pattern'),
        ({'data__image_size': 8}, "does not take the field 'data.image_size': it takes data.pattern"),
        ({'data__images': 'y'}, "does not go with config.data.source='folder:"),
    ):
        with pytest.raises(ValueError, match=said):
            ssljax.check(tmp_path / 'x', tmp_path / 'out', **fields)


def test_images_with_several_labels(tmp_path):
    folder(tmp_path / 'x')
    paths = sorted((tmp_path / 'x').rglob('*.png'))
    labels = ['a', 'b', 'a;b', ';'] * 7 + ['', '']
    lines = [f'{path.relative_to(tmp_path / "x")},{label}\n' for path, label in zip(paths, labels)]
    (tmp_path / 'labels.csv').write_text('path,label\n' + ''.join(lines))
    (paths[3].parent / 'copy.png').write_bytes(paths[3].read_bytes())
    result = ssljax.check(tmp_path / 'labels.csv', tmp_path / 'out', data__images=str(tmp_path / 'x'))
    train = result['splits']['train']
    assert (train['images'], train['per_class'], train['none']) == (28, [14, 14], 7)
    page = (tmp_path / 'out/check.html').read_text()
    assert '2 classes, any number of them per image' in page and 'None of the classes' in page
    assert '2 classes, any number of them per image (train 28' in whole.text(result, tmp_path / 'out')
    assert 'train, ;' not in page


def test_few_images_tell_nothing_by_chance():
    one = told.Told('colour of the border', 0.7, 0.5, 30, {})
    assert not one.clear and one._replace(images=300).clear and one._replace(accuracy=0.95).clear


def test_one_image(tmp_path):
    (tmp_path / 'x').mkdir()
    photo(0).save(tmp_path / 'x/one.png')
    (found,) = ssljax.check(tmp_path / 'x', tmp_path / 'out')['findings']
    assert found['kind'] == 'refused_layout' and "'unlabeled'" in found['what']


@pytest.mark.parametrize('make, said', [
    (lambda p: None, 'There is no folder or archive'),
    (lambda p: p.mkdir(), 'There is no image in'),
    (lambda p: p.write_bytes(b'PK\3\4 no zip'), 'it is neither, or it is damaged'),
])  # fmt: skip
def test_what_is_no_data_set_is_told_in_a_line(make, said, tmp_path):
    make(tmp_path / 'x')
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        ssljax.check(tmp_path / 'x', tmp_path / 'out')


def test_nothing_is_written_into_the_folder(tmp_path):
    with pytest.raises(ValueError, match='is inside the folder being checked'):
        ssljax.check(folder(tmp_path / 'x'), tmp_path / 'x/out')


@pytest.mark.parametrize('turned, how', [
    (Image.Transpose.FLIP_LEFT_RIGHT, 'mirrored'), (Image.Transpose.FLIP_TOP_BOTTOM, 'mirrored'),
    (Image.Transpose.TRANSVERSE, 'mirrored'), (Image.Transpose.ROTATE_90, 'rotated'),
    (Image.Transpose.ROTATE_180, 'rotated'),
])  # fmt: skip
def test_mirrored_and_rotated_copies_are_a_note(turned, how, tmp_path):
    """Re-encoded; in no group of copies."""
    data = folder(tmp_path / 'data', 12)
    for name in ('3', '8'):
        with Image.open(data / f'a/{name}.png') as image:
            image.transpose(turned).save(data / f'a/{name}t.jpg', quality=90)
    result = whole.check(str(data), tmp_path / 'out')
    (found,) = of_kind(result, 'copies_turned')
    assert {tuple(sorted(i['name'] for i in item['images'])) for item in found['items']} == {
        ('a/3.png', 'a/3t.jpg'), ('a/8.png', 'a/8t.jpg')}  # fmt: skip
    assert found['severity'] == 'note' and {item['how'] for item in found['items']} == {how}
    assert not of_kind(result, 'copies_within_split')
    assert '2 images are mirrored or rotated versions of others' in found['what']
    assert 'Mirrored and rotated copies' in (tmp_path / 'out/check.html').read_text()


def test_what_a_check_has_not_written_is_not_replaced(tmp_path):
    """What the last check wrote is, and its picture goes where there is nothing left to show."""
    data, out = folder(tmp_path / 'data', 20), tmp_path / 'out'
    out.mkdir()
    (out / 'findings.png').write_bytes(b'a picture of mine')
    with pytest.raises(FileExistsError, match=r'has a file findings\.png that no check wrote: give another --out'):
        whole.check(str(data), out)
    assert (out / 'findings.png').read_bytes() == b'a picture of mine' and not (out / 'check.json').exists()
    (out / 'findings.png').unlink()
    shutil.copy(data / 'a/0.png', data / 'b/copy.png')
    assert whole.check(str(data), out)['files'] == ['check.html', 'findings.png'] and (out / 'findings.png').is_file()
    (data / 'b/copy.png').unlink()
    (data / 'a/0.png').unlink()
    assert whole.check(str(data), out)['files'] == ['check.html'] and not (out / 'findings.png').exists()
    (out / 'findings.png').write_bytes(b'a picture of mine')
    with pytest.raises(FileExistsError):
        whole.check(str(data), out)
    (out / 'findings.png').unlink()
    (out / 'check.json').write_text('{"mine": 1}')
    with pytest.raises(FileExistsError, match=r'check\.json'):
        whole.check(str(data), out)


def test_deep_gray_alpha_and_odd_names(tmp_path):
    root = tmp_path / 'x'
    for c, odd in (('<b>&', 'a'), ('été "q"', 'b')):
        (root / c).mkdir(parents=True)
        for i in range(8):
            image = np.asarray(photo(i + 50 * (odd == 'b'), mode='L')).astype(np.uint16) * 16
            Image.fromarray(image).save(root / c / f'<script>alert({i})</script>\n.png'.replace('/', '_'))
    (root / '<b>&' / 'caf\udce9.png').write_bytes((root / 'été "q"' / '<script>alert(0)<_script>\n.png').read_bytes())
    result = ssljax.check(root, tmp_path / 'out')
    (found,) = of_kind(result, 'copies_under_labels')
    assert names(found['items'][0]) == {'<b>&/caf\\xe9.png', 'été "q"/<script>alert(0)<_script>\n.png'}
    assert result['bits'] == {'16': 17} and result['channels'] == {'1': 17}
    page = (tmp_path / 'out/check.html').read_text()
    assert '<script' not in page and '<b>&' not in page and '&lt;b&gt;&amp;' in page


def test_alpha_and_mixed_depth(tmp_path):
    root = folder(tmp_path / 'x', 10)
    for i in range(5):
        image = photo(i + 300, mode='RGBA')
        image.putalpha(Image.fromarray(np.full((40, 40), 128, np.uint8)))
        image.save(root / 'a' / f'alpha{i}.png')
    Image.fromarray(np.arange(1600, dtype=np.uint16).reshape(40, 40) * 40).save(root / 'b/deep.png')
    result = ssljax.check(root, tmp_path / 'out')
    assert of_kind(result, 'refused_depth')[0]['severity'] == 'serious'
    assert of_kind(result, 'channels_differ') and result['channels'] == {'1': 1, '3': 20, '4': 5}


def test_arrays(tmp_path):
    arrays = {f'{s}_images': np.random.default_rng(i).integers(0, 256, (20, 8, 8), np.uint8)
              for i, s in enumerate(('train', 'test'))}  # fmt: skip
    arrays['test_images'][:3] = arrays['train_images'][4:7]
    np.savez(tmp_path / 'a.npz', **arrays, train_labels=np.arange(20) % 2, test_labels=np.arange(20) % 2)
    for given in (tmp_path / 'a.npz', f'npz:{tmp_path / "a.npz"}'):
        (found,) = of_kind(ssljax.check(given, tmp_path / 'out'), 'copies_across_splits')
        assert found['count'] == 3 and names(found['items'][0]) == {'train[4]', 'test[0]'}
    with pytest.raises(ValueError, match='points in the plane'):
        ssljax.check('circles', tmp_path / 'out')


def test_labels_that_follow_the_file_or_the_picture(tmp_path):
    root = folder(tmp_path / 'x', 30)
    for i, path in enumerate(sorted((root / 'b').iterdir())):
        photo(500 + i).save(path.with_suffix('.jpg'), quality=95)
        path.unlink()
    result = ssljax.check(root, tmp_path / 'out')
    told = {f['items'][0]['feature']: f['severity'] for f in of_kind(result, 'label_told_by')}
    assert told.pop('file extension') == told.pop('file format') == 'serious'
    assert set(told) <= {'sharpness'}  # JPEG's noise


def test_images_that_show_nothing_and_classes_of_other_sizes(tmp_path):
    root = folder(tmp_path / 'x', 20, side=64)
    for i in range(60):
        photo(2000 + i, side=64).save(root / 'a' / f'more{i}.png')
    rng = np.random.default_rng(0)
    Image.new('RGB', (64, 64), (10, 200, 30)).save(root / 'a/plain.png')
    Image.fromarray(rng.integers(0, 25, (64, 64, 3), np.uint8)).save(root / 'a/dark.png')
    white = np.full((64, 64), 255, np.uint8)
    white[30:32] = 0
    Image.fromarray(white).convert('RGB').save(root / 'b/white.png')
    photo(77, side=64).resize((200, 64)).save(root / 'b/long.png')
    result = ssljax.check(root, tmp_path / 'out')
    for kind, name in (
        ('one_colour', 'plain'),
        ('dark', 'dark'),
        ('bright', 'white'),
        ('elongated', 'long'),
    ):
        (found,) = of_kind(result, kind)
        assert [Path(item['name']).stem for item in found['items']] == [name], kind
    assert of_kind(result, 'classes_uneven')[0]['severity'] == 'note'


def test_a_blurred_image_among_sharp_ones(tmp_path):
    for c, name in enumerate(('a', 'b')):
        (tmp_path / 'x' / name).mkdir(parents=True)
        for i in range(8):
            image = Image.fromarray(np.random.default_rng(8 * c + i).integers(0, 256, (80, 64, 3), np.uint8))
            if (c, i) == (1, 3):
                image = photo(7, side=64)  # of 6x6 pixels
            image.save(tmp_path / 'x' / name / f'{i}.png')
    (found,) = of_kind(ssljax.check(tmp_path / 'x', tmp_path / 'out'), 'blurred')
    assert [item['name'] for item in found['items']] == ['b/3.png']


@pytest.mark.parametrize('strict, code', [((), 0), (('--strict',), 1)])
def test_the_command(strict, code, tmp_path):
    root = folder(tmp_path / 'x')
    (root / 'b/copy.png').write_bytes((root / 'a/0.png').read_bytes())
    environment = os.environ | {'JAX_PLATFORMS': 'cpu', 'PYTHONPATH': str(ROOT)}
    command = [sys.executable, '-m', 'ssljax', 'check', str(root), *strict]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert 'serious: 1 image has copies under another label.' in done.stdout and 'a/0.png = b/copy.png' in done.stdout
    assert (tmp_path / 'runs/check_x/check.html').is_file()


def test_mistakes_on_the_command_line(tmp_path):
    environment = os.environ | {'JAX_PLATFORMS': 'cpu', 'PYTHONPATH': str(ROOT)}
    for arguments, said, code in (
        (['nowhere'], 'There is no folder', 1),
        ([], 'PATH', 2),
        (['x', '--strct'], '--strct', 2),
        (['x', '--config.data.patern={label}.png'], 'did you mean', 2),
    ):
        done = subprocess.run([sys.executable, '-m', 'ssljax.check', *arguments], cwd=tmp_path, env=environment,
                              capture_output=True, text=True)  # fmt: skip
        assert done.returncode == code and said in done.stderr and 'Traceback' not in done.stderr


def test_an_output_that_leads_to_itself(tmp_path):
    (tmp_path / 'out').symlink_to(tmp_path / 'out')
    with pytest.raises((ValueError, OSError)) as error:
        whole.target(f'folder:{tmp_path / "images"}', tmp_path / 'out')
    assert 'a link that leads to itself' in str(error.value)
