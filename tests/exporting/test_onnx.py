"""A network in ONNX computes what the model does."""

import json

import numpy as np
import pytest

import ssljax
from ssljax import exporting, models
from ssljax.exporting import ops
from ssljax.exporting.graph import Untranslated, dims_of, translate

onnx = pytest.importorskip('onnx', reason='onnx is in the extra `export`')
runtime = pytest.importorskip('onnxruntime', reason='onnxruntime is in the extra `export`')

NETWORKS = {  # of every backbone, with few weights: (shape, fields of transfer, options)
    'cnn': ((8, 8, 1), {}, {}),
    'nin': ((8, 8, 3), {'layer': 'conv3'}, {'blocks': 3}),
    'alexnet': ((16, 16, 3), {'layer': 'conv2'}, {}),
    'resnet18': ((64, 64, 3), {'layer': 'block1', 'hidden': (5,)}, {}),
    'resnet34': ((8, 8, 3), {'layer': 'block1'}, {'pixels': 'imagenet'}),
    'resnet50': ((8, 8, 3), {'layer': 'block1', 'pool': 'grid3'}, {}),
    'mobilenet': ((9, 8, 1), {'layer': 'conv4'}, {'activation': 'relu6'}),
    'wrn28_2': ((8, 8, 3), {}, {'width': 4, 'depth': 1}),
    'vit': ((8, 12, 3), {}, {'width': 16, 'depth': 2, 'heads': 2, 'token': True, 'layer_scale': True, 'gelu': 'exact'}),
    'conv9': ((9, 9, 1), {'pool': 'flatten'}, {'width': 4, 'norm': 'weight'}),
    'mlp': ((2, 1, 1), {}, {'norm': 'none', 'width': 5}),
}


def fields(transfer: dict) -> dict:
    return {f'transfer.{k}': v for k, v in transfer.items()}


def test_every_backbone_is_tested():
    assert NETWORKS.keys() == models.BACKBONES.keys()


@pytest.mark.parametrize('name', NETWORKS)
def test_predictions_are_those_of_the_model(make, name, tmp_path):
    shape, transfer, options = NETWORKS[name]
    model = make(name, shape, fields=fields(transfer), **options)
    path = model.export(tmp_path / 'x.onnx')
    images = np.random.default_rng(1).integers(0, 256, (4, *shape), np.uint8)
    session = runtime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    (found,) = session.run(['probabilities'], {'images': images})
    expected = model.predict(images)
    assert found.dtype == np.float32 and expected.std() > 1e-3
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert session.get_inputs()[0].shape == ['N', *shape] and session.get_inputs()[0].type == 'tensor(uint8)'
    assert json.loads(session.get_modelmeta().custom_metadata_map['classes']) == ['a', 'b', 'c']
    again = ssljax.load(path)
    assert again.classes == model.classes and again.shape == shape and again.metrics == model.metrics
    np.testing.assert_allclose(again.predict(images), expected, atol=1e-5)
    with pytest.raises(ValueError, match='gives no features'):
        again.embed(images)
    with pytest.raises(ValueError, match='gives no weights'):
        again.save(tmp_path / 'y')


def test_a_tanh_vit_without_a_token(make, tmp_path):
    model = make('vit', (8, 8, 1), width=16, depth=1, heads=1)
    assert model.export(tmp_path / 'x.onnx').is_file()


def test_a_vit_with_registers_and_a_norm_before_its_blocks(make, tmp_path):
    options = {'registers': 2, 'pre_norm': True, 'gelu': 'quick'}
    model = make('vit', (8, 8, 3), width=16, depth=1, heads=1, token=True, positions='learnt', **options)
    assert model.export(tmp_path / 'x.onnx').is_file()


def test_a_bare_backbone_gives_features(make, tmp_path):
    model = make('cnn', classes=(), method='pretrain')
    path = model.export(tmp_path / 'x.onnx')
    images = np.random.default_rng(1).integers(0, 256, (4, 8, 8, 1), np.uint8)
    found = ssljax.load(path).embed(images)
    assert found.shape == (4, 16)
    np.testing.assert_allclose(found, model.embed(images), atol=1e-5)
    with pytest.raises(ValueError, match='no classes to predict'):
        ssljax.load(path).predict(images)


def test_a_model_of_bfloat16_is_exported_in_float32(make, tmp_path):
    model = make('cnn', dtype='bfloat16')
    found = ssljax.load(model.export(tmp_path / 'x.onnx'))
    images = np.random.default_rng(1).integers(0, 256, (4, 8, 8, 1), np.uint8)
    np.testing.assert_allclose(found.predict(images), model.in_float32().predict(images), atol=1e-5)
    assert found.info['config']['backbone']['dtype'] == 'float32'


def test_a_file_that_computes_otherwise_is_not_left(make, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting.as_onnx, 'OPERATIONS', ops.OPERATIONS | {'add': ops._elementwise('Sub')})
    with pytest.raises(ValueError, match='does not compute what the model does .* nothing was written'):
        make('cnn').export(tmp_path / 'x.onnx')
    fewer = {k: v for k, v in ops.OPERATIONS.items() if k != 'dot_general'}
    monkeypatch.setattr(exporting.as_onnx, 'OPERATIONS', fewer)
    with pytest.raises(Untranslated, match='the operation dot_general'):
        make('cnn').export(tmp_path / 'x.onnx')
    assert list(tmp_path.iterdir()) == []


def test_shapes_of_two_traces():
    assert dims_of((2, 8, 32), (3, 8, 48)) == (-1, 8, -16)
    with pytest.raises(Untranslated, match='not a multiple'):
        dims_of((3, 8), (4, 8))


def test_each_operation_by_itself():
    """Odd uses that the networks do not have: each against JAX's own result."""
    import jax.numpy as jnp
    from jax import lax
    from onnx import TensorProto, helper

    def check(function):
        graph, (result,) = translate(function, (4, 6, 2), ops.OPERATIONS)
        nodes = [*graph.nodes, helper.make_node('Identity', [graph.named(result)], ['y'])]
        x = helper.make_tensor_value_info('images', TensorProto.UINT8, ['N', 4, 6, 2])
        y = helper.make_tensor_value_info('y', TensorProto.FLOAT, None)
        built = helper.make_graph(nodes, 'g', [x], [y], graph.initializers)
        model = helper.make_model(built, opset_imports=[helper.make_opsetid('', 18)], ir_version=9)
        images = np.random.default_rng(0).integers(0, 256, (4, 4, 6, 2), np.uint8)
        (found,) = runtime.InferenceSession(model.SerializeToString()).run(None, {'images': images})
        np.testing.assert_allclose(found, function(images), rtol=1e-5, atol=1e-5)

    f = lambda x: jnp.asarray(x, jnp.float32) / 255
    check(lambda x: jnp.concatenate([f(x), jnp.zeros_like(f(x))[:, 1:]], 1))  # a constant as large as the batch
    check(lambda x: lax.pad(f(x), 0.5, ((0, 0, 0), (1, 2, 0), (0, 1, 0), (0, 0, 0))))
    check(lambda x: jnp.split(f(x), (1, 3), axis=2)[1][:, ::2])
    check(lambda x: jnp.einsum('bhwc,bhwd->bhcd', f(x), f(x) + 1))
    check(lambda x: jnp.clip(f(x), 0.2, 0.7) ** 3 + lax.erfc(f(x)) + jnp.log1p(f(x)) + lax.rsqrt(f(x) + 1))
    check(lambda x: jnp.where((f(x) > 0.5) & (f(x) != 0.7), -f(x), jnp.square(f(x))))
    check(lambda x: f(x).reshape(len(x) * 4, 12).sum(1).reshape(-1, 4) + f(x).min((1, 2, 3))[:, None])
    check(lambda x: lax.reduce_window(f(x), 0.0, lax.add, (1, 3, 2, 1), (1, 1, 2, 1), ((0, 0), (1, 1), (0, 0), (0, 0))))
    check(lambda x: jnp.broadcast_to(f(x).mean(0, keepdims=True) * 0 + 1, (len(x), 4, 6, 2)).transpose(3, 0, 2, 1))
