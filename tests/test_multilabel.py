"""Images with several classes each, from their training to what is made of the model."""

import csv
import json
import time

import jax
import numpy as np
import pytest
from PIL import Image
from scipy.special import expit
from sklearn.metrics import average_precision_score

import ssljax
from ssljax import experiment, methods, report, study
from ssljax.data import sources
from ssljax.labeling import label, pool
from ssljax.planning import fingerprint, rules
from ssljax.progress.log import read
from ssljax.settings import schema
from ssljax.storage import files
from ssljax.tune import phases
from tests import pages

NAMES = ('left', 'right', 'top')


def picture(rng, row):
    """A noisy image of 8 pixels with a bright part for each class."""
    image = rng.integers(0, 120, (8, 8))
    for part, has in zip(((slice(4, 8), slice(0, 4)), (slice(4, 8), slice(4, 8)), (slice(0, 4), slice(None))), row):
        image[part] += 110 * has
    return image.astype(np.uint8)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """80 labelled training images, 40 without a label and 60 for test, and their CSV."""
    root, rng, rows = tmp_path_factory.mktemp('images'), np.random.default_rng(0), []
    for split, count, labelled in (('train', 80, True), ('', 40, False), ('test', 60, True)):
        for _ in range(count):
            hot, name = rng.random(3) < [0.5, 0.4, 0.3], f'{len(rows):03}.png'
            Image.fromarray(picture(rng, hot)).save(root / name)
            said = ';'.join(n for n, has in zip(NAMES, hot) if has) or ';'
            rows.append([name, said if labelled else '', split])
    with open(root / 'labels.csv', 'w') as f:
        csv.writer(f).writerows([['path', 'label', 'split'], *rows])
    return root


def setting(config, folder):
    config.data.update(source=f'csv:{folder}/labels.csv', labels='40', val='40')
    config.pretrain.update(method='rotation', steps=4, evals=2)
    config.transfer.ways = ('scratch', 'frozen', 'finetune', 'two_stage')
    config.transfer.scratch.update(steps=60, evals=3)
    config.transfer.finetune.update(steps=20, evals=1)
    config.transfer.frozen.update(epochs=0.0, steps=4)
    config.transfer.second.update(epochs=0.0, steps=4)
    config.transfer.class_weights = 'balanced'
    return config


@pytest.fixture(scope='module')
def done(folder, tmp_path_factory):
    """(folder of a run, its result), without a page."""
    from ssljax.config import base

    c = setting(base(), folder)
    c.backbone.name, c.backbone.width, c.backbone.depth = 'cnn', 8, 2
    c.pretrain.epochs = 0.0
    where = tmp_path_factory.mktemp('run') / 'run'
    with pytest.MonkeyPatch.context() as patch:
        pages.leave_out(patch)
        return where, experiment.run(c, where)


def test_what_a_result_says(done):
    where, result = done
    (record,), data = result['seeds'], result['data']
    assert data['multilabel'] and data['classes'] == list(NAMES) and sum(data['per_class']['test']) != 60
    assert set(result['summary']) == {'scratch', 'frozen', 'finetune', 'two_stage'}
    assert 'mAP' in result['summary']['scratch'] and 'top1' not in result['summary']['scratch']
    best = record['ways']['scratch']
    assert best['test']['mAP'] > 0.8 > 1.5 * np.mean(best['test']['prevalence'])
    rows = [r for r in read(where / 'seed0/scratch/metrics.jsonl') if 'val/mAP' in r]
    assert len(rows) == 3 and best['val']['mAP'] == pytest.approx(max(r['val/mAP'] for r in rows), abs=1e-6)
    assert {'mAP', 'macro_f1', 'per_class'} <= set(best['test']['intervals'])
    assert set(record['bootstrap']) == {'frozen', 'finetune', 'two_stage'} and 'mcnemar' not in record
    assert 0 < record['knn']['pretrained']['test']['mAP'] <= 1
    assert 0 < record['probe']['random']['layers'][record['probe']['random']['best']]['test'] <= 1
    assert {'select', 'mAP'} <= {str(v) for d in result['resolved'] for v in (d['field'], d['value'])}
    assert 'Multi-label: an image has any number of the 3 classes' in result['protocol']
    assert 'best validation mAP' in result['protocol'] and 'accuracy of' not in result['protocol']
    again = experiment.run(schema.restored(files.read_json(where / 'config.json')), where)
    assert again['seeds'] == result['seeds'], 'a finished run is resumed under the same config'


def test_the_model_that_is_loaded(done, folder, tmp_path):
    model = ssljax.load(done[0], way='scratch')
    record = done[1]['seeds'][0]['ways']['scratch']
    assert model.multilabel and model.classes == NAMES and 'highest mAP on validation' in model.info['chosen']
    assert ssljax.load(done[0]).chosen.startswith('the highest mAP on validation')
    source = sources.load(schema.restored(files.read_json(done[0] / 'config.json')).data)
    images, hot = source.test.read(np.arange(60)), source.targets.hot(source.test.labels)
    p = model.predict(images)
    assert p.shape == (60, 3) and not np.allclose(p.sum(1), 1)
    assert average_precision_score(hot, p, average='macro') == pytest.approx(record['test']['mAP'], abs=1e-6)
    assert model.threshold == pytest.approx(expit(record['test']['cut'] / model.temperature))
    exact = np.mean([said == source.targets.text(l, NAMES) for said, l in zip(model.labels(p), source.test.labels)])
    assert exact == pytest.approx(record['test']['exact_match'])
    again = ssljax.load(model.save(tmp_path / 'model'))
    assert again.multilabel and again.threshold == model.threshold
    np.testing.assert_allclose(again.predict(images), p, atol=1e-6)


def test_predictions_and_copies(done, folder, tmp_path):
    model = ssljax.load(done[0], way='scratch')
    (tmp_path / 'broken.png').write_bytes(b'no image')
    found = ssljax.predict(
        model, [folder / '120.png', folder / '121.png', tmp_path / 'broken.png'], tmp_path / 'out.csv',
        copy_to=tmp_path / 'copies',
    )  # fmt: skip
    rows = list(csv.DictReader(open(tmp_path / 'out.csv')))
    assert list(rows[0]) == ['path', 'label', 'unlike', 'p_left', 'p_right', 'p_top', 'error']
    assert [row['label'] for row in rows[:2]] == model.labels(found.probabilities[:2]) and rows[2]['error']
    for row in rows[:2]:
        above = [n for n in NAMES if float(row[f'p_{n}']) > model.threshold]
        assert row['label'] == (';'.join(above) or ';')
        for name in above or ['none of the classes']:
            assert list((tmp_path / f'copies/{name}').iterdir())
    with pytest.raises(ValueError, match='top=2, but .* is a multi-label model'):
        ssljax.predict(model, folder / '120.png', top=2)


def test_an_export_has_a_sigmoid(done, folder, tmp_path):
    pytest.importorskip('safetensors')
    model = ssljax.load(done[0], way='scratch')
    for name in ('a.stablehlo', 'a.safetensors'):
        path = model.export(tmp_path / name)
        info = json.loads((tmp_path / f'{name}.json').read_text())
        assert info['output']['activation'] == 'sigmoid' and info['output']['threshold'] == model.threshold
        other = ssljax.load(path)
        images = [folder / f'{i}.png' for i in range(120, 130)]
        np.testing.assert_allclose(other.predict(images), model.predict(images), atol=1e-5)
        assert other.labels(other.predict(images)) == model.labels(model.predict(images))


def test_an_onnx_export_agrees(done, tmp_path):
    pytest.importorskip('onnxruntime')
    model = ssljax.load(done[0], way='scratch')
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1), np.uint8)
    np.testing.assert_allclose(
        ssljax.load(model.export(tmp_path / 'a.onnx')).predict(images), model.predict(images), atol=1e-4
    )


def test_what_to_label_next(done, tmp_path):
    found = label(done[0], 5, tmp_path / 'next.csv', by='uncertain')
    assert found.pool.multilabel and len(found.paths) == 5 and 'from the threshold' in found.why[0]
    model = ssljax.load(done[0])
    p = pool.outputs(model, found.pool.unlabeled).probabilities
    near = np.sort(np.abs(p - model.threshold).min(1))
    assert np.abs(p[found.rows[0]] - model.threshold).min() == pytest.approx(near[0])
    assert all(set(one.split(';')) <= {*NAMES, ''} for one in found.labels)


def test_the_page_of_labels_takes_several(done, tmp_path):
    from ssljax.labeling import server

    found = label(done[0], 3)
    for said, taken in (('left;top', True), (';', True), ('', True), ('left;cow', False), ('cow', False)):
        assert server._names(found, said) == taken
    assert server._items(found, server.Labels(tmp_path / 'l.csv'))['several']


def test_the_page_of_the_run(done):
    page = report.write(done[0]).read_text()
    for text in (
        'mAP of each way', 'Chance (classes at their prevalence)', 'average precision by class', 'Macro AUROC',
        'Paired bootstrap', 'missed,', 'rarest class', 'Threshold %', 'a class in common', 'Hamming',
    ):  # fmt: skip
        assert text in page, text
    assert 'top-1' not in page.lower().replace('the pretext', '') or page.lower().count('top-1') <= 3
    assert 'Confusion matrix' not in page and 'Test top-1' not in page
    table = report.table(done[1])
    assert 'Test mAP %' in table and 'on resampled test images of seed 0' in table.replace('On', 'on')


def test_joint_methods_are_refused_before_anything_is_trained(config, folder, tmp_path):
    setting(config, folder).transfer.ways = ('scratch', 'fixmatch', 'sgan')
    with pytest.raises(ValueError, match='fixmatch, sgan, which assume one class per image.*transfer.ways=scratch'):
        experiment.run(config, tmp_path / 'run')
    assert not list((tmp_path / 'run').glob('seed*'))
    assert not any(methods.takes_several(name) for name in methods.SEMI)
    config.transfer.ways, config.select = ('scratch',), 'balanced_accuracy'
    with pytest.raises(ValueError, match='select is balanced_accuracy, but images have several classes each'):
        experiment.run(config, tmp_path / 'run')


def test_map_is_for_several_classes(config, tmp_path):
    config.select = 'mAP'
    with pytest.raises(ValueError, match='select is mAP, but images have one class each: it must be one of top1'):
        experiment.run(config, tmp_path / 'run')


def test_a_study_over_labels(config, folder, tmp_path):
    setting(config, folder).transfer.ways = ('scratch', 'finetune')
    config.transfer.scratch.steps, config.seeds = 20, (0, 1)
    config.study.labels = ('12', '36')
    study(config, tmp_path / 'study')
    rows = list(csv.DictReader(open(tmp_path / 'study/rows.csv')))
    assert len(rows) == 8 and all(0 < float(r['test_mAP']) <= 1 and not r['test_top1'] for r in rows)
    assert {r['select'] for r in rows} == {'mAP'} and all(float(r['test_majority']) < 0.6 for r in rows)
    page = (tmp_path / 'study/study.html').read_text()
    assert 'Test mAP (%)' in page and 'top-1' not in page and 'Chance' in page


def test_a_plan_leaves_joint_methods_out(config, folder):
    fp = fingerprint.take(setting(config, folder))
    assert fp.multilabel and fp.labeled == 80 and fp.counts != (80,) and 'several per image' in fp.lines()[0]
    of = lambda fp: rules.Regime(fp, fp.side, False)
    parts, why = rules.parts(of(fp), rules.sets(fp, {}))
    assert parts == () and 'one class per image' in why[0] and not rules.selection(fp)
    assert rules.parts(of(fp._replace(unlabeled=5000)), rules.sets(fp, {}))[0] == ('pretrain',)


def test_tuning_goes_by_map(config, folder, tmp_path):
    setting(config, folder).transfer.ways = ('scratch',)
    config.pretrain.method = 'none'
    bench = phases.make_bench(config, tmp_path, sources.load(config.data), tmp_path / 'trials', time.time() + 300)
    out = bench.train('scratch', config, 12)
    assert bench.metric == 'mAP' and out.value == pytest.approx(max(value for _, value in out.curve))
    assert 0.3 < bench.chance() < 0.9, 'the share of the images that have a class, and two standard errors'


def test_a_check_of_several_classes(folder, tmp_path):
    found = ssljax.check(f'csv:{folder}/labels.csv', tmp_path / 'check')
    assert found['multilabel'] and found['classes'] == list(NAMES)
    assert sum(found['splits']['train']['per_class']) != 80 and found['splits']['train']['labelled'] == 80
    with pytest.raises(ValueError, match='is multi-label, but --run can only look for'):
        ssljax.check(f'csv:{folder}/labels.csv', tmp_path / 'again', run=str(tmp_path))
    assert jax.process_count() == 1
