"""Which images are labelled, and what that reads."""

import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssljax import config as configs
from ssljax import label_set
from ssljax.data import partition as partitions
from ssljax.data.sources import Source
from ssljax.data.split import ArrayImages, Split
from ssljax.records import identity
from ssljax.settings import checks
from ssljax.storage import checkpoint
from ssljax.studies.cells import cells, digest


@pytest.fixture
def typical(config):
    config.data.update(choose='typical', features='runs/x')
    return config


def test_typical_per_class_is_refused_under_that_name(typical):
    with pytest.raises(ValueError, match='typical_oracle'):
        checks.check(typical)
    typical.data.choose = 'typical_oracle'
    checks.check(typical)
    typical.data.labels = '30'
    with pytest.raises(ValueError, match='reads no labels'):
        checks.check(typical)
    typical.data.choose = 'typical'
    checks.check(typical)
    typical.study.labels = ('30', '4/class')
    with pytest.raises(ValueError, match="data.labels='4/class'"):
        cells(typical)


def test_a_run_begun_under_the_old_name_goes_on_as_the_oracle(typical, tmp_path):
    (tmp_path / 'config.json').write_text(json.dumps(configs.to_dict(typical)))
    new = identity.as_begun(typical, tmp_path)
    assert new.data.choose == 'typical_oracle' and typical.data.choose == 'typical'
    checks.check(new)
    identity.claim(new, tmp_path)
    other = new.copy_and_resolve_references()
    other.data.choose = 'random'
    (tmp_path / 'seed0/pretrain/checkpoints/5').mkdir(parents=True)  # something was trained
    with pytest.raises(ValueError, match='a different config'):
        identity.claim(other, tmp_path)
    assert new.data.copies == 'anywhere', 'the rules of then'
    new.data.copies = 'together'
    assert digest(new) == digest(typical), 'cells of a study that was begun so are found again'
    assert identity.as_begun(typical, tmp_path / 'new') is typical


@given(st.integers(0, 5), st.sampled_from(['2', '6', '17', '50%', '100%']))
@settings(max_examples=30)
def test_typical_reads_no_label(seed, budget):
    random = np.random.default_rng(seed)
    labels, seen = random.integers(0, 3, 40), []

    def represent(rows, count):
        seen.append(rows.tolist())
        return rows[:count]

    found = [
        partitions.partition(given, 3, budget=budget, val='0', seed=seed, represent=represent).labeled
        for given in (labels, random.permutation(labels), np.zeros(40, int))
    ]
    assert all(np.array_equal(found[0], other) for other in found) and seen[0] == seen[1] == seen[2]


def test_a_backbone_trained_with_labels_is_no_typical_choice(typical, monkeypatch):
    typical.data.labels = '30'
    meta = {'stage': 'finetune', 'data': {'shape': [8, 8, 1]}}
    monkeypatch.setattr(checkpoint, 'load_variables', lambda path: ({}, meta))
    with pytest.raises(ValueError, match="the stage 'finetune', which was trained with labels"):
        label_set._features(typical, None, None)


@pytest.mark.parametrize(
    ('labels', 'val', 'drawn', 'said'),
    [
        ('all', '10%', ('all', '10%'), "18 labelled images (data.labels='all'), 2 for validation"),
        ('50', '200', ('all', '10%'), "18 .*'50', but there are no more), 2 .*='200', which is too many: 10%), 13 w"),
        ('19', '4', ('all', '4'), "16 labelled images (data.labels='19', but there are no more), 4 for validation"),
        ('12', '10%', ('12', '10%'), "12 labelled images (data.labels='12' of 18; 'all' uses all), 2 .*'10%'), 19 w"),
        ('2/class', '10%', ('2/class', '10%'), '4 labelled images'),
    ],
)
def test_a_set_with_few_labels_beside_unlabelled_images(config, tmp_path, capsys, labels, val, drawn, said):
    """What a recipe asks of other data does not stop it, and is told; of a study, and of labelled data, it does."""
    images = Split(ArrayImages(np.zeros((33, 4, 4, 1), np.uint8)), np.repeat([0, 1, -1], [10, 10, 13]))
    train, unlabeled = images.take(np.arange(20)), images.take(np.arange(20, 33)).hide()
    source = Source('x', ('a', 'b'), (4, 4, 1), train, None, train, unlabeled)
    config.data.update(labels=labels, val=val)
    assert label_set.amounts(config, source, 3) == drawn
    label_set.rows(config, source, None, 3, tmp_path)
    told = capsys.readouterr().err
    assert re.search(said.replace('(', '[(]').replace(')', '[)]'), told) and told.startswith('seed 3: ')
    assert told.endswith(' without labels\n')
    changed = [f'data.{name}' for name in ('labels', 'val') if config.data[name] not in drawn]
    assert [d.field for d in label_set.decided(config, source)] == changed
    assert label_set.amounts(config, source._replace(unlabeled=None), 3) == (labels, val)
    config.study.labels = ('50',)
    assert label_set.amounts(config, source, 3) == (labels, val)
