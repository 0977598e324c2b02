"""Weights under the names of torchvision and timm.

`names.json` has the tensors of their networks, {network: {name: shape}}, written by `python tests/exporting/names.py`
where torch, torchvision and timm are installed. The test that loads weights there runs in such an environment alone.
"""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

import ssljax
from ssljax import config as configs
from ssljax import foreign
from ssljax.foreign import links
from ssljax.storage import files

safetensors = pytest.importorskip('safetensors', reason='safetensors is in the extra `export`')

NAMES = json.loads((Path(__file__).parent / 'names.json').read_text())
VIT = {'width': 48, 'depth': 2, 'heads': 3, 'patch': 8}
PAPER = VIT | {'token': True, 'positions': 'learnt', 'gelu': 'exact'}
NETWORKS = {  # as in names.py: (backbone, (H, W, C), options)
    'resnet18': ('resnet18', (64, 64, 3), {}),
    'resnet34': ('resnet34', (64, 64, 3), {}),
    'resnet50': ('resnet50', (64, 64, 3), {}),
    'alexnet': ('alexnet', (224, 224, 3), {}),
    'mobilenetv1_100': ('mobilenet', (64, 64, 3), {}),
    'VisionTransformer of torchvision': ('vit', (32, 32, 3), PAPER),
    'VisionTransformer of timm': ('vit', (32, 32, 3), PAPER | {'layer_scale': True}),
    'VisionTransformer of timm without a token': ('vit', (32, 32, 3), VIT),
    'VisionTransformer of timm with registers': ('vit', (32, 32, 3), PAPER | {'layer_scale': True, 'registers': 2}),
    'VisionTransformer of timm with a norm before the blocks': ('vit', (32, 32, 3), PAPER | {'pre_norm': True}),
}
SMALL = {  # what is small enough to be written here: {a part of its lines: (backbone, shape, options, library)}
    'VisionTransformer(image_size=16': ('vit', (16, 16, 1), PAPER, 'torchvision'),
    'reg_tokens=2, no_embed_class=True': ('vit', (16, 16, 3), PAPER | {'registers': 2}, 'timm'),
    'pre_norm=True': ('vit', (16, 16, 3), PAPER | {'pre_norm': True, 'gelu': 'quick'}, 'timm'),
    "act_layer='gelu_tanh'": ('vit', (16, 24, 3), VIT, 'timm'),
}


def config_of(name, options):
    config = configs.base().backbone
    config.update(name=name, **options)
    return config


@pytest.mark.parametrize('network', NETWORKS)
def test_names_and_shapes_are_theirs(network):
    name, shape, options = NETWORKS[network]
    config = foreign.decided(config_of(name, options), shape)
    layout, why = foreign.fitting(config, shape)
    assert not why
    width = {'resnet50': 2048, 'alexnet': 4096, 'mobilenet': 1024, 'vit': 48}.get(name, 512)
    paths = foreign.backbone_shapes(config_of(name, options), shape)
    paths |= {'params/head/logits/kernel': (width, 10), 'params/head/logits/bias': (10,)}
    found = layout.make(paths, config, shape)
    rng = np.random.default_rng(0)
    own = {p: np.broadcast_to(rng.random(s[-1:], np.float32) + 1, s) for p, s in paths.items()}
    given = links.give(found, own)
    assert {n: list(a.shape) for n, a in given.items()} == NAMES[network]
    again = links.give(found, links.take(found, given, paths))
    for n, array in given.items():
        np.testing.assert_allclose(again[n], array, rtol=1e-5, atol=1e-6, err_msg=n)


@pytest.mark.parametrize('line', SMALL)
def test_a_file_is_opened_again(make, line, tmp_path):
    name, shape, options, library = SMALL[line]
    model = make(name, shape, **options)
    path = model.export(tmp_path / 'x.safetensors')
    again = ssljax.load(path)
    images = np.random.default_rng(1).integers(0, 256, (3, *shape), np.uint8)
    expected = model.predict(images)
    assert expected.std() > 1e-3
    np.testing.assert_allclose(again.predict(images), expected, atol=1e-5)
    np.testing.assert_allclose(again.embed(images), model.embed(images), atol=1e-3)
    told = files.read_json(tmp_path / 'x.safetensors.json')
    assert told['file']['library'] == library and line in '\n'.join(told['file']['torch'])
    assert told['classes'] == ['a', 'b', 'c'] and "load_file('x.safetensors')" in '\n'.join(told['file']['torch'])
    assert again.save(tmp_path / 'saved').is_dir()


@pytest.mark.parametrize(
    'name, shape, fields, options, told',
    [
        ('cnn', (8, 8, 1), {}, {}, 'neither torchvision nor timm has a network like cnn'),
        ('alexnet', (16, 16, 3), {'transfer.layer': 'conv2'}, {}, 'only fit images of 224x224'),
        ('resnet18', (8, 8, 3), {'transfer.layer': 'block1'}, {}, 'a part of that of torchvision'),
        ('resnet18', (8, 8, 3), {}, {'width': 4, 'depth': 1}, 'width=4 and depth=1'),
        ('mobilenet', (8, 8, 3), {}, {'width': 8}, 'width=8'),
        ('vit', (8, 8, 3), {'transfer.hidden': (4,)}, VIT | {'depth': 1}, 'a part of that of timm'),
    ],
)
def test_what_they_do_not_have_keeps_our_names(make, name, shape, fields, options, told, tmp_path):
    model = make(name, shape, fields=fields, **options)
    path = model.export(tmp_path / 'x.safetensors')
    said = files.read_json(tmp_path / 'x.safetensors.json')['file']
    assert told in said['why'] and 'torch' not in said
    names = safetensors.safe_open(path, 'numpy').keys()
    assert 'params.head.logits.kernel' in names
    images = np.random.default_rng(1).integers(0, 256, (3, *shape), np.uint8)
    np.testing.assert_allclose(ssljax.load(path).predict(images), model.predict(images), atol=1e-6)


def test_a_folded_batchnorm_comes_back():
    """AlexNet: what is read computes the same function, in other numbers."""
    from ssljax.foreign import alexnet

    rng = np.random.default_rng(0)
    link = alexnet._folded('l', 'n', 'classifier.1', False, 6)
    shapes = [(36 * 4, 5)] + [(5,)] * 4
    arrays = [rng.standard_normal(s).astype(np.float32) for s in shapes]
    arrays[-1] = np.exp(arrays[-1])
    x = rng.standard_normal((2, 36 * 4)).astype(np.float32)

    def layer(kernel, scale, bias, mean, var):
        return (x @ kernel - mean) / np.sqrt(var + 1e-5) * scale + bias

    weight, bias = link.give(arrays)
    channels_first = x.reshape(2, 6, 6, 4).transpose(0, 3, 1, 2).reshape(2, -1)
    np.testing.assert_allclose(channels_first @ weight.T + bias, layer(*arrays), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(layer(*link.take((weight, bias), shapes)), layer(*arrays), rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(
    any(importlib.util.find_spec(m) is None for m in ('torch', 'torchvision', 'timm')),
    reason='torch, torchvision and timm are not installed',
)
@pytest.mark.parametrize(
    'name, shape, options',
    [
        ('resnet18', (8, 8, 1), {}),
        ('resnet34', (64, 64, 3), {'pixels': 'imagenet'}),
        ('resnet50', (65, 70, 2), {'stem': 'imagenet'}),
        ('alexnet', (224, 224, 3), {}),
        ('mobilenet', (33, 40, 1), {}),
        ('mobilenet', (65, 64, 3), {'activation': 'relu6'}),
        ('vit', (16, 16, 1), PAPER),
        ('vit', (16, 24, 3), PAPER | {'layer_scale': True}),
        ('vit', (16, 24, 3), PAPER | {'layer_scale': True, 'registers': 2}),
        ('vit', (16, 16, 3), PAPER | {'pre_norm': True, 'gelu': 'quick'}),
        ('vit', (16, 24, 3), VIT | {'gelu': 'exact'}),
        ('vit', (16, 16, 3), VIT),
    ],
)
@pytest.mark.parametrize('classes', [('a', 'b', 'c'), ()])
def test_their_networks_compute_the_same(make, name, shape, options, classes, tmp_path, monkeypatch):
    """The lines of the JSON are run as they stand there."""
    import torch

    model = make(name, shape, classes, method='scratch' if classes else 'pretrain', **options)
    model.export(tmp_path / 'x.safetensors')
    told = files.read_json(tmp_path / 'x.safetensors.json')['file']
    images = np.random.default_rng(1).integers(0, 256, (3, *shape), np.uint8)
    monkeypatch.chdir(tmp_path)
    names = {'images': torch.from_numpy(images.transpose(0, 3, 1, 2).copy())}
    exec('\n'.join(told['torch']), names)
    found, (expected,) = names['probabilities' if classes else 'features'].numpy(), model.answers(images)
    assert expected.std() > 1e-3
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=1e-3)
