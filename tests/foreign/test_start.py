"""backbone.init_from: weights of torchvision and timm as the start of every way."""

import functools
import importlib.util
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from ssljax import config as configs
from ssljax import experiment, foreign, models, seeds, stages
from ssljax.foreign import links, start
from ssljax.records import recorded
from ssljax.settings import suits
from ssljax.storage import files

safetensors = pytest.importorskip('safetensors.numpy', reason='safetensors is in the extra `export`')

SHAPE = (16, 16, 3)
_BIG = dict(token=True, positions='learnt')
DINO = _BIG | dict(width=384, depth=12, heads=6, patch=14, layer_scale=True)
CLIP = _BIG | dict(width=768, depth=12, heads=12, patch=32, pre_norm=True)
THEIRS = 'vit_small_patch14_dinov2', 'vit_small_patch14_reg4_dinov2', 'vit_base_patch32_clip_224'
VIT = dict(name='vit', width=8, depth=2, heads=2, patch=4, positions='learnt', token=True)


def backbone(**options):
    config = configs.base().backbone
    config.update(**options)
    return config


def tensors_of(config, shape=SHAPE, layout=0, seed=0, head=True):
    """What a file of another library has for a backbone: random numbers under its names, and a classifier."""
    rng, decided = np.random.default_rng(seed), foreign.decided(config, shape)
    paths = foreign.backbone_shapes(config, shape)
    found = foreign.LAYOUTS[config.name][layout].make(paths, decided, shape)
    given = links.give(found, {p: rng.standard_normal(s).astype(np.float32) / 5 for p, s in paths.items()})
    given = {n: np.exp(a) if n.endswith('var') else a for n, a in given.items()}
    name = foreign.LAYOUTS[config.name][layout].head
    return given | ({f'{name}.weight': np.ones((7, 8), np.float32)} if head else {})


def written(path, tensors):
    safetensors.save_file(tensors, str(path))
    return str(path)


@pytest.mark.parametrize(
    'options, layout',
    [
        (dict(name='resnet18', stem='imagenet'), 0),
        (dict(name='mobilenet'), 0),
        (VIT, 0),
        (VIT, 1),
        (VIT | dict(layer_scale=True), 1),
        (VIT | dict(layer_scale=True, registers=3), 1),
        (VIT | dict(pre_norm=True, gelu='quick'), 1),
    ],
)
def test_a_file_is_read_into_the_backbone(options, layout, tmp_path):
    config = backbone(**options)
    tensors = tensors_of(config, layout=layout)
    config.init_from = written(tmp_path / 'x.safetensors', {f'module.{n}': a for n, a in tensors.items()})
    found = flatten_dict(start.read(config, SHAPE), sep='/')
    assert {p: a.shape for p, a in found.items()} == foreign.backbone_shapes(config, SHAPE)
    again = links.give(foreign.LAYOUTS[config.name][layout].make(
        foreign.backbone_shapes(config, SHAPE), foreign.decided(config, SHAPE), SHAPE), found)  # fmt: skip
    for name, array in again.items():
        if 'pos_embed' not in name and 'token' not in name:  # the token has its position added
            np.testing.assert_array_equal(array, tensors[name], name)


def test_positions_of_another_size_are_resized(tmp_path):
    config = backbone(**VIT)
    tensors = tensors_of(config, (8, 8, 3), 1)
    flat = np.linspace(0, 1, 8, dtype=np.float32)
    tensors['pos_embed'] = np.broadcast_to(flat, (1, 5, 8)).copy()
    config.init_from = written(tmp_path / 'x.safetensors', tensors)
    found = start.read(config, (16, 12, 3))['params']['backbone']['embed']['positions']
    np.testing.assert_allclose(found, np.broadcast_to(flat, (12, 8)), atol=1e-6)


@pytest.mark.parametrize(
    'name, told',
    [
        ('x.pth', 'python -c "from safetensors.torch import save_file; import torch; '),
        ('x.npz', 'not a .safetensors file'),
        ('none.safetensors', 'there is nothing there'),
        ('text.safetensors', 'cannot be read'),
    ],
)
def test_other_files_are_refused_with_advice(name, told, tmp_path):
    (tmp_path / 'text.safetensors').write_text('no weights')
    with pytest.raises((ValueError, OSError), match=told):
        start.read(backbone(name='resnet18', init_from=str(tmp_path / name)), SHAPE)


@pytest.mark.parametrize(
    'options, told',
    [
        (dict(name='cnn'), 'has a network like cnn. Set backbone.name to one of resnet18, .* transfer.checkpoint'),
        (dict(name='resnet18'), 'tensors of the network are not in the file, such as bn1.bias'),
        (VIT | dict(token=False), 'set --config.backbone.token=True'),
        (VIT | dict(positions='sine'), 'set --config.backbone.positions=learnt'),
        (VIT | dict(depth=1), 'of the file are not in the network, such as blocks.1.'),
        (VIT | dict(width=16), 'does not fit'),
        (VIT | dict(pixels='unit'), 'set --config.backbone.pixels=imagenet'),
        (VIT | dict(registers=2), 'tensors of the network are not in the file, such as reg_token'),
    ],
)
def test_weights_of_another_network_are_refused(options, told, tmp_path):
    path = written(tmp_path / 'x.safetensors', tensors_of(backbone(**VIT), layout=1))
    cfg = {'pretrained_cfg': {'mean': [0.485, 0.456, 0.406], 'std': [0.229, 0.224, 0.225]}}
    (tmp_path / 'config.json').write_text(json.dumps(cfg))
    with pytest.raises(ValueError, match=told):
        start.read(backbone(**options, init_from=path), SHAPE)


def test_what_a_network_needs_is_told(tmp_path):
    path = written(tmp_path / 'x.safetensors', tensors_of(backbone(**VIT, registers=3, layer_scale=True), layout=1))
    with pytest.raises(ValueError, match=r'set --config\.backbone\.\S+ and --config\.backbone\.\S+\.$') as told:
        start.read(backbone(**VIT, init_from=path), SHAPE)
    assert 'layer_scale=True' in str(told.value) and 'registers=3' in str(told.value)
    path = written(tmp_path / 'y.safetensors', tensors_of(backbone(**VIT, pre_norm=True), layout=1))
    with pytest.raises(ValueError, match='set --config.backbone.pre_norm=True'):
        start.read(backbone(**VIT, init_from=path), SHAPE)
    with pytest.raises(ValueError, match='registers=3 needs a class token'):
        models.build(backbone(**VIT | dict(token=False), registers=3))


def test_auto_follows_the_library_where_weights_are_given():
    for given, expected in (('', ('unit', 'tanh', 'relu')), ('x', ('imagenet', 'exact', 'relu6'))):
        found = models.usual(backbone(name='vit', init_from=given))
        assert (found.pixels, found.gelu, found.activation) == expected
    x = np.array([[[[0.0, 127.5, 255.0]]]], np.float32) / 127.5 - 1
    expected = (np.array([0, 0.5, 1]) - models.layers.PIXELS['imagenet'][0]) / models.layers.PIXELS['imagenet'][1]
    np.testing.assert_allclose(models.layers.pixels(x, 'imagenet')[0, 0, 0], expected, rtol=1e-5)
    with pytest.raises(ValueError, match='set data.channels=3'):
        models.layers.pixels(x[..., :1], 'imagenet')


@pytest.fixture
def given(config, tmp_path):
    """A config of a small ViT with a file of weights, and these."""
    config.data.source = 'synthetic:8x8x3:3'
    config.backbone.update(VIT | dict(depth=1))
    config.pretrain.update(method='none', watch=0)
    config.semi.update(epochs=0.0, steps=2, evals=1, batch_size=16, strong='flip')
    path = written(tmp_path / 'x.safetensors', tensors_of(config.backbone, (8, 8, 3), 1))
    config.backbone.init_from = path
    return config, start.read(config.backbone, (8, 8, 3))['params']['backbone']


def begun(config, folder, ways, kind):
    """The backbone that a kind of stage begins with."""
    from ssljax.data import sources
    from ssljax.ways import beginning

    run = experiment.prepare(config, folder, sources.load(config.data), quiet=True)
    if stages.settings(config, kind).section == 'transfer':
        return beginning(run, kind, 0, {}, seeds.given_backbone(run)[0])['params']['backbone']
    return stages.initial(run, kind, 0)['params']['backbone']


def same(a, b) -> bool:
    leaves = zip(jax.tree.leaves(a), jax.tree.leaves(b))
    return jax.tree.structure(a) == jax.tree.structure(b) and all(map(lambda x: np.array_equal(*x), leaves))


def test_every_way_starts_from_the_weights_but_the_random_ones(given, tmp_path):
    config, weights = given
    ways = ('random_frozen', 'scratch', 'frozen', 'finetune', 'two_stage', 'fixmatch')
    config.transfer.ways = ways
    config.pretrain.update(method='rotation')
    found = {kind: same(begun(config, tmp_path / 'run', ways, kind), weights) for kind in ('pretrain', 'fixmatch')}
    config.pretrain.update(method='none')
    ways = ('random_frozen', 'scratch', 'frozen', 'finetune')
    found |= {way: same(begun(config, tmp_path / 'run', ways, way), weights) for way in ways}
    assert found == {way: way not in ('random_frozen', 'scratch') for way in found}


def test_a_run_with_given_weights(given, tmp_path):
    """Neighbours, a probe and a frozen head on the class token; the file is a part of what the run is bound to."""
    config, _ = given
    config.transfer.ways = ('frozen',)
    config.transfer.frozen.update(steps=2, evals=1)
    config.evaluate.update(random=False)
    result = experiment.run(config, tmp_path / 'run')
    (record,) = result['seeds']
    assert record['knn']['pretrained']['layer'] == record['prototype']['pretrained']['layer'] == 'token'
    assert 0 <= record['prototype']['pretrained']['test']['top1'] <= 1
    assert 'token' in record['probe']['pretrained']['layers']
    assert record['pretrain']['weights'] == config.backbone.init_from
    assert 'begin with the weights in' in result['protocol'] and (tmp_path / 'run/report.html').is_file()
    assert {d['field']: d['value'] for d in result['resolved']}['backbone.pixels'] == 'imagenet'
    assert recorded.named(config) == {'backbone.init_from': config.backbone.init_from}
    kept = files.read_json(tmp_path / 'run/data.json')
    assert kept['given']['backbone.init_from'] == recorded.content(config.backbone.init_from)
    other = config.copy_and_resolve_references()
    other.backbone.init_from, other.transfer.checkpoint = '', str(tmp_path / 'run/seed0/frozen')
    with pytest.raises(ValueError, match='set --config.backbone.pixels=imagenet'):
        suits.check_form(other, files.read_json(tmp_path / 'run/config.json'), 'x')


def test_faults_are_told_before_anything_is_trained(given, tmp_path):
    config, _ = given
    config.transfer.ways = ('finetune',)
    config.backbone.width = 16
    with pytest.raises(ValueError, match='does not fit'):
        experiment.run(config, tmp_path / 'run')


SMALL = {
    'torchvision': {},
    'timm': dict(layer_scale=True),
    'registers': dict(layer_scale=True, registers=3),
    'pre_norm': dict(pre_norm=True, gelu='quick'),
}


@pytest.mark.parametrize('library', SMALL)
def test_a_small_network_of_theirs_computes_what_it_did_there(library, tmp_path):
    """outputs.npz has weights, images and features of narrow Vision Transformers, written by outputs.py."""
    with np.load(Path(__file__).parent / 'outputs.npz') as found:
        kept = {n.removeprefix(f'{library}/'): found[n] for n in found.files if n.startswith(f'{library}/')}
    images, expected = kept.pop('images'), kept.pop('features')
    config = backbone(**VIT | SMALL[library])
    config.init_from = written(tmp_path / 'x.safetensors', kept)
    variables = start.read(config, images.shape[1:])['params']['backbone']
    layers = models.build(config).apply({'params': variables}, images / 127.5 - 1.0)
    assert expected.std() > 0.1
    np.testing.assert_allclose(layers['token'], expected, atol=1e-5)


@pytest.mark.skipif(
    any(importlib.util.find_spec(m) is None for m in ('torch', 'torchvision', 'timm')),
    reason='torch, torchvision and timm are not installed',
)
@pytest.mark.parametrize(
    'name, options, size',
    [
        ('resnet18', dict(stem='imagenet'), 64),
        ('resnet50', dict(stem='imagenet'), 64),
        ('resnet34 of timm', dict(stem='imagenet'), 96),
        ('mobilenetv1_100 of timm', dict(stem='imagenet'), 64),
        ('alexnet', {}, 224),
        ('vit of torchvision', VIT, 16),
        ('vit of timm', VIT, 16),
        ('vit of timm, scaled', VIT | dict(layer_scale=True), 16),
        ('vit of timm, resized', VIT, 24),
        ('vit of timm, registers', VIT | dict(registers=3), 16),
        ('vit of timm, pre-norm', VIT | dict(pre_norm=True, gelu='quick'), 24),
        ('vit_small_patch14_dinov2', DINO, 56),
        ('vit_small_patch14_reg4_dinov2', DINO | dict(registers=4), 56),
        ('vit_base_patch32_clip_224', CLIP, 64),
    ],
)
def test_features_are_those_of_the_other_library(name, options, size, tmp_path):
    """On its own random weights and on pixels that are normalised as it does."""
    import timm
    import torch
    import torchvision
    from safetensors.torch import save_file

    torch.manual_seed(0)
    vit = dict(patch_size=4, embed_dim=8, depth=2, num_heads=2, num_classes=0)
    timms = timm.models.vision_transformer.VisionTransformer
    net = {
        'vit of torchvision': lambda: torchvision.models.VisionTransformer(16, 4, 2, 2, 8, 32, num_classes=5),
        'vit of timm': lambda: timms(img_size=16, **vit),
        'vit of timm, scaled': lambda: timms(img_size=16, init_values=0.5, **vit),
        'vit of timm, resized': lambda: timms(img_size=16, dynamic_img_size=True, **vit),
        'vit of timm, registers': lambda: timms(img_size=16, reg_tokens=3, no_embed_class=True, **vit),
        'vit of timm, pre-norm': lambda: timms(
            img_size=16,
            pre_norm=True,
            norm_layer=functools.partial(torch.nn.LayerNorm, eps=1e-5),
            act_layer='quick_gelu',
            dynamic_img_size=True,
            **vit,
        ),
        'mobilenetv1_100 of timm': lambda: timm.create_model('mobilenetv1_100', num_classes=0),
        'resnet34 of timm': lambda: timm.create_model('resnet34', num_classes=0),
    } | {n: functools.partial(timm.create_model, n, num_classes=0, dynamic_img_size=True) for n in THEIRS}
    net = net.get(name, lambda: getattr(torchvision.models, name.split()[0])())()
    for part, tensor in net.state_dict().items():
        if tensor.is_floating_point() and (tensor.ndim == 1 or 'token' in part or 'pos_embed' in part):
            noise = torch.randn_like(tensor) / 10
            tensor.copy_(torch.exp(noise) if part.endswith('running_var') else tensor + noise)
    save_file(net.state_dict(), tmp_path / 'x.safetensors')
    own = {'mobilenetv1_100': 'mobilenet'} | dict.fromkeys(THEIRS, 'vit')
    config = backbone(**{'name': own.get(name.split()[0], name.split()[0])} | options)
    config.init_from = str(tmp_path / 'x.safetensors')
    images = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), np.uint8)
    variables = start.read(config, (size, size, 3))
    own = {c: v['backbone'] for c, v in variables.items()}
    module = models.build(config)
    last = jax.jit(lambda v, x: list(module.apply(v, x, train=False).values())[-1])
    found = last(own, images / 127.5 - 1.0)
    for part in ('fc', 'heads'):
        if hasattr(net, part):
            setattr(net, part, torch.nn.Identity())
    if name == 'alexnet':
        net.classifier[6] = torch.nn.Identity()
    mean, deviation = (torch.tensor(v).view(-1, 1, 1) for v in models.layers.PIXELS['imagenet'])
    x = (torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).float() / 255 - mean) / deviation
    with torch.no_grad():
        expected = net.eval()(x).numpy()
    assert expected.std() > 1e-3
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=1e-5)
