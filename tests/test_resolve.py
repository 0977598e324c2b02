"""What a config leaves open is decided once, with its reason, and is the same as where it is written out."""

import numpy as np
import pytest

from ssljax import experiment, stages
from ssljax.config import base
from ssljax.data import sources
from ssljax.methods import network, pretext
from ssljax.settings import resolve as resolving
from ssljax.settings import schema
from ssljax.settings.resolve import Decision, resolve
from ssljax.storage import files


@pytest.mark.parametrize('name, shape, stem', [
    ('resnet18', (32, 32, 3), 'cifar'), ('resnet18', (64, 64, 3), 'imagenet'), ('mobilenet', (63, 96, 3), 'cifar'),
    ('alexnet', (32, 32, 3), 'auto'),
])  # fmt: skip
def test_the_stem_follows_the_image(mesh, name, shape, stem):
    config = base()
    config.backbone.name = name
    resolved, decided = resolve(config, shape, mesh)
    assert resolved.backbone.stem == stem and config.backbone.stem == 'auto'
    assert [d.value for d in decided if d.field == 'backbone.stem'] == [stem] * (stem != 'auto')


def test_what_is_given_stays(mesh):
    config = base()
    config.backbone.update(stem='imagenet', conv='xla', width=8, depth=3)
    config.steps_per_call, config.pretrain.layer, config.transfer.layer = 3, 'conv3', 'conv2'
    assert resolve(config, (8, 8, 1), mesh) == (config, [])


def test_a_run_reads_the_decisions_and_says_them(config, tmp_path):
    """The config that is kept is the one that was given; trained with the decisions written out, the figures are the
    same."""
    config.transfer.ways = ('scratch',)
    outcome = experiment.run(config, tmp_path / 'open')
    said = {d['field']: d['value'] for d in outcome['resolved']}
    assert len(said) == len(outcome['resolved']) and said == {
        'backbone.width': 16, 'backbone.depth': 2, 'backbone.conv': 'fast', 'steps_per_call': 1,
        'pretrain.layer': 'conv2', 'transfer.layer': 'conv2', 'data.path': 'resident', 'transfer.scratch.steps': 6,
    }  # fmt: skip
    assert all(d['why'] for d in outcome['resolved'])
    assert files.read_json(tmp_path / 'open/config.json') == schema.to_dict(config)
    config.update_from_flattened_dict(said)
    again = experiment.run(config, tmp_path / 'written')
    assert again['summary'] == outcome['summary'] and again['resolved'] == []


@pytest.mark.usefixtures('drawn')
def test_the_page_says_what_was_decided_and_why(config, tmp_path):
    config.transfer.ways = ('scratch',)
    outcome = experiment.run(config, tmp_path / 'run')
    page = (tmp_path / 'run/report.html').read_text()
    assert len(outcome['resolved']) == 8 and 'What the configuration left open' in page
    for decision in outcome['resolved']:
        assert decision['field'] in page and decision['why'] in page


def test_pipelines_that_are_those_of_another_field(mesh):
    """And a variant that changes the other one has its own."""
    config = base()
    config.pretrain.augment, config.transfer.augment = 'flip', 'crop(2)'
    config.transfer.ways = ('scratch', 'fixmatch', 'plain', 'own')
    config.variants = (
        ('plain', 'fixmatch', (('transfer.augment', ''),)), ('own', 'fixmatch', (('semi.augment', 'flip'),)),
        ('bare', 'scratch', (('transfer.augment', ''),)),
    )  # fmt: skip
    resolved, decided = resolve(config, (8, 8, 1), mesh)
    said = {d.field: d.value for d in decided}
    assert said['pretrain.rotation.augment'] == 'flip' and said['semi.augment'] == 'crop(2)'
    for kind, expected in (('fixmatch', 'crop(2)'), ('plain', ''), ('own', 'flip')):
        for of in (config, resolved):
            assert network.weak(stages.settings(of, kind).config) == expected
    assert resolved.variants[2] == config.variants[2]


def test_the_options_of_a_method(config):
    config.pretrain.method = 'jigsaw + relative_position'
    config.pretrain.jigsaw.update(gap=1, permutations=2)
    config.backbone.update(width=4, depth=1)
    found = resolving.of_methods({'pretrain': pretext(config, (32, 32, 3))})
    assert Decision('pretrain.jigsaw.tile', 9, 'what the gaps leave') in found
    assert [d.field.removeprefix('pretrain.') for d in found] == [
        'jigsaw.tile', 'jigsaw.jitter', 'relative_position.tile', 'relative_position.gap', 'relative_position.jitter',
    ]  # fmt: skip
    config.update_from_flattened_dict({d.field: d.value for d in found})
    assert resolving.of_methods({'pretrain': pretext(config, (32, 32, 3))}) == []


def test_all_of_few_labels_are_one_batch(config, mesh):
    assert resolving.labeled_batch(config, 8, mesh) == 8
    assert resolving.labeled_batch(config, 10**6, mesh) == config.semi.batch_size
    config.semi.labeled_batch_size = 20
    assert resolving.labeled_batch(config, 8, mesh) == 20


def test_what_is_decided_when_a_stage_begins(config, mesh):
    split = sources.load(config.data).train
    pair = split.take(np.arange(9)), split.take(np.arange(9, 500)).hide()
    config.semi.update(epochs=2.0, batch_size=16)
    steps, (few, many), decided = resolving.stage(stages.settings(config, 'fixmatch'), pair, mesh)
    assert (steps, few.batch_size, many.batch_size, few.path, many.path) == (61, 9, 16, 'resident', 'resident')
    assert [(d.field, d.value) for d in decided] == [
        ('semi.labeled_batch_size', 9), ('data.path', 'resident'), ('semi.steps', 61)
    ]  # fmt: skip
    assert decided[-1].why == '2 epochs of 491 images, 16 per step'
    config.data.path = 'stream'
    config.transfer.scratch.steps = 5
    assert resolving.stage(stages.settings(config, 'scratch'), split, mesh).decided == []


def test_a_decision_that_holds_for_some_stages_alone_names_them():
    entry = lambda value: {'resolved': [{'field': 'semi.steps', 'value': value, 'why': 'so'}]}  # noqa: E731
    records = [{'seed': s, 'pretrain': None, 'ways': {'uda': entry(3), 'fixmatch': entry(3 + s)}} for s in (0, 1)]
    found = resolving.summary([], records)
    told = [(3, 'so (uda, fixmatch of seed 0)'), (4, 'so (fixmatch of seed 1)')]
    assert [(d['value'], d['why']) for d in found] == told
    records = [{'seed': s, 'pretrain': entry(3), 'ways': {}} for s in (0, 1)]
    assert resolving.summary([], records) == [{'field': 'semi.steps', 'value': 3, 'why': 'so'}]
