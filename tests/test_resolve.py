"""What a config leaves open is decided once, with its reason, and is the same as where it is written out."""

import pytest

from ssljax import experiment, files, schema
from ssljax.config import base
from ssljax.resolve import resolve


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
    config.steps_per_call = 3
    assert resolve(config, (8, 8, 1), mesh) == (config, [])


def test_a_run_reads_the_decisions_and_says_them(config, tmp_path):
    """The config that is kept is the one that was given; trained with the decisions written out, the figures are the
    same."""
    config.transfer.ways = ('scratch',)
    outcome = experiment.run(config, tmp_path / 'open')
    said = {d['field']: d['value'] for d in outcome['resolved']}
    assert said == {'backbone.width': 16, 'backbone.depth': 2, 'backbone.conv': 'fast', 'steps_per_call': 1}
    assert all(d['why'] for d in outcome['resolved'])
    assert files.read_json(tmp_path / 'open/config.json') == schema.to_dict(config)
    config.update_from_flattened_dict(said)
    again = experiment.run(config, tmp_path / 'written')
    assert again['summary'] == outcome['summary'] and again['resolved'] == []


def test_the_page_says_what_was_decided_and_why(config, tmp_path):
    config.transfer.ways = ('scratch',)
    outcome = experiment.run(config, tmp_path / 'run')
    page = (tmp_path / 'run/report.html').read_text()
    assert len(outcome['resolved']) == 4 and 'What the configuration left open' in page
    for decision in outcome['resolved']:
        assert decision['field'] in page and decision['why'] in page
