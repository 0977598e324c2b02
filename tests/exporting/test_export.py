"""The verb, and what all formats have in common."""

import json
import runpy
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import ssljax
from ssljax import calibration, exporting, prediction, verbs
from ssljax.calibration import Calibration
from ssljax.model import Model
from ssljax.storage import files

pytest.importorskip('onnxruntime', reason='onnxruntime is in the extra `export`')
pytest.importorskip('safetensors', reason='safetensors is in the extra `export`')

MAIN = runpy.run_module('ssljax.export')['main']  # ssljax.export is a function of the package, too


def called(arguments):
    return verbs.run(MAIN, arguments)


@pytest.fixture(scope='module')
def model(make):
    """Calibrated, so that its probabilities are not the softmax of its logits."""
    found = make('cnn', classes=('cat', 'dog', 'ox'))
    return Model(found.variables, found.info, '', Calibration(1.7, np.eye(2, 16, dtype=np.float16), 0.5))


@pytest.fixture
def saved(model, tmp_path):
    return model.save(tmp_path / 'saved')


@pytest.mark.parametrize('format', [f for f in exporting.FORMATS if f != 'tflite'])
def test_the_verb_writes_a_file_and_what_it_is(model, saved, format, tmp_path, capsys):
    Image.fromarray(np.zeros((12, 9), np.uint8)).resize((8, 8)).save(tmp_path / 'x.png')
    assert called([str(saved), f'--format={format}', f'--images={tmp_path / "x.png"}']) == 0
    path = saved / f'model.{format}'
    assert f'File: {path}' in capsys.readouterr().out
    told = json.loads((saved / f'model.{format}.json').read_text())
    assert told['classes'] == ['cat', 'dog', 'ox'] and told['format'] == format
    assert told['input']['shape'] == ['N', 8, 8, 1] and told['output']['shape'] == ['N', 3]
    assert told['model'] == model.info | {'chosen': model.chosen, 'temperature': 1.7}
    again = ssljax.load(path)
    images = np.random.default_rng(1).integers(0, 256, (4, 8, 8), np.uint8)
    np.testing.assert_allclose(again.predict(images), model.predict(images), atol=1e-5)
    np.testing.assert_allclose(again.predict(tmp_path / 'x.png'), model.predict(tmp_path / 'x.png'), atol=1e-5)
    assert np.abs(model.predict(images) - model.predict(images, calibrated=False)).max() > 1e-3
    plain = again.predict(images, calibrated=False)
    np.testing.assert_allclose(plain, model.predict(images, calibrated=False), atol=1e-5)
    together = again.outputs(images[..., None])
    assert again.calibration is None and np.array_equal(together.probabilities, again.predict(images))
    assert (again.way, again.metrics, again.chosen) == (model.way, model.metrics, model.chosen)
    with pytest.raises(ValueError, match='holds one model'):
        ssljax.load(path, way='scratch')
    before = {p: p.read_bytes() for p in (path, path.with_name(f'{path.name}.json'))}
    assert called([str(saved), '--format', format]) == 1
    assert 'exists already' in capsys.readouterr().err and before == {p: p.read_bytes() for p in before}


@pytest.mark.parametrize(
    'arguments, told',
    [
        (['--format=onnx'], 'required: run'),
        (['a'], 'required: --format'),
        (['a', '--formt=onnx'], 'required: --format'),
        (['a', '--format=onnx', '--seed=x'], 'invalid int'),
    ],
)
def test_mistakes_end_with_two(arguments, told, capsys):
    with pytest.raises(SystemExit, match='2'):
        called(arguments)
    assert told in capsys.readouterr().err


def test_faults_end_with_one(saved, tmp_path, capsys):
    assert called([str(saved), '--format=onx']) == 1
    assert 'did you mean onnx' in capsys.readouterr().err
    assert called([str(tmp_path / 'nothing'), '--format=onnx']) == 1
    assert 'there is no such directory' in capsys.readouterr().err
    (tmp_path / 'empty').mkdir()
    assert called([str(saved), '--format=onnx', f'--images={tmp_path / "empty"}']) == 1
    assert 'is a folder without files' in capsys.readouterr().err
    assert called([str(saved), '--format=onnx', f'--images={tmp_path / "no.png"}']) == 1
    assert 'there is no image or folder of that name' in capsys.readouterr().err and not (saved / 'model.onnx').exists()
    (tmp_path / 'empty/a.png').write_bytes(b'no image')
    assert called([str(saved), '--format=onnx', f'--images={tmp_path / "empty"}']) == 1
    assert 'none of 1 files can be used; the image' in capsys.readouterr().err and not (saved / 'model.onnx').exists()


def test_a_broken_image_of_a_folder_is_left_out(saved, tmp_path, capsys):
    (tmp_path / 'some').mkdir()
    (tmp_path / 'some/a.png').write_bytes(b'no image')
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / 'some/b.png')
    assert called([str(saved), '--format=onnx', f'--images={tmp_path / "some"}']) == 0
    told = capsys.readouterr().err
    assert 'warning: 1 of 2 files are left out' in told and 'a.png' in told and (saved / 'model.onnx').is_file()


def test_an_exported_model_predicts_a_folder(model, tmp_path):
    """The verb `predict`: a row for each image, with the model's own probabilities."""
    (tmp_path / 'new').mkdir()
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / 'new/1.png')
    path = model.export(tmp_path / 'x.onnx')
    found = prediction.predict(path, tmp_path / 'new')
    np.testing.assert_allclose(found.probabilities, model.predict(tmp_path / 'new/1.png'), atol=1e-5)
    with pytest.raises(ValueError, match='gives no features: .* --features'):
        prediction.predict(path, tmp_path / 'new', embed=True)
    with pytest.raises(ValueError, match='gives no features: export it again with --features'):
        ssljax.load(path).embed(tmp_path / 'new/1.png')


@pytest.mark.parametrize('format', [f for f in exporting.FORMATS if f != 'tflite'])
def test_with_features_it_embeds_and_tells_what_is_unlike(model, saved, format, tmp_path):
    """As the model itself: features, and the flag, which some of the images have."""
    (tmp_path / 'new').mkdir()
    for i, image in enumerate(np.random.default_rng(2).integers(0, 256, (9, 8, 8), np.uint8)):
        Image.fromarray(image).save(tmp_path / f'new/{i}.png')
    seen = model.embed(sorted((tmp_path / 'new').iterdir()))
    known = model.calibration._replace(reference=calibration.unit(seen[:3]).astype(np.float16))
    limit = float(np.median(known.distance(seen)))
    own = Model(model.variables, model.info, '', known._replace(limit=limit))
    path = own.export(tmp_path / f'x.{format}', features=True)
    expected, found = (prediction.predict(m, tmp_path / 'new', embed=True) for m in (own, path))
    assert 0 < expected.unlike.sum() < 9 and np.array_equal(found.unlike, expected.unlike)
    np.testing.assert_allclose(found.features, expected.features, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-5)
    told = files.read_json(f'{path}.json')
    assert told['features']['shape'] == ['N', 16] and told['output']['shape'] == ['N', 3]
    beside = tmp_path / f'x.{format}.{calibration.NAME}'
    assert calibration.read(beside).limit == pytest.approx(limit)
    beside.write_bytes(beside.read_bytes()[:-1])
    with pytest.raises(files.Damaged, match='export it again'):
        ssljax.load(path)
    beside.unlink()
    with pytest.raises(FileNotFoundError, match=f'{beside.name} is missing'):
        ssljax.load(path)
    assert called([str(saved), f'--format={format}', '--features']) == 0
    assert ssljax.load(saved / f'model.{format}').embeds


def test_an_export_that_fails_leaves_no_calibration(model, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, '_sha256', lambda path: 1 / 0 if path.suffix == '.npz' else '')
    with pytest.raises(ZeroDivisionError):
        model.export(tmp_path / 'x.onnx', features=True)
    assert list(tmp_path.iterdir()) == []


def test_a_format_by_the_name(model, tmp_path):
    with pytest.raises(ValueError, match=r"'x.bin' does not say which format: .* \.onnx \(onnx\)"):
        model.export(tmp_path / 'x.bin')
    with pytest.raises(ValueError, match='did you mean onnx'):
        model.export(tmp_path / 'x.bin', 'onn')
    assert model.export(tmp_path / 'deep/x.bin', 'stablehlo').is_file()


def test_a_file_alone_or_damaged_is_refused(model, tmp_path):
    path = model.export(tmp_path / 'x.onnx')
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(files.Damaged, match='export it again'):
        ssljax.load(path)
    (tmp_path / 'x.onnx.json').unlink()
    with pytest.raises(FileNotFoundError, match='x.onnx.json is missing'):
        ssljax.load(path)


def test_predictions_that_depend_on_the_batch_are_refused(make, tmp_path):
    model = make('cnn', method='sgan', fields={'semi.sgan.minibatch': 2})
    with pytest.raises(ValueError, match='depends on the other images of its batch'):
        model.export(tmp_path / 'x.onnx')
    assert list(tmp_path.iterdir()) == []


def test_a_classifier_with_a_class_of_fakes(make, tmp_path):
    """Its last output is no class."""
    model = make('cnn', method='sgan_explicit')
    for format in ('safetensors', 'onnx', 'stablehlo'):
        found = ssljax.load(model.export(tmp_path / f'x.{format}'))
        images = np.random.default_rng(1).integers(0, 256, (2, 8, 8, 1), np.uint8)
        np.testing.assert_allclose(found.predict(images), model.predict(images), atol=1e-5)


def test_a_missing_package_is_named(model, tmp_path, monkeypatch):
    find = exporting.packages.importlib.util.find_spec
    monkeypatch.setattr(exporting.packages.importlib.util, 'find_spec', lambda n: None if 'onnx' in n else find(n))
    with pytest.raises(ImportError, match=r'the package onnx and onnxruntime: pip install "ssljax\[export\]"'):
        model.export(tmp_path / 'x.onnx')
    assert list(tmp_path.iterdir()) == []


def test_loading_imports_no_package_of_a_format():
    needs = {name for module in exporting.FORMATS.values() for name in module.NEEDS}
    code = f'import sys, ssljax.model, ssljax.export; assert not {needs} & sys.modules.keys()'
    subprocess.run([sys.executable, '-c', code], check=True)
