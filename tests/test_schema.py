"""A run keeps its identity: what it depends on, and runs and studies that an earlier version has written."""

import csv
import importlib.util
import json
import sys
import types
import zipfile
from pathlib import Path

import pytest

from ssljax import config as configs
from ssljax import experiment, methods, report
from ssljax.methods import rotation
from ssljax.settings import schema
from ssljax.storage import files
from ssljax.studies import cells, page, worker

OLD = Path(__file__).parent / 'old'


def recipe():
    spec = importlib.util.spec_from_file_location('recipe', OLD / 'recipe.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config()


def unpacked(name, folder):
    with zipfile.ZipFile(OLD / f'{name}.zip') as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(params=['today', 'with a new method'])
def version(request, monkeypatch):
    """Today's code, and one to which a pretext task and its options were added."""
    if request.param != 'today':
        module = types.ModuleType('spin')
        module.__dict__.update(vars(rotation) | {'OPTIONS': {'angles': 7}})
        monkeypatch.setitem(methods.PRETEXT, 'spin', module)
        configs.definitions.cache_clear()
        assert 'spin' in configs.base().pretrain
    yield request.param
    monkeypatch.undo()
    configs.definitions.cache_clear()


def test_a_finished_run_opens_and_is_reported(version, tmp_path):
    """Its figures are the old ones, and nothing is trained."""
    run = unpacked('run', tmp_path / 'run')
    old = files.read_json(run / 'result.json')
    stages = {p: p.read_bytes() for p in run.glob('seed*/*/done.json')}
    new = experiment.run(recipe(), run)
    assert len(stages) == 8 and stages == {p: p.read_bytes() for p in run.glob('seed*/*/done.json')}
    assert new['summary'] == old['summary'] and new['seeds'] == old['seeds']
    assert new['versus_scratch'] == old['versus_scratch']
    assert Path(report.write(run)).is_file()


def test_an_unfinished_run_goes_on(version, tmp_path):
    """One stage of one seed is trained, from the old weights; the rest is as it was."""
    run = unpacked('run', tmp_path / 'run')
    old = files.read_json(run / 'result.json')
    for gone in ('result.json', 'seed1/evaluation.json', 'seed1/two_stage/done.json'):
        (run / gone).unlink()
    before = {p: p.stat().st_mtime_ns for p in run.glob('seed*/*/done.json')}
    new = experiment.run(recipe(), run)
    assert len(before) == 7 and before == {p: p.stat().st_mtime_ns for p in before}
    for a, b in zip(old['seeds'], new['seeds']):
        for way in a['ways']:
            assert abs(a['ways'][way]['test']['top1'] - b['ways'][way]['test']['top1']) < 0.02, way


def test_more_seeds_compute_only_what_is_new(tmp_path):
    run = unpacked('run', tmp_path / 'run')
    old = files.read_json(run / 'result.json')
    more, fewer, other = recipe(), recipe(), recipe()
    more.seeds, fewer.seeds, other.seeds = (0, 1, 2), (0, 1), (0, 2)
    before = {p: p.stat().st_mtime_ns for p in run.glob('seed*/*/done.json')}
    new = experiment.run(more, run)
    assert new['seeds'][:2] == old['seeds'] and [s['seed'] for s in new['seeds']] == [0, 1, 2]
    assert before == {p: p.stat().st_mtime_ns for p in before}
    for config in (fewer, other):
        with pytest.raises(ValueError, match='seeds: '):
            experiment.run(config, run)
    assert files.read_json(run / 'result.json') == json.loads(json.dumps(new))


def test_a_study_opens_and_goes_on(version, tmp_path):
    """A cell that is missing is computed, with the old pretraining; the others keep their rows."""
    study = unpacked('study', tmp_path / 'study')
    config, planned = recipe(), cells(recipe())
    rows = [files.read_json(study / cell.job.folder / 'row.json') for cell in planned]
    assert len(rows) == 12 and all(rows)
    missing = next(cell for cell in planned if cell.way == 'two_stage')
    (study / missing.job.folder / 'row.json').unlink()
    table = worker.run(config, study, write=page.write)
    with open(table) as f:
        found = {row['cell']: float(row['test_top1']) for row in csv.DictReader(f)}
    assert found.keys() == {row['cell'] for row in rows} and (study / 'study.html').is_file()
    for row in rows:
        assert abs(found[row['cell']] - row['test_top1']) < (0.02 if row['cell'] == missing.id else 1e-12)


def test_ids_of_the_published_study_stay():
    """Those of configs/label_efficiency.py, as they were when its figure was made."""
    spec = importlib.util.spec_from_file_location('recipe', OLD.parents[1] / 'configs/label_efficiency.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert [c.id for c in cells(module.get_config())] == json.loads((OLD / 'ids.json').read_text())


def test_only_what_a_run_uses_is_compared():
    """Fields of every section, of methods that are trained and of others, one by one."""
    base = recipe()
    old = schema.to_dict(base)
    free = ('pretrain.simclr.temperature', 'semi.lr', 'semi.fixmatch.threshold', 'tuning.minutes', 'study.together',
            'semi.batch_size', 'save_every', 'data.cache', 'log_every')  # fmt: skip
    used = ('pretrain.optim.lr', 'pretrain.rotation.augment', 'transfer.dropout', 'data.val', 'backbone.width',
            'evaluate.knn', 'evaluate.probe_l2', 'transfer.frozen.steps')  # fmt: skip
    other = {int: 7, float: 0.123, str: 'flip', tuple: (3,), bool: True}
    for name in free + used:
        if name == 'semi.lr':
            name = 'semi.optim.lr'
        new = base.copy_and_resolve_references()
        value = configs.definitions()[name].default
        new.update_from_flattened_dict({name: other[type(value)]})
        assert bool(schema.changes(old, schema.to_dict(new))) == (name in used), name
    semi = recipe()
    semi.transfer.ways = ('scratch', 'fixmatch')
    changed = semi.copy_and_resolve_references()
    changed.semi.fixmatch.threshold, changed.semi.uda.threshold = 0.5, 0.6
    assert schema.changes(schema.to_dict(semi), schema.to_dict(changed)) == ['semi.fixmatch.threshold: 0.95 -> 0.5']


def test_a_field_that_a_run_lacks_is_at_its_default():
    new = schema.to_dict(recipe())
    for name in configs.definitions():
        old = json.loads(json.dumps(new))
        *parts, last = name.split('.')
        node = old
        for part in parts:
            node = node[part]
        if node.pop(last) == json.loads(json.dumps(configs.definitions()[name].default)):
            assert schema.changes(old, new) == [], name


def test_a_config_comes_back_from_disk():
    config = recipe()
    config.variants = (('plain', 'scratch', (('transfer.augment', ''),)),)
    plain = json.loads(json.dumps(schema.to_dict(config)))
    assert schema.restored(plain) == config
    plain['pretrain']['gone'] = {'option': 1}  # of a method that was removed
    assert schema.restored(plain) == config


def test_the_old_name_of_the_oracle():
    plain = schema.to_dict(recipe())
    plain['data'].update(choose='typical', labels='10/class')
    assert schema.upgrade(plain | {'schema': 1})['data']['choose'] == 'typical_oracle'
    assert schema.upgrade(plain | {'schema': schema.SCHEMA})['data']['choose'] == 'typical'
    assert sorted(schema.MIGRATIONS) == list(range(1, schema.SCHEMA))


@pytest.fixture(autouse=True)
def _no_modules_left():
    yield
    sys.modules.pop('recipe', None)
