"""A study goes on with the data that it was begun with, and with no other."""

import shutil

import numpy as np
import pytest
from PIL import Image

from ssljax.config import base
from ssljax.settings import schema
from ssljax.storage import files
from ssljax.studies import bound, cells, worker


def image(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (8, 8), np.uint8)).save(path)


@pytest.fixture
def study(config, tmp_path):
    """One pretraining and two cells, on a folder of images."""
    for i in range(40):
        image(tmp_path / f'images/{"ab"[i % 2]}/{i:02}.png', i)
    config.data.update(source=f'folder:{tmp_path / "images"}', val='8', test='10')
    config.transfer.ways = ('finetune',)
    config.seeds, config.study.labels = (0,), ('2/class', '4/class')
    config.pretrain.batch_size = config.transfer.batch_size = 4
    return config


@pytest.fixture
def jobs(monkeypatch):
    """The folders of the jobs that are computed."""
    found, compute = [], worker._compute
    monkeypatch.setattr(
        worker, '_compute', lambda cell, job, *rest: found.append(job.folder) or compute(cell, job, *rest)
    )
    return found


def forget(directory):
    """As a version left it that kept no record of the data."""
    shutil.rmtree(directory / 'data')


@pytest.mark.parametrize('recorded', [True, False])
def test_changed_data_are_refused_before_training(study, tmp_path, jobs, recorded):
    directory = tmp_path / 'study'
    worker.run(study, directory)
    assert len(jobs) == 3
    worker.run(study, directory)
    if not recorded:
        forget(directory)
    image(tmp_path / 'images/a/new.png', 99)
    before = (directory / 'study.json').read_bytes()
    more = study.copy_and_resolve_references()
    more.study.labels = ('6/class',)
    for config in (study, more):
        with pytest.raises(ValueError, match='the training images .*sha256.* another --workdir') as error:
            worker.run(config, directory)
        assert ("1 added ('a/new.png')" in str(error.value)) == recorded
    assert len(jobs) == 3 and (directory / 'study.json').read_bytes() == before
    (tmp_path / 'images/a/new.png').unlink()
    worker.run(more, directory)
    assert len(jobs) == 4


def test_cells_of_other_data_are_named_and_done_again(study, tmp_path, jobs):
    directory = tmp_path / 'study'
    study.transfer.ways = ('scratch',)
    worker.run(study, directory)
    forget(directory)
    image(tmp_path / 'images/a/new.png', 99)
    other = study.copy_and_resolve_references()
    other.study.labels = ('6/class',)
    monkey = pytest.MonkeyPatch()
    monkey.setattr(bound, 'check', lambda *args: None)
    worker.run(other, directory)  # as earlier versions did
    monkey.undo()
    (tmp_path / 'images/a/new.png').unlink()
    (folder,) = (cell.job.folder for cell in cells(other))
    study.study.labels = ('2/class', '6/class')
    with pytest.raises(ValueError, match=f'1 of the 2 trainings .*: {folder}. Delete these folders'):
        worker.run(study, directory)
    study.study.labels = ('2/class',)
    worker.run(study, directory)  # what is not planned is in nobody's way
    shutil.rmtree(directory / folder)
    study.study.labels = ('2/class', '6/class')
    worker.run(study, directory)
    assert jobs.count(folder) == 2


def test_a_study_that_has_trained_nothing_is_bound_to_no_data(study, tmp_path):
    shared = worker.Shared()
    bound.check(tmp_path / 'study', cells(study), shared.source)
    image(tmp_path / 'images/a/new.png', 99)
    bound.check(tmp_path / 'study', cells(study), worker.Shared().source)
    (record,) = (tmp_path / 'study').glob('data/*/data.json')
    assert files.read_json(record)['counts']['train'] == 31


def test_a_changed_list_is_refused(study, tmp_path):
    listed = tmp_path / 'labels.txt'
    study.transfer.ways, study.study.labels = ('scratch',), (f'list:{listed}',)
    study.data.test = '10%'
    listed.write_text(''.join(f'{i}\n' for i in range(6)))
    worker.run(study, tmp_path / 'study')
    listed.write_text(''.join(f'{i}\n' for i in range(8)))
    with pytest.raises(ValueError, match=r'the content of .*labels.txt \(data.labels\) has changed'):
        worker.run(study, tmp_path / 'study')


def test_fields_that_came_later_leave_the_names_of_folders_as_they_were():
    data = base().data.to_dict() | bound.LATER
    earlier = {'schema': 1, 'data': {k: v for k, v in base().data.to_dict().items() if k not in bound.LATER}}
    assert schema.restored(earlier).data.to_dict() == data
    assert bound.key(data) == bound.key({k: v for k, v in data.items() if k not in bound.LATER})
    assert bound.key(data) != bound.key(data | {'resize': 'pad'})
