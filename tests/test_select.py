"""Selection by a metric other than top-1, and training on imbalanced classes."""

import gzip

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

import ssljax
from ssljax import experiment, seeds, stages, vmapped
from ssljax.config import base
from ssljax.data import sources, summary
from ssljax.progress.log import read
from ssljax.settings import checks
from ssljax.storage import files


def saved(path, images, labels, test_images, test_labels):
    """An .npz in MedMNIST's layout."""
    parts = dict(train_images=images, train_labels=labels, test_images=test_images, test_labels=test_labels)
    np.savez(path, **parts)
    return f'npz:{path}'


def blobs(counts, seed):
    """Noisy images of 8 pixels, one bright half a class, and labels."""
    rng, labels = np.random.default_rng(seed), np.repeat(np.arange(len(counts)), counts)
    images = rng.integers(0, 200, (len(labels), 8, 8))
    images[labels == 1, :, 4:] += 30
    return images.astype(np.uint8), labels


@pytest.fixture
def tiny(config, tmp_path):
    """Two classes, 120 to 24."""
    config.data.update(source=saved(tmp_path / 'data.npz', *blobs((120, 24), 0), *blobs((60, 12), 1)), val='25%')
    config.data.labels = 'all'
    config.pretrain.method, config.transfer.ways = 'none', ('scratch',)
    config.transfer.scratch.update(steps=24, evals=8)
    config.backbone.name = 'mlp'
    config.evaluate.update(knn=0, probe=False, random=True)
    return config


def test_weights_and_models_are_selected_by_the_metric(tiny, tmp_path):
    select = tiny.select = 'auroc'
    tiny.seeds, tiny.evaluate.probe = (0, 1), True
    result = experiment.run(tiny, tmp_path / 'run')
    best = {}
    for record in result['seeds']:
        seed, way = record['seed'], record['ways']['scratch']
        rows = [r for r in read(tmp_path / f'run/seed{seed}/scratch/metrics.jsonl') if f'val/{select}' in r]
        values = {r['step']: np.float32(r[f'val/{select}']) for r in rows}
        assert len(values) == 8 and way['best_step'] == max(values, key=lambda s: (values[s], -s))
        assert way['val'][select] == max(values.values())
        top1 = next(r['val/top1'] for r in rows if r['step'] == way['best_step'])
        assert way['val']['top1'] == pytest.approx(top1) and 'intervals' in way['val']
        best[seed] = way['val'][select]
        for found in record.get('probe', {}).values():
            assert found['best'] == max(found['layers'], key=lambda name: found['layers'][name][select])
    model = ssljax.load(tmp_path / 'run')
    assert model.chosen.startswith(f'the highest macro AUROC on validation, {100 * max(best.values()):.2f}%')
    assert model.info['seed'] == max(best, key=best.get)
    assert model.info['chosen'].endswith('the highest macro AUROC on validation')
    assert 'the best validation macro AUROC' in result['protocol']


def test_what_a_result_says_beside_top1(tiny, tmp_path):
    record = experiment.run(tiny, tmp_path / 'run')['seeds'][0]['ways']['scratch']
    source = sources.load(tiny.data)
    guess = ssljax.load(tmp_path / 'run').predict(source.test.read(np.arange(len(source.test)))).argmax(1)
    test = record['test']
    assert test['images'] == 72 and test['positive'] == 1 and record['val']['positive'] == 1
    assert test['balanced_accuracy'] == pytest.approx(balanced_accuracy_score(source.test.labels, guess))
    assert test['sensitivity'] == test['per_class'][1] and test['specificity'] == test['per_class'][0]
    for split in ('val', 'test'):
        ends = record[split]['intervals']
        assert {'top1', 'balanced_accuracy', 'per_class', 'sensitivity', 'specificity'} <= set(ends)
    rows = read(tmp_path / 'run/seed0/scratch/metrics.jsonl')
    assert not any('val/balanced_accuracy' in row for row in rows), 'by default nothing more is measured in training'


def test_runs_that_train_together_are_selected_alike(tiny, tmp_path):
    tiny.select, tiny.seeds = 'macro_f1', (0, 1)
    tiny.transfer.update(class_weights='balanced', logit_adjustment=0.5)
    records = []
    for name in ('alone', 'together'):
        run = experiment.prepare(tiny, tmp_path / name, sources.load(tiny.data), quiet=True)
        tasks = [seeds.single_stage(run, 'scratch', seed) for seed in tiny.seeds]
        if name == 'together':
            assert vmapped.alike(*tasks) and vmapped.fit(tasks) == [True, True]
        for seed in tiny.seeds:
            seeds.train_seed(run, seed)
            done = files.read_json(tmp_path / name / f'seed{seed}/scratch/done.json')
            records.append((done['best_step'], *done['val'].values()))
    assert records[:2] == [pytest.approx(record) for record in records[2:]]


def test_label_sets_of_other_frequencies_do_not_share_a_program(tiny, tmp_path):
    """Class counts are constants of the program."""
    tiny.data.update(labels='10/class', val='10')
    tiny.transfer.logit_adjustment = 1.0
    run = experiment.prepare(tiny, tmp_path / 'run', sources.load(tiny.data), quiet=True)
    labeled = seeds.seed_images(run, 0)[1]['labeled']
    task = lambda run, images: stages.task(run, 'scratch', 'scratch', 0, images, images, {'params': {}})
    some = labeled.take(np.arange(15))
    programs = [task(run, images).program for images in (labeled, some, labeled)]
    assert programs[0] is programs[2] and programs[0] is not programs[1]


def test_a_metric_that_validation_does_not_have_is_refused(tiny, tmp_path):
    tiny.select = 'auroc'
    tiny.data.val = '1'
    with pytest.raises(ValueError, match='config.select is auroc, but the 1 validation images of seed 0 are not'):
        experiment.run(tiny, tmp_path / 'run')
    tiny.select = 'balanced'
    with pytest.raises(ValueError, match='select is .balanced.*it must be one of top1, balanced_accuracy, macro_f1'):
        checks.check(tiny)


def test_the_positive_class_is_named(tiny, tmp_path):
    tiny.evaluate.positive = '0'
    record = experiment.run(tiny, tmp_path / 'run')['seeds'][0]['ways']['scratch']
    assert record['test']['positive'] == 0 and record['test']['sensitivity'] == record['test']['per_class'][0]
    tiny.evaluate.positive = 'ill'
    with pytest.raises(ValueError, match="evaluate.positive is 'ill'.*of two classes; here they are '0', '1'"):
        experiment.run(tiny, tmp_path / 'other')


def test_imbalance_is_told_before_training(tiny):
    text = summary.text(sources.load(tiny.data))
    assert 'imbalanced: the largest class has 5.0 times the training images of the smallest' in text
    assert '--config.transfer.logit_adjustment=1' in text
    assert 'imbalanced' not in summary.text(sources.load(base().data))


def test_logit_adjustment_finds_the_rare_class_of_real_images(shared_data, tmp_path):
    """T-shirts against shirts, 360 to 40: balanced accuracy and the recall of shirts rise with the adjusted loss."""
    folder = shared_data('fashion_mnist')

    def images(part):
        with gzip.open(folder / f'{part}-labels-idx1-ubyte.gz') as f:
            labels = np.frombuffer(f.read(), np.uint8, offset=8)
        with gzip.open(folder / f'{part}-images-idx3-ubyte.gz') as f:
            pixels = np.frombuffer(f.read(), np.uint8, offset=16).reshape(-1, 28, 28)[:, ::2, ::2]
        return [pixels[labels == label] for label in (0, 6)]

    (shirts, rare), (test, other) = images('train'), images('t10k')
    labels = np.repeat([0, 1], [450, 50])
    source = saved(
        tmp_path / 'data.npz', np.concatenate([shirts[:450], rare[:50]]), labels,
        np.concatenate([test, other]), np.repeat([0, 1], 1000),
    )  # fmt: skip
    c = base()
    c.data.update(source=source, labels='all', val='20%')
    c.backbone.name = 'mlp'
    c.pretrain.method, c.select = 'none', 'balanced_accuracy'
    c.transfer.ways = ('scratch', 'adjusted')
    c.variants = (('adjusted', 'scratch', (('transfer.logit_adjustment', 1.0),)),)
    c.transfer.scratch.update(steps=200, evals=4)
    c.evaluate.update(knn=0, probe=False, random=False, figures=False)
    ways = experiment.run(c, tmp_path / 'run')['seeds'][0]['ways']
    balanced = {way: ways[way]['test']['balanced_accuracy'] for way in ways}
    low, high = ways['scratch']['test']['intervals']['balanced_accuracy']
    assert high - low < 0.05
    assert balanced['adjusted'] > balanced['scratch'] + 0.03, balanced
    assert ways['adjusted']['test']['per_class'][1] > ways['scratch']['test']['per_class'][1] + 0.1
