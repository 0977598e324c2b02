"""Every input has its own row, whatever it is; and what is said of it is the model's own."""

import csv
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import ssljax
from ssljax import calibration, experiment
from ssljax.config import base
from ssljax.prediction import sorting
from ssljax.storage import files

ROOT = Path(__file__).resolve().parents[2]
CLASSES = 'bars', 'café, "new"'


def picture(seed, kind, size=20):
    """uint8 [size, size, 3]: upright bars, or lying ones."""
    rng = np.random.default_rng(seed)
    wave = np.tile((np.arange(size) // 3 % 2 * 200)[:, None], (1, size))
    image = (wave if kind else wave.T)[..., None] + rng.integers(0, 40, (size, size, 3))
    return np.clip(image, 0, 255).astype(np.uint8)


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """(run, folder of new images)."""
    root = tmp_path_factory.mktemp('predict')
    for split, n in (('train', 40), ('test', 10)):
        for kind, name in enumerate(CLASSES):
            (root / f'data/{split}/{name}').mkdir(parents=True)
            for i in range(n):
                Image.fromarray(picture(1000 * kind + i + 100 * n, kind)).save(root / f'data/{split}/{name}/{i}.png')
    c = base()
    c.name = 'bars'
    c.data.update(source=f'folder:{root}/data', image_size=16, labels='20/class', val='20')
    c.backbone.update(width=4, depth=2)
    c.transfer.update(ways=('scratch', 'random_frozen'), batch_size=16)
    c.transfer.frozen.update(epochs=0.0, steps=10, evals=1)
    c.transfer.scratch.update(epochs=0.0, steps=30, evals=2)
    c.evaluate.update(figures=False, probe=False, knn=0)
    experiment.run(c, root / 'run')
    shutil.copytree(root / 'data/test', root / 'new')
    return root / 'run', root / 'new'


def table(path):
    with open(path, encoding='utf-8', newline='') as f:
        return list(csv.DictReader(f))


def test_a_folder_gives_the_accuracy_of_the_run(trained, tmp_path):
    run, new = trained
    found = ssljax.predict(run, new, tmp_path / 'p.csv', way='scratch', top=2)
    rows = table(tmp_path / 'p.csv')
    assert len(rows) == 20 and [row['path'] for row in rows] == found.paths == sorted(found.paths)
    right = np.mean([row['label'] == Path(row['path']).parent.name for row in rows])
    assert right == ssljax.load(run, way='scratch').metrics['test']['top1']
    names = list(rows[0])
    assert names == [
        'path',
        'label',
        'confidence',
        'unlike',
        'label_2',
        'confidence_2',
        *(f'p_{c}' for c in CLASSES),
        'error',
    ]
    for row, p in zip(rows, found.probabilities):
        assert abs(float(row['confidence']) + float(row['confidence_2']) - 1) < 1e-4
        assert float(row[f'p_{row["label"]}']) == float(row['confidence']) >= float(row['confidence_2'])
        assert np.allclose([float(row[f'p_{c}']) for c in CLASSES], p, atol=1e-5)


def test_what_cannot_be_read_is_a_row_with_an_error(trained, tmp_path):
    run, new = trained
    bad = tmp_path / 'mixed'
    shutil.copytree(new, bad)
    whole = sorted(bad.rglob('*.png'))
    whole[3].write_bytes(b'')
    whole[7].write_bytes(whole[7].read_bytes()[:60])
    (bad / 'photo.heic').write_bytes(b'no picture')
    (bad / 'notes.txt').write_text('no input')
    found = ssljax.predict(run, bad, tmp_path / 'p.parquet', embed=True)
    good = ssljax.predict(run, new)
    expected = {Path(p).relative_to(new): row for p, row in zip(good.paths, good.probabilities)}
    assert len(found.paths) == 21 and sum(map(bool, found.errors)) == 3
    rows = pq.read_table(tmp_path / 'p.parquet').to_pylist()
    features = np.load(tmp_path / 'p.npy')
    assert features.dtype == np.float32 and len(features) == len(rows) == 21
    for path, p, error, row, feature in zip(found.paths, found.probabilities, found.errors, rows, features):
        where = Path(path).relative_to(bad)
        assert bool(error) == (Path(path) in (whole[3], whole[7]) or where.name == 'photo.heic')
        assert row['path'] == path and row['error'] == (error or None)
        if error:
            assert np.isnan(p).all() and np.isnan(feature).all() and row['label'] is row['confidence'] is None
        else:
            assert np.allclose(p, expected[where], atol=1e-6) and np.isfinite(feature).all()
    assert not any('0x' in error for error in found.errors)
    assert repr(found) == f'<Predictions of {found.summary()}>' and '<_io' not in found.summary()
    assert 'photo.heic' in found.summary() or '3 cannot be read' in found.summary()


def test_files_lists_and_archives_give_the_same(trained, tmp_path):
    run, new = trained
    files = sorted(map(str, new.rglob('*.png')))
    expected = ssljax.predict(run, files).probabilities
    with zipfile.ZipFile(tmp_path / 'new.zip', 'w') as archive:
        for name in files:
            archive.write(name, Path(name).relative_to(new.parent))
    (tmp_path / 'list.txt').write_text('\n'.join(files) + '\nmissing.png\n')
    with open(tmp_path / 'list.csv', 'w', newline='') as f:
        csv.writer(f).writerows([('id', 'Path'), *enumerate(files)])
    model = ssljax.load(run)
    for one in (
        tmp_path / 'new.zip',
        tmp_path / 'list.csv',
        tmp_path / 'list.txt',
        [new / CLASSES[0], new / CLASSES[1]],
    ):
        found = ssljax.predict(model, one, batch_size=7)
        assert np.allclose(found.probabilities[:20], expected, atol=1e-6)
    found = ssljax.predict(model, tmp_path / 'list.txt')
    assert found.errors[:20] == [''] * 20 and 'No such file' in found.errors[20]
    (tmp_path / 'other.csv').write_text('a,b\n1,2\n')
    with pytest.raises(ValueError, match="columns are 'a', 'b', but none is called path"):
        ssljax.predict(model, tmp_path / 'other.csv')


def test_images_unlike_the_training_set_are_flagged(trained):
    run, new = trained
    model = ssljax.load(run, way='scratch')
    noise = [np.random.default_rng(i).integers(0, 256, (16, 16, 3), np.uint8) for i in range(20)]
    own = np.stack(
        [np.asarray(Image.open(p).resize((16, 16), Image.Resampling.BILINEAR)) for p in sorted(new.rglob('*.png'))]
    )
    far, near = (model.calibration.distance(model.embed(x)) for x in (np.stack(noise), own))
    assert np.median(far) > 2 * np.median(near) and (near > model.calibration.limit).mean() < 0.3
    again = model.save(run.parent / 'saved')
    assert np.array_equal(ssljax.load(again).calibration.reference, model.calibration.reference)
    assert ssljax.load(again).calibration.temperature == model.calibration.temperature


def test_copies_lie_in_folders_of_their_labels(trained, tmp_path):
    run, new = trained
    found = ssljax.predict(run, new, copy_to=tmp_path / 'sorted')
    copies = list((tmp_path / 'sorted').rglob('*.png'))
    assert len(copies) == 20  # of both classes there are files of the same names
    counts = {sorting.safe(name): found.labels.count(name) for name in set(found.labels)}
    assert {p.name: len(list(p.iterdir())) for p in (tmp_path / 'sorted').iterdir()} == counts
    with pytest.raises(FileExistsError, match='not empty'):
        ssljax.predict(run, new, copy_to=tmp_path / 'sorted')


def test_a_copy_is_what_was_predicted(trained, tmp_path, monkeypatch):
    """Not a file of the same name in the folder in which the command runs."""
    run, new = trained
    image = sorted(new.rglob('*.png'))[0]
    (tmp_path / 'lists').mkdir()
    shutil.copy(image, tmp_path / 'lists/a.png')
    (tmp_path / 'lists/list.txt').write_text('a.png\n')
    (tmp_path / 'a.png').write_bytes(b'another file')
    monkeypatch.chdir(tmp_path)
    ssljax.predict(run, 'lists/list.txt', copy_to='copies')
    (copied,) = Path('copies').rglob('a.png')
    assert copied.read_bytes() == image.read_bytes()


def test_what_disappears_before_it_is_copied_stops_nothing(trained, tmp_path, caplog):
    run, new = trained
    shutil.copytree(new, tmp_path / 'new')
    gone = sorted((tmp_path / 'new').rglob('*.png'))[4]
    model = ssljax.load(run)
    whole = model.outputs

    def outputs(images, *args):
        gone.unlink(missing_ok=True)
        return whole(images, *args)

    model.outputs = outputs
    found = ssljax.predict(model, tmp_path / 'new', tmp_path / 'p.csv', copy_to=tmp_path / 'copies')
    assert len(table(tmp_path / 'p.csv')) == 20 and all(found.labels)
    assert len(list((tmp_path / 'copies').rglob('*.png'))) == 19
    assert [r.getMessage() for r in caplog.records if str(gone) in r.getMessage()] != []


@given(st.lists(st.text('ab/:?. A', min_size=1, max_size=4), unique=True, max_size=12))
def test_classes_never_share_a_folder(classes):
    folders = sorting.folders(classes)
    assert len({name.casefold() for name in folders.values()}) == len(classes) == len(folders)
    assert all(Path(name).name == name and name not in ('.', '..') for name in folders.values())


def test_no_file_of_the_user_is_replaced_unasked(trained, tmp_path):
    run, new = trained
    (tmp_path / 'p.npy').write_bytes(b'mine')
    with pytest.raises(FileExistsError, match='p.npy is a file that exists already'):
        ssljax.predict(run, new, tmp_path / 'p.csv', embed=True)
    assert (tmp_path / 'p.npy').read_bytes() == b'mine' and not (tmp_path / 'p.csv').exists()
    ssljax.predict(run, new, tmp_path / 'p.csv', embed=True, overwrite=True)
    assert len(np.load(tmp_path / 'p.npy')) == 20
    text = 'path\n"' + str(sorted(new.rglob('*.png'))[0]).replace('"', '""') + '"\n'
    (tmp_path / 'list.csv').write_text(text)
    with pytest.raises(ValueError, match='is one of the inputs'):
        ssljax.predict(run, tmp_path / 'list.csv', tmp_path / 'list.csv', overwrite=True)
    assert (tmp_path / 'list.csv').read_text() == text


def test_a_model_of_points_takes_no_files(trained, monkeypatch):
    run, new = trained
    model = ssljax.load(run)
    model.shape = 1, 1, 2
    with pytest.raises(ValueError, match='trained on points'):
        ssljax.predict(model, new)


@pytest.mark.parametrize('key', ['classes', 'way', 'input'])
def test_a_model_json_that_lacks_something_is_named(trained, tmp_path, key):
    saved = ssljax.load(trained[0]).save(tmp_path / 'saved')
    about = json.loads((saved / 'model.json').read_text())
    (saved / 'model.json').write_text(json.dumps({k: v for k, v in about.items() if k not in (key, files.CHECKSUM)}))
    with pytest.raises(files.Damaged, match=f'has no {key!r}'):
        ssljax.load(saved)


def test_a_model_that_gives_nan_gives_no_label(trained, tmp_path):
    run, new = trained
    model = ssljax.load(run)
    whole = model.outputs

    def outputs(images, *args):
        found = whole(images, *args)
        found.probabilities[::3] = np.nan
        return found

    model.outputs = outputs
    found = ssljax.predict(model, new, tmp_path / 'p.csv', embed=True)
    broken = np.arange(20) % 3 == 0
    assert [not label for label in found.labels] == [bool(error) for error in found.errors] == broken.tolist()
    for array in (found.features, found.probabilities):
        assert (np.isnan(array).all(axis=1) == broken).all()
    assert [not row['label'] for row in table(tmp_path / 'p.csv')] == broken.tolist()


@pytest.mark.parametrize(
    'changed',
    [
        {'temperature': None},
        {'temperature': np.float64(np.nan)},
        {'temperature': np.float64(0)},
        {'temperature': np.ones(3)},
        {'limit': np.float64(np.inf)},
        {'reference': np.zeros((0, 4), np.float16)},
        {'reference': np.full((3, 4), np.nan, np.float16)},
        {'other': np.ones(())},
    ],
)
def test_a_calibration_that_cannot_be_is_refused(changed, tmp_path):
    whole = {'temperature': np.float64(1), 'reference': np.ones((3, 4), np.float16), 'limit': np.float64(0.1)}
    np.savez(tmp_path / calibration.NAME, **whole)
    assert calibration.load(tmp_path).temperature == 1
    with pytest.raises(ValueError, match='does not belong to this model'):
        calibration.load(tmp_path).distance(np.ones((2, 5), np.float32))
    np.savez(tmp_path / calibration.NAME, **{k: v for k, v in (whole | changed).items() if v is not None})
    with pytest.raises(files.Damaged, match='it holds|its numbers'):
        calibration.load(tmp_path)


@pytest.mark.parametrize('name', ['pipe.png', 'pipe.csv', 'pipe'])
def test_what_is_no_file_is_not_waited_for(trained, tmp_path, name):
    run, _ = trained
    os.mkfifo(tmp_path / name)
    os.symlink('/dev/zero', tmp_path / 'device.png')
    found = ssljax.predict(run, [tmp_path / name, tmp_path / 'device.png'])
    with pytest.raises(ValueError, match='named pipe'):
        ssljax.load(run).predict(tmp_path / name)
    assert found.errors == ['it is a named pipe, not a file', 'it is a device, not a file']


def test_the_command(trained, tmp_path):
    run, new = trained
    say = lambda *args: subprocess.run(
        [sys.executable, '-m', 'ssljax', 'predict', *map(str, args)], cwd=tmp_path, capture_output=True, text=True,
        env={'PATH': '/usr/bin:/bin', 'PYTHONPATH': str(ROOT), 'JAX_PLATFORMS': 'cpu', 'HOME': str(tmp_path)},
    )  # fmt: skip
    done = say(run, new, '--out=p.json', '--top=2')
    assert done.returncode == 0 and '20 images, 20 predicted' in done.stdout and 'p.json' in done.stdout, done.stderr
    rows = json.loads((tmp_path / 'p.json').read_text())
    assert len(rows) == 20 and {row['label'] for row in rows} <= set(CLASSES)
    again = say(run, new, '--out=p.json')
    assert (
        (again.returncode, again.stdout) == (1, '')
        and 'exists already' in again.stderr
        and '--overwrite' in again.stderr
    )
    assert json.loads((tmp_path / 'p.json').read_text()) == rows
    assert say(run, new, '--out=p.json', '--overwrite').returncode == 0
    for args, code, told in (
        ([run, 'nowhere'], 1, "no image, folder or list 'nowhere'"),
        ([run, new, '--out=p.xls'], 1, 'give one of .csv, .json, .parquet'),
        ([tmp_path, new], 1, ''),
        ([run], 2, 'path'),
        ([run, new, '--way=finetune'], 1, "no trained model of the way 'finetune'"),
    ):
        done = say(*args)
        assert done.returncode == code and told in done.stderr and done.stderr.startswith('error: '), done
        assert done.stderr.count('\n') == 1 and 'Errno' not in done.stderr
    assert [p.name for p in tmp_path.iterdir() if p.name != '.cache'] == ['p.json']  # nothing half written


@given(st.integers(2, 6), st.integers(1, 60), st.floats(0.2, 8), st.integers(0, 2**31))
@settings(max_examples=40)
def test_the_temperature_is_where_the_likelihood_is_highest(classes, n, scale, seed):
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(0, scale, (n, classes)), rng.integers(0, classes, n)
    t = calibration.temperature(logits, labels)
    assert 0.05 <= t <= 20

    def loss(t):
        z = logits / t
        p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
        rest = 1 / (n + 2)
        return -np.mean((1 - rest) * np.log(p[np.arange(n), labels])
                        + rest / (classes - 1) * (np.log(p).sum(1) - np.log(p[np.arange(n), labels])))  # fmt: skip

    assert loss(t) <= min(loss(t * 1.05), loss(t / 1.05)) + 1e-6 or t < 0.0501 or t > 19.9
    assert abs(calibration.temperature(logits * 2, labels) / t - 2) < 0.1 or t < 0.1 or t > 9


def test_the_calibration_error_of_what_is_known():
    logits = np.log(np.array([[0.8, 0.2]] * 10 + [[0.4, 0.6]] * 10))
    labels = np.array([0] * 8 + [1] * 2 + [1] * 6 + [0] * 4)
    found = calibration.reliability(logits, labels, 1.0)
    assert found['ece'] < 1e-9 and [b[0] for b in found['bins']] == [10, 10]
    assert abs(calibration.reliability(logits, 1 - labels, 1.0)['ece'] - (0.6 + 0.2) / 2) < 1e-9
