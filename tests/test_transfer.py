import jax
import numpy as np
import pytest

from ssljax import config as configs
from ssljax import transfer
from ssljax.methods import rotation, supervised
from tests import steps


def init(backbone='nin', channels=3, layer='', method='rotation', blocks=3):
    """key -> initial variables."""
    c = configs.base()
    c.backbone.update(name=backbone, blocks=blocks)
    c.transfer.layer = layer
    batch = {'image': np.zeros((1, 16, 16, channels), np.uint8)}
    make = rotation.make(c, (16, 16, channels)) if method == 'rotation' else supervised.make(c, 5)
    return lambda key: make.init(key, batch)


def test_takes_weights_and_statistics_and_leaves_the_upper_layers(key):
    source = jax.tree.map(lambda a: a + 1.0, steps.compiled(init())(key))
    target = steps.compiled(init(layer='conv2', method='supervised'))(key)
    got = transfer.take_backbone(source, target, 'here')
    assert set(got['params']['backbone']) == {'conv1', 'conv2'}
    for collection in ('params', 'batch_stats'):
        for layer in ('conv1', 'conv2'):
            mine, theirs = got[collection]['backbone'][layer], source[collection]['backbone'][layer]
            jax.tree.map(np.testing.assert_array_equal, mine, theirs)
    jax.tree.map(np.testing.assert_array_equal, got['params']['head'], target['params']['head'])


@pytest.mark.parametrize('kw', [{'channels': 1}, {'backbone': 'resnet18'}])
def test_another_architecture_is_refused_with_the_difference(key, kw):
    with pytest.raises(ValueError, match='a different architecture: .*params/'):
        transfer.take_backbone(*(jax.eval_shape(i, key) for i in (init(**kw), init(method='supervised'))), 'here')


def test_held_layers(key):
    c = configs.base()
    c.backbone.update(name='nin', blocks=3)
    params = jax.eval_shape(init(layer='conv2', method='supervised'), key)['params']['backbone']
    assert [n for n, _ in transfer.held_layers(c.backbone, (16, 16, 3), params).layers] == ['conv1', 'conv2']
    assert len(transfer.held_layers(c.backbone, (16, 16, 3), None).layers) == 3
