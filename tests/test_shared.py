"""One pretraining for all seeds (pretrain.shared)."""

import re

import jax
import numpy as np
import pytest

import ssljax
from ssljax import experiment, guard, report, seeds, stages
from ssljax.progress import minutes
from ssljax.records import protocol
from ssljax.report import goodput, runs
from ssljax.storage import files
from ssljax.studies import worker
from tests import rows


@pytest.fixture
def shared(config):
    config.seeds, config.pretrain.shared = (3, 1), True
    config.transfer.ways = ('scratch', 'frozen')
    return config


@pytest.mark.usefixtures('drawn')
def test_every_seed_has_the_pretraining_of_the_first(shared, tmp_path):
    found = experiment.run(shared, tmp_path)
    assert [path.parent.name for path in tmp_path.glob('seed*/pretrain')] == ['seed3']
    first, second = found['seeds']
    assert first['pretrain']['steps'] == 12 and second['pretrain'] == {'method': 'rotation', 'shared': 3}
    models = [
        ssljax.load(tmp_path, way=way, seed=seed) for way, seed in (('pretrain', 3), ('frozen', 3), ('frozen', 1))
    ]
    weights = [np.concatenate([x.ravel() for x in leaves(m)]) for m in models]
    np.testing.assert_array_equal(weights[0], weights[1])
    np.testing.assert_array_equal(weights[0], weights[2])
    assert first['ways']['scratch'] != second['ways']['scratch']
    # Neighbours differ with the labels, of one backbone; the time of pretraining counts once.
    assert first['knn']['pretrained'] != second['knn']['pretrained']
    assert goodput.spent_on(found, 'pretrain') == first['pretrain']['spent']
    assert ssljax.load(tmp_path, way='pretrain', seed=1).chosen == 'the pretrained backbone of seed 3'
    page = (tmp_path / 'report.html').read_text()
    assert 'pretrained once, with the images of seed 3, for all seeds' in page
    assert 'Pretraining, one for all seeds' in page and len(re.findall('<td[^>]*>rotation</td>', page)) == 1
    assert report.table(found)
    assert 'rotation: one pretraining for all seeds, so its spread' in runs.compare_runs([tmp_path])

    shared.seeds = (3, 1, 5)  # a further seed has it, too
    more = experiment.run(shared, tmp_path)
    assert more['seeds'][:2] == found['seeds'] and more['seeds'][2]['pretrain']['shared'] == 3
    shared.seeds = (1, 3, 5)
    with pytest.raises(ValueError, match='but the pretraining of seed 3 serves all seeds: keep it first'):
        experiment.run(shared, tmp_path)


def leaves(model):
    return jax.tree.leaves(model.variables['params']['backbone'])


def test_a_seed_that_is_resumed_does_not_pretrain_again(shared, tmp_path, monkeypatch):
    trained, fit = [], stages.loop.fit
    monkeypatch.setattr(stages.loop, 'fit', lambda task, watch=None: trained.append(task.title) or fit(task, watch))
    shared.seeds = (0, 1)
    run = experiment.prepare(shared, tmp_path, experiment.sources.load(shared.data))
    seeds.train_seed(run, 1)  # alone, as by a process of its own
    assert [title for title in trained if 'pretrain' in title] == ['seed 0 · pretrain (rotation)']
    assert not (tmp_path / 'seed1/pretrain').exists()


def test_what_stopped_the_pretraining_stops_all_seeds(shared, tmp_path, monkeypatch):
    shared.pretrain.optim.lr = 1e30
    found = experiment.run(shared, tmp_path)
    assert [sorted(seed['stopped']) for seed in found['seeds']] == [['frozen', 'pretrain']] * 2
    shared.transfer.ways = ('frozen',)
    with pytest.raises(guard.Stopped):
        experiment.run(shared, tmp_path / 'other')


def test_a_study_pretrains_once(study, tmp_path):
    study.pretrain.shared = True
    worker.run(study, tmp_path)
    found = rows.read(tmp_path)
    assert len(found) == 8 and len(list((tmp_path / 'pretrained').iterdir())) == 1
    said = protocol.of_study(study)
    assert 'Pretraining runs once on all' in said and 'with the images of seed 0, for all seeds' in said
    study.pretrain.shared = False
    again = {cell.id: cell for cell in worker.cells(study)}
    own = {cell.needs.folder for cell in again.values() if cell.needs}
    assert len(own) == 2 and len(own & {f'pretrained/{p.name}' for p in (tmp_path / 'pretrained').iterdir()}) == 1
    assert 'once per seed' in protocol.of_study(study)
    with pytest.raises(ValueError, match='pretrain.shared holds for a whole study'):
        worker.cells(study, [{'pretrain.shared': True}])
    study.study.pretrained = (('once', (('pretrain.shared', True),)),)
    with pytest.raises(ValueError, match='pretrain.shared holds for a whole study'):
        worker.cells(study)


def test_the_time_of_a_further_seed_is_without_it(shared, tmp_path):
    shared.answer.minutes = 10.0
    minutes.elapsed.begin(tmp_path, minutes.elapsed.now() - 400)
    for stage, seconds in (('pretrain', 300.0), ('scratch', 40.0)):
        files.write_json(tmp_path / f'seed3/{stage}/done.json', {'seconds': seconds})
    assert minutes.seed_fits(shared, tmp_path, 1)
    shared.pretrain.shared = False
    assert not minutes.seed_fits(shared, tmp_path, 1)
