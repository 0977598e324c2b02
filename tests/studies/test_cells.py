import numpy as np
import pytest
from ml_collections import ConfigDict

from ssljax.config import base
from ssljax.storage import checkpoint
from ssljax.studies import cells


@pytest.fixture
def study(config):
    config.seeds = (0, 1)
    config.transfer.ways = ('scratch', 'frozen', 'finetune')
    config.study.labels = ('2/class', '10/class')
    config.study.pretrained = (
        ('rotation', (('pretrain.method', 'rotation'),)),
        ('autoencoder', (('pretrain.method', 'autoencoder'),)),
    )
    return config


def test_a_way_without_pretraining_is_one_cell_for_all_pretrainings(study):
    found = cells(study)
    assert len(found) == 2 * 2 + 2 * 2 * 2 * 2
    assert {c.pretrain for c in found if c.way == 'scratch'} == {''}
    assert {c.pretrain for c in found if c.way == 'frozen'} == {'rotation', 'autoencoder'}


def test_a_pretraining_is_shared_by_budgets_and_ways(study):
    assert len({c.needs.folder for c in cells(study) if c.needs}) == 2 * 2  # of each method and seed


def test_a_larger_study_has_the_cells_of_the_smaller_one(study):
    small = {c.id for c in cells(study)}
    study.seeds, study.study.labels = (0, 1, 2), ('2/class', '5/class', '10/class')
    study.transfer.ways = (*study.transfer.ways, 'fixmatch')
    study.semi.strong = 'crop(2)'
    large = {c.id for c in cells(study)}
    assert small < large and len(large) == 3 * 3 * (1 + 2 * 2 + 1)


def test_an_ablation_of_transfer_keeps_the_pretraining_and_one_of_pretraining_keeps_scratch(study):
    study.study.pretrained = ()
    both = cells(study, [{'transfer.mixup': 0.2}])
    assert len({c.needs.folder for c in both if c.needs}) == 2 and len(both) == 2 * 12
    both = cells(study, [{'pretrain.rotation.count': 2}])
    assert len({c.needs.folder for c in both if c.needs}) == 4 and len(both) == 12 + 8
    both = cells(study, [{'pretrain.rotation.count': 2, 'transfer.mixup': 0.2}])
    assert {(c.way == 'scratch', len(c.point)) for c in both if c.point} == {(True, 1), (False, 2)}


@pytest.fixture
def given(tmp_path):
    """The directory of a run whose backbone was pretrained by a method."""

    def make(method):
        config = base()
        config.pretrain.method = method
        tree = {'params': {'backbone': {'x': np.ones(2)}}}
        checkpoint.write(tmp_path / method / 'seed0/pretrain/model', tree, {'config': config.to_dict()})
        return str(tmp_path / method)

    return make


def test_a_backbone_that_is_given_has_the_name_of_its_own_method(study, given):
    study.study.pretrained, study.pretrain.method = (), 'rotation'
    study.transfer.checkpoint = given('simclr')
    found = cells(study, [{'transfer.checkpoint': given('byol')}, {'transfer.mixup': 0.2}])
    named = {(c.way != 'scratch', c.point.get('transfer.checkpoint', '')[-4:], c.pretrain) for c in found}
    assert named == {(False, '', ''), (True, '', 'simclr'), (True, 'byol', 'byol')}
    assert not any(c.needs for c in found)
    study.transfer.checkpoint = ''
    assert {c.id for c in cells(study) if c.way == 'scratch'} == {
        c.id for c in found if c.way == 'scratch' and not c.point
    }


@pytest.mark.parametrize('point', [{}, {'transfer.checkpoint': 'runs/a'}])
def test_a_backbone_is_trained_or_given(study, point):
    study.transfer.checkpoint = '' if point else 'runs/a'
    with pytest.raises(ValueError, match='trains rotation, autoencoder, but transfer.checkpoint=runs/a gives'):
        cells(study, [point])


@pytest.mark.parametrize(
    'change, message',
    [
        ({'tune': True}, 'tune once'),
        ({'study.labels': ('5/class', '5/class')}, 'repeats a budget'),
        ({'study.pretrained': (('a', (('transfer.layer', 'x'),)),)}, 'fields of pretrain'),
        ({'transfer.ways': ('scrtch',)}, 'did you mean scratch'),
    ],
)
def test_what_cannot_be_run_is_told_before(study, change, message):
    study.update_from_flattened_dict(change)
    with pytest.raises(ValueError, match=message):
        cells(study)


def test_seeds_are_cells_as_they_would_be_alone(study):
    study.transfer.ways = (*study.transfer.ways, 'fixmatch')
    study.semi.strong = 'crop(2)'
    points = [{'transfer.mixup': 0.2}, {'data.labels': '5/class', 'pretrain.batch_size': 16}]
    both = cells(study, points)
    alone = []
    for study.seeds in ((0,), (1,)):
        alone += cells(study, points)
    as_text = lambda found: {(c.id, c.job.config.to_json(), c.needs and c.needs.config.to_json()) for c in found}
    assert as_text(both) == as_text(alone) and len(both) == len(alone)


def test_no_cell_shares_a_section_of_its_config_with_another(study):
    def sections(config):
        return {id(config)} | {i for v in config.values() if isinstance(v, ConfigDict) for i in sections(v)}

    found = [sections(c.job.config) for c in cells(study)]
    assert len(set().union(*found)) == sum(map(len, found))
