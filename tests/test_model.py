"""A trained model can be used where neither its data nor its recipe is."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ssljax
from ssljax import experiment, trained
from ssljax.data import sources
from ssljax.storage import files
from tests import pages

ROOT = Path(__file__).parents[1]
WAYS = ('random_frozen', 'scratch', 'frozen', 'finetune', 'two_stage', 'plain', 'fixmatch', 'sgan', 'noisy_student')


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """A run with every kind of way: transfer, a variant, an averaged one, a GAN with a minibatch layer, and a student
    that is larger than its teacher."""
    from ssljax.config import base

    c = base()
    c.name = 'tiny'
    c.data.update(source='synthetic:8x8x1:3', labels='10/class', val='60')
    c.backbone.update(width=4, depth=2)
    c.pretrain.update(epochs=0.0, steps=12, evals=2, batch_size=16)
    c.transfer.update(batch_size=16, ways=WAYS, layer='conv1')
    c.transfer.frozen.update(epochs=0.0, steps=6, evals=3)
    c.transfer.second.update(epochs=0.0, steps=6, evals=2)
    c.variants = (('plain', 'scratch', (('transfer.hidden', (8,)),)),)
    c.semi.update(epochs=0.0, steps=6, evals=2, batch_size=16, strong='flip')
    c.semi.noisy_student.update(width=6, threshold=0.0)
    c.semi.sgan.minibatch = 2
    c.evaluate.update(batch_size=100, figures=False, probe=False, knn=0)
    c.seeds = (0, 1)
    folder = tmp_path_factory.mktemp('model') / 'run'
    with pytest.MonkeyPatch.context() as patch:
        pages.leave_out(patch)
        result = experiment.run(c, folder)
    source = sources.load(c.data)
    images = source.test.read(np.arange(len(source.test)))
    return folder, result, images, source.test.labels


@pytest.mark.parametrize('way', WAYS)
def test_predictions_are_those_of_the_run(run, way):
    folder, result, images, labels = run
    for seed in (0, 1):
        model = ssljax.load(folder, way=way, seed=seed)
        record = next(s for s in result['seeds'] if s['seed'] == seed)['ways'][way]
        p = model.predict(images, batch_size=100, calibrated=False)
        assert p.shape == (len(images), 3) and p.dtype == np.float32 and np.allclose(p.sum(1), 1, atol=1e-5)
        loss = -np.log(np.take_along_axis(p.astype(np.float64), labels[:, None], 1)).mean()
        assert abs(loss - record['test']['loss']) < 1e-4 and (p.argmax(1) == labels).mean() == record['test']['top1']
        assert model.way == way and model.metrics['test'] == record['test'] and model.metrics['val'] == record['val']
        assert model.classes == tuple(result['data']['classes']) and model.shape == (8, 8, 1)
        assert model.info['seed'] == seed
        features = model.embed(images[:7])
        assert features.shape == (7, 6 if way == 'noisy_student' else 4) and np.isfinite(features).all()


def test_the_best_by_validation_is_taken(run):
    folder, result, _, _ = run
    top1 = {(s['seed'], way): record['val']['top1'] for s in result['seeds'] for way, record in s['ways'].items()}
    model = ssljax.load(folder)
    assert model.metrics['val']['top1'] == max(top1.values()) and 'of 18 trained classifiers' in model.chosen
    assert ssljax.load(folder, seed=1).info['seed'] == 1
    assert 'scratch' in repr(ssljax.load(folder, way='scratch'))


def test_a_run_without_its_config_is_loaded_as_before(run, tmp_path):
    folder = tmp_path / 'run'
    shutil.copytree(run[0], folder)
    (folder / 'config.json').unlink()
    for given in ({}, {'way': 'frozen', 'seed': 1}, {'way': 'pretrain'}):
        model, before = ssljax.load(folder, **given), ssljax.load(run[0], **given)
        assert (model.way, model.info['seed'], model.chosen) == (before.way, before.info['seed'], before.chosen)


def test_of_equal_classifiers_the_way_that_is_better_on_average_is_taken():
    reached = {(0, 'random_frozen'): 0.9, (1, 'random_frozen'): 0.5, (0, 'finetune'): 0.7, (1, 'finetune'): 0.9}
    found = {key: (Path('seed{}/{}'.format(*key)), value) for key, value in reached.items()}
    directory, why = trained._choose(Path('run'), found, '', None, 'top1')
    assert directory == Path('seed1/finetune') and '2 reach it; finetune is the highest' in why
    assert trained._choose(Path('run'), found, '', 0, 'top1')[0] == Path('seed0/random_frozen')


def test_a_pretrained_backbone_has_features_alone(run):
    folder, _, images, _ = run
    model = ssljax.load(folder, way='pretrain')
    assert model.classes == () and model.embed(images[:5]).shape == (5, 4)
    with pytest.raises(ValueError, match='no classes to predict'):
        model.predict(images)
    again = ssljax.load(folder / 'seed0/pretrain')
    assert np.array_equal(again.embed(images[:5]), model.embed(images[:5]))


def test_saved_models_are_used_by_another_process_elsewhere(run, tmp_path):
    """Without the run, its data and its recipe, in another directory, on another number of devices."""
    folder, _, images, _ = run
    expected, chosen = {}, {}
    np.save(tmp_path / 'x.npy', images[:30])
    for way in ('two_stage', 'sgan', 'noisy_student', 'pretrain'):
        model = ssljax.load(folder, way=way)
        what = 'embed' if way == 'pretrain' else 'predict'
        expected[way], chosen[way] = getattr(model, what)(images[:30]), model.chosen
        assert model.save(tmp_path / way) == tmp_path / way
        (tmp_path / way / 'seed9').mkdir()  # a stranger's folder is no matter
    code = (
        'import json, sys, numpy as np, ssljax\n'
        'x, models = np.load("x.npy"), {w: ssljax.load(w) for w in sys.argv[1:]}\n'
        'np.savez("p.npz", **{w: m.predict(x) if m.classes else m.embed(x) for w, m in models.items()})\n'
        'print(json.dumps({w: m.chosen for w, m in models.items()}))\n'
        'assert not {"matplotlib", "tensorflow", "optuna", "pyarrow"} & sys.modules.keys()'
    )
    done = subprocess.run(
        [sys.executable, '-c', code, *expected], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={'PATH': '/usr/bin:/bin', 'PYTHONPATH': str(ROOT), 'JAX_PLATFORMS': 'cpu', 'HOME': str(tmp_path),
             'XLA_FLAGS': '--xla_force_host_platform_device_count=2'},
    )  # fmt: skip
    assert json.loads(done.stdout) == chosen
    with np.load(tmp_path / 'p.npz') as found:
        assert all(np.abs(found[way] - p).max() < 1e-5 for way, p in expected.items())


def test_what_is_saved_does_not_overwrite(run, tmp_path):
    model = ssljax.load(run[0])
    (tmp_path / 'there').mkdir()
    model.save(tmp_path / 'there')  # an empty folder is taken
    for place in ('there', 'file'):
        (tmp_path / 'file').write_text('kept')
        with pytest.raises(FileExistsError, match='exists already'):
            model.save(tmp_path / place)
    assert (tmp_path / 'file').read_text() == 'kept'
    assert sorted(p.name for p in (tmp_path / 'there').iterdir()) == ['calibration.npz', 'model', 'model.json']


def test_files_and_arrays_of_any_size(run, tmp_path):
    """Files, grey or in colour, of the same size and of others, are what arrays of their pixels are."""
    folder, _, images, _ = run
    model = ssljax.load(folder, way='scratch')
    paths = []
    for i in range(5):
        paths.append(tmp_path / f'{i}.png')
        Image.fromarray(images[i, ..., 0]).convert('RGB' if i % 2 else 'L').save(paths[-1])
    expected = model.predict(images[:5])
    assert np.allclose(model.predict(paths), expected, atol=1e-6)
    assert np.allclose(model.predict([str(p) for p in paths], batch_size=2), expected, atol=1e-6)
    assert np.allclose(model.predict(images[:5, ..., 0]), expected, atol=1e-6)
    assert np.allclose(model.predict(list(images[:5])), expected, atol=1e-6)
    assert np.allclose(model.predict(paths[0]), expected[:1], atol=1e-6)
    assert np.allclose(model.predict([paths[0], images[1]]), expected[:2], atol=1e-6)
    large = np.kron(images[:3], np.ones((1, 3, 3, 1), np.uint8))
    wide = np.concatenate([large, large], 2)
    for other in (large, wide, list(wide), [wide[0, ..., 0], np.repeat(wide[1], 3, 2), large[2]]):
        p = model.predict(other)
        assert p.shape == (3, 3) and np.isfinite(p).all()
    assert np.abs(model.predict(large) - expected[:3]).max() < 0.2  # the same image, three times as large


def test_images_that_cannot_be_used_are_named(run, tmp_path):
    model = ssljax.load(run[0], way='scratch')
    good = np.zeros((2, 8, 8, 1), np.uint8)
    (tmp_path / 'bad.png').write_bytes(b'\x89PNG\r\n\x1a\n and no more')
    for images, said in (
        (good.astype(np.float32), 'values of type float32; this model takes uint8'),
        (good[0, ..., 0], r'\(8, 8\): it must be \[N, H, W, C\]'),
        ([np.zeros((8, 8, 2), np.uint8)], r'image 0 is an array of shape \(8, 8, 2\)'),
        ([good[0], np.zeros((0, 8, 1), np.uint8)], 'image 1 is an array of shape'),
        ([good[0], tmp_path / 'bad.png'], "bad.png' cannot be read"),
        ([], 'There are no images'),
        (good[:0], 'There are no images'),
    ):
        with pytest.raises(ValueError, match=said):
            model.predict(images)
    with pytest.raises(OSError, match=r'no\.png'):
        model.predict(tmp_path / 'no.png')
    with pytest.raises(ValueError, match='batch_size is 0'):
        model.predict(good, batch_size=0)


def test_what_is_not_there_is_said(run, tmp_path):
    folder = run[0]
    for arguments, said in (
        (dict(way='scrach'), 'did you mean scratch'),
        (dict(seed=7), 'no seed 7 .it has 0, 1'),
    ):
        with pytest.raises(ValueError, match=said):
            ssljax.load(folder, **arguments)
    with pytest.raises(ValueError, match='holds one model'):
        ssljax.load(folder / 'seed0/scratch', way='scratch')
    (tmp_path / 'empty').mkdir()
    for place in ('empty', 'nowhere'):
        with pytest.raises(FileNotFoundError, match=place):
            ssljax.load(tmp_path / place)


def test_a_model_of_a_later_version_is_refused(run, tmp_path):
    shutil.copytree(run[0] / 'seed0/scratch', tmp_path / 'later')
    path = tmp_path / 'later/model.json'
    files.write_json(path, files.read_json(path) | {'schema': 99})
    with pytest.raises(ValueError, match='update ssljax'):
        ssljax.load(tmp_path / 'later')
    path.write_text(path.read_text().replace('"schema": 99', '"schema": 98'))
    with pytest.raises(files.Damaged, match='checksum'):
        ssljax.load(tmp_path / 'later')


def test_a_run_of_an_earlier_version(tmp_path):
    with zipfile.ZipFile(ROOT / 'tests/old/run.zip') as archive:
        archive.extractall(tmp_path)
    old = json.loads((tmp_path / 'result.json').read_text())
    for seed in (0, 1):
        for way, record in old['seeds'][seed]['ways'].items():
            model = ssljax.load(tmp_path, way=way, seed=seed)
            assert model.metrics['test'] == record['test'] and model.classes == ('0', '1', '2')
            assert model.predict(np.zeros((2, 8, 8, 1), np.uint8)).shape == (2, 3)
    assert ssljax.load(tmp_path, way='pretrain').embed(np.zeros((2, 8, 8, 1), np.uint8)).shape == (2, 4)


def test_values_of_many_bits_have_the_range_of_the_training_images(tmp_path):
    """12-bit values in 16-bit files: what the network sees of a file is what it saw in training."""
    rng, pixels = np.random.default_rng(0), []
    for split, n in (('train', 20), ('test', 6)):
        for k, name in enumerate(('dark', 'light')):
            folder = tmp_path / 'data' / split / name
            folder.mkdir(parents=True)
            for i in range(n):
                x = rng.integers(500, 1500, (8, 8)) + 1500 * k
                Image.fromarray(x.astype(np.uint16)).save(folder / f'{i}.png')
                pixels += [x] if split == 'test' else []
    config = ssljax.recipe(
        name='', data__source=f'folder:{tmp_path}/data', data__val='6', transfer__ways=('scratch',),
        pretrain__method='none', evaluate__figures=False, evaluate__probe=False, evaluate__knn=0,
        transfer__scratch__steps=20, transfer__batch_size=16, backbone__width=4,
    )  # fmt: skip
    result = ssljax.train(config, tmp_path / 'run')
    model = ssljax.load(tmp_path / 'run')
    low, high = model.info['input']['range']
    assert 450 < low < 600 and 2900 < high < 3000 and model.classes == ('dark', 'light')
    paths = sorted((tmp_path / 'data/test').glob('*/*.png'), key=lambda p: (p.parent.name, int(p.stem)))
    of_files, of_arrays = model.predict(paths), model.predict(np.stack(pixels)[..., None].astype(np.uint16))
    assert np.allclose(of_files, of_arrays, atol=1e-6)
    right = (of_files.argmax(1) == [p.parent.name == 'light' for p in paths]).mean()
    assert right == result['seeds'][0]['ways']['scratch']['test']['top1']


def test_files_are_resized_as_in_training(tmp_path):
    """The config that is kept says how, and a model of before there was a choice crops."""
    from ssljax import model_json
    from ssljax.config import base
    from ssljax.model import Model
    from ssljax.settings.schema import to_dict

    path = tmp_path / 'x.png'
    Image.fromarray(np.full((4, 8, 1), 200, np.uint8)[..., 0]).save(path)
    for resize, words, black in (('pad', 'black bars', 32), ('squash', 'both sides', 0), ('crop', 'centre square', 0)):
        c = base()
        c.data.update(image_size=8, resize=resize)
        meta = {'config': to_dict(c), 'stage': 'scratch', 'seed': 0, 'versions': {}, 'classes': ['a', 'b']}
        meta['data'] = {'shape': [8, 8, 1], 'train': ''}
        info = model_json.describe(meta, {'best_step': 1, 'steps': 1, 'val': {}})
        assert words in info['input']['resize']
        images = next(Model({}, info).read([path, np.full((4, 8), 200, np.uint8)], 2))
        assert (images == 0).sum((1, 2, 3)).tolist() == [black, black]
    info['config']['data'].pop('resize')
    assert Model({}, info).fit.resize == 'crop'
