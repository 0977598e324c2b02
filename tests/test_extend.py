"""A new method, backbone or source is one file and one line in a table: its run, its report and its fields need nothing
else."""

import functools
import re
import types
from pathlib import Path

import flax.linen as nn
import numpy as np
import pytest

import ssljax
from ssljax import config as configs
from ssljax import experiment, methods, models, report
from ssljax.core import Method
from ssljax.data import augment, sources
from ssljax.data.sources.asked import Arrays
from ssljax.losses import cross_entropy
from ssljax.methods import network
from ssljax.models import layers
from ssljax.settings.fields import share, whole, whole_or_usual

GUIDE = (Path(__file__).parents[1] / 'CONTRIBUTING.md').read_text()


@pytest.fixture
def table(monkeypatch):
    """Puts a module into a table, as its line there would."""

    def put(into: dict, name: str, **content):
        module = types.ModuleType(name)
        module.__dict__.update(content)
        monkeypatch.setitem(into, name, module)
        configs.definitions.cache_clear()
        return module

    yield put
    monkeypatch.undo()
    configs.definitions.cache_clear()


def of(config):
    """A config of today's fields with the tiny values of `config`."""
    new = configs.base()
    known = configs.definitions()
    for name in configs.field_names(config):
        if name in known:
            new.update_from_flattened_dict({name: functools.reduce(lambda c, k: c[k], name.split('.'), config)})
    return new


@pytest.mark.usefixtures('drawn')
def test_a_pretext_method(table, config, tmp_path):
    """That of the guide: pretrained, transferred, shown, loaded."""
    content: dict = {}
    exec(re.search(r'^```python\n(.*?)^```$', GUIDE, re.M | re.S)[1], content)
    table(methods.PRETEXT, 'mirror', **content)
    config = of(config)
    config.pretrain.method, config.pretrain.mirror.share = 'mirror', 0.4
    config.transfer.ways = ('scratch', 'frozen')
    outcome = experiment.run(config, tmp_path)
    record = outcome['seeds'][0]
    assert record['pretrain']['method'] == 'mirror' and record['pretrain']['steps'] == 12
    assert outcome['config']['pretrain']['mirror'] == {'augment': '', 'share': 0.4}
    assert 'mirror pretraining' in (tmp_path / 'report.html').read_text()
    assert ssljax.load(tmp_path, way='pretrain').embed(np.zeros((2, 8, 8, 1), np.uint8)).shape == (2, 16)
    config.pretrain.mirror.share = 2.0
    with pytest.raises(ValueError, match='pretrain.mirror.share'):
        experiment.run(config, tmp_path / 'other')


def only_labels(config, shape, classes):
    """Trains on the labelled images alone."""
    net, weight = network.classifier(config, classes), config.semi.only_labels.weight

    def loss(params, state, ema, batch, key):
        x = augment.normalize(augment.to_float(batch['image']))
        outputs, state = network.apply(net, params, state, x, train=True)
        losses = weight * cross_entropy(outputs['head'], batch['label'])
        return losses.mean(), (state, network.classification_metrics(outputs['head'], batch['label'], losses))

    return Method(init=lambda key, batch: network.init(net, key, batch['image']), loss=loss, **network.functions(net))


@pytest.mark.usefixtures('drawn')
def test_a_joint_method(table, config, tmp_path):
    """It is a way, has a title in the table and on the page, and predicts."""
    module = table(
        methods.SEMI, 'only_labels', OPTIONS=dict(weight=whole(1, 1, 9)), TITLE='Labels alone', make=only_labels
    )
    assert methods.semi_options()['only_labels'].keys() == {'weight'} and module.make is only_labels
    config = of(config)
    config.pretrain.method, config.transfer.ways = 'none', ('scratch', 'only_labels')
    config.semi.update(epochs=0.0, steps=12, evals=2, batch_size=16)
    config.semi.optim.update(name='adamw', lr=0.01)
    outcome = experiment.run(config, tmp_path)
    assert outcome['summary']['only_labels']['top1']['mean'] > 0.5
    assert 'Labels alone' in report.table(outcome) and 'Labels alone' in (tmp_path / 'report.html').read_text()
    model = ssljax.load(tmp_path, way='only_labels')
    assert model.predict(np.zeros((2, 8, 8, 1), np.uint8)).shape == (2, 3)


class Scores(nn.Module):
    """One dense layer."""

    width: int

    @nn.compact
    def __call__(self, x, train=False):
        return nn.relu(nn.Dense(self.width, name='dense')(x.reshape(len(x), -1)))


def test_a_backbone(table, config, tmp_path):
    """Its option has its own default, is checked, and is said in the result; others are not taken."""
    table(
        models.BACKBONES, 'flat', OPTIONS=dict(width=whole_or_usual(24, 1, 64), slope=share(0.5)),
        make=lambda config: layers.Backbone('flat', (('dense1', functools.partial(Scores, config.width)),), min_size=1),
    )  # fmt: skip
    config = of(config)
    config.backbone.name = 'flat'
    config.transfer.ways = ('scratch', 'frozen')
    outcome = experiment.run(config, tmp_path)
    assert set(outcome['summary']) == {'scratch', 'frozen'}
    assert {'field': 'backbone.width', 'value': 24, 'why': 'the default of flat'} in outcome['resolved']
    assert ssljax.load(tmp_path, way='frozen').embed(np.zeros((2, 8, 8, 1), np.uint8)).shape == (2, 24)
    config.backbone.slope = 2.0
    with pytest.raises(ValueError, match='backbone.slope'):
        experiment.run(config, tmp_path / 'other')


def stripes(asked, config):
    """As many images as are asked for, with stripes along one axis or the other."""
    n = int(asked.rest)
    images = np.zeros((n, 8, 8, 1), np.uint8)
    labels = np.arange(n) % 2
    images[labels == 0, ::2], images[labels == 1, :, ::2] = 200, 200
    return ('across', 'along'), {'train': Arrays(images, labels)}


def test_a_source(table, config, tmp_path):
    """It is trained on and can be the unlabelled set; an error names it."""
    table(sources.SOURCES, 'stripes', FORM='stripes:N', read=stripes)
    config = of(config)
    config.data.update(source='stripes:200', unlabeled='stripes:50', labels='10/class', val='20')
    config.transfer.ways = ('scratch',)
    outcome = experiment.run(config, tmp_path)
    assert outcome['data']['classes'] == ['across', 'along'] and outcome['summary']['scratch']['top1']['mean'] == 1
    assert outcome['data']['counts']['further unlabeled'] == 50
    config.data.source = 'stripe:200'
    with pytest.raises(ValueError, match="did you mean 'stripes'"):
        experiment.run(config, tmp_path / 'other')
