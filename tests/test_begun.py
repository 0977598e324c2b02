"""What a run's directory says of itself, with files of it damaged or gone."""

import json

import numpy as np
import pytest

from ssljax import config as configs
from ssljax import experiment, label_set
from ssljax.data import partition as partitions
from ssljax.records import begun, identity
from ssljax.storage import files
from ssljax.studies import worker
from ssljax.studies.batch import _known


@pytest.fixture
def stage(config, tmp_path):
    """A run's directory without its config.json and data.json: a stage's checkpoint knows them."""
    path = tmp_path / 'seed0/pretrain/model/0/meta/metadata'
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({'config': configs.to_dict(config), 'data': {'shape': [8, 8, 1], 'train': 'abc'}}))
    return tmp_path


def test_a_missing_config_is_compared_with_that_of_a_stage(config, stage):
    identity.claim(config, stage)
    (stage / 'config.json').unlink()
    config.pretrain.batch_size = 32
    with pytest.raises(ValueError, match='pretrain.batch_size: 16 -> 32'):
        identity.claim(config, stage)


def test_what_the_evaluation_alone_depends_on_can_be_changed_before_it(config, tmp_path):
    identity.claim(config, tmp_path)
    files.write_json(tmp_path / 'seed0/pretrain/done.json', {})
    config.evaluate.probe_pool, config.log_every = 'grid2', 7
    identity.claim(config, tmp_path)
    assert files.read_json(tmp_path / 'config.json')['evaluate']['probe_pool'] == 'grid2'
    config.pretrain.batch_size = 32
    with pytest.raises(ValueError, match='pretrain.batch_size: 16 -> 32'):
        identity.claim(config, tmp_path)
    config.pretrain.batch_size = 16
    files.write_json(tmp_path / 'seed0/evaluation.json', {})
    config.evaluate.probe_pool = 'avg'
    with pytest.raises(ValueError, match="evaluate.probe_pool: 'grid2' -> 'avg'"):
        identity.claim(config, tmp_path)


def test_missing_data_are_compared_with_those_of_a_stage(config, stage):
    with pytest.raises(ValueError, match='was abc'):
        experiment.prepare(config, stage, experiment.sources.load(config.data))


@pytest.mark.parametrize('gone', [('data.json',), ('data.npz',), ('config.json', 'data.json', 'data.npz')])
@pytest.mark.parametrize('trained', [False, True])
def test_what_was_deleted_is_written_again(config, tmp_path, gone, trained):
    source = experiment.sources.load(config.data)

    def begin():
        identity.claim(config, tmp_path)
        state = experiment.prepare(config, tmp_path, source)
        return state.meta, experiment.leaks_of(tmp_path, source)

    meta, warnings = begin()
    if trained:
        files.write_json(tmp_path / 'seed0/pretrain/model/0/meta/metadata', meta)
    kept = {name: files.read_json(tmp_path / name) for name in ('config.json', 'data.json')}
    for name in gone:
        (tmp_path / name).unlink()
    assert begin()[1] == warnings
    assert kept == {name: files.read_json(tmp_path / name) for name in kept}
    assert files.read_npz(tmp_path / 'data.npz')


@pytest.mark.parametrize('name', ['config', 'data'])
def test_what_a_run_was_begun_with_is_not_guessed(stage, name):
    (stage / f'{name}.json').write_text('{')
    with pytest.raises(files.Damaged, match=f'{name}.json is damaged .* Restore it from a copy, or delete it'):
        begun.stored(stage, name)


def test_decisions_are_made_again_only_before_training(tmp_path):
    path = tmp_path / 'tuning/decisions.json'
    assert begun.decisions(path) is None
    files.write_json(path, {'decisions': [], 'trials': 1, 'seconds': 1.0})
    assert begun.decisions(path)['trials'] == 1
    path.write_text('[]')
    assert begun.decisions(path) is None and not path.exists()  # set aside
    files.write_atomically(tmp_path / 'seed0/scratch/metrics.jsonl', '')
    with pytest.raises(FileNotFoundError, match='decisions.json is missing: the stages already started'):
        begun.decisions(path)
    path.write_text('[]')
    with pytest.raises(files.Damaged, match='tuning again could decide differently'):
        begun.decisions(path)


def partition(directory, rows=((0, 2), (1,), (3,))):
    found = partitions.Partition(*(np.array(r, np.int64) for r in rows))
    partitions.save(directory / 'partition.npz', found, train='abc')
    return found


def test_a_label_set_that_is_damaged_or_of_other_images_is_set_aside(tmp_path):
    partition(tmp_path)
    path = tmp_path / 'partition.npz'
    assert label_set.stored(path, 4).labeled.tolist() == [0, 2]
    assert label_set.stored(path, 3) is None and not path.exists()
    np.savez(path, labeled=np.arange(2))
    assert label_set.stored(path, 4) is None and (tmp_path / 'partition.npz.damaged2').exists()
    np.savez(path, meta=np.array('[]'), labeled=[0], unlabeled=[1], val=[2])
    assert label_set.stored(path, 4) is None


def test_a_label_set_that_is_drawn_anew_is_that_which_was_evaluated(tmp_path):
    found = partition(tmp_path)
    files.write_json(tmp_path / 'evaluation.json', {'partition': {'val': {'hash': partitions.digest(found.val)}}})
    label_set.check_same(tmp_path, found)
    with pytest.raises(ValueError, match='the val images of .* cannot be reproduced'):
        label_set.check_same(tmp_path, found._replace(val=np.array([5])))


def test_damaged_rows_and_measurements_of_a_study_are_set_aside(tmp_path, caplog):
    path = tmp_path / 'row.json'
    files.write_json(path, {'seconds': 1.0})
    worker._sound(path)
    assert path.exists()
    path.write_text('null')
    worker._sound(path)
    assert not path.exists() and 'recomputing its cell' in caplog.text
    (tmp_path / 'together.json').write_bytes(b'\xff')
    assert _known(tmp_path) == {} and not (tmp_path / 'together.json').exists()
