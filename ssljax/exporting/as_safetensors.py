"""safetensors: the weights alone, under the names of torchvision or timm where they have the same network, else under
our own. The JSON beside it has the PyTorch code that loads them."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from ssljax import foreign, models
from ssljax.exporting import packages
from ssljax.foreign import links
from ssljax.settings import schema

SUFFIX = '.safetensors'
NEEDS = ('safetensors',)
PARTS = 'backbone', 'head'  # what predicts
OWN = 'ssljax'  # our own names: params.backbone.conv1.conv.kernel, kernels [h, w, in, out] or [in, out]


def write(model, path: Path, features: bool = False) -> dict:
    """Writes a model; it gives features in any case. See `exporting.write`. Returns what its JSON says."""
    packages.need(NEEDS, 'safetensors')
    from safetensors import numpy

    whole = flatten_dict(model.variables, sep='/')
    tensors = {p: np.asarray(a) for p, a in whole.items() if p.split('/')[1] in PARTS}
    shapes = {p: a.shape for p, a in tensors.items()}
    config = foreign.decided(model.config.backbone, model.shape)
    layout, why = foreign.fitting(config, model.shape)
    linear = _is_linear(model)
    whole = layout is not None and (linear or not model.classes) and _is_whole(config, model.shape, shapes)
    found = _links(layout, config, model.shape, shapes, linear) if layout else []
    linked = {p for link in found for p in link.ours}
    own = {p.replace('/', '.'): np.ascontiguousarray(a) for p, a in tensors.items() if p not in linked}
    path.write_bytes(numpy.save(links.give(found, tensors) | own, {'format': 'pt'}))  # its save_file sets mode 600
    said: dict = {'library': layout.library if layout else OWN, 'tensors': {p: list(s) for p, s in shapes.items()}}
    if not layout:
        return said | {'why': f'the names are those of ssljax: {why}'}
    if not whole:
        part = 'its upper layers or its head differ: the tensors under "own" have the names of ssljax'
        return said | {'why': f'the network is a part of that of {layout.library}; {part}', 'own': sorted(own)}
    outputs = shapes.get('params/head/logits/kernel', (0, 0))[1]
    said |= {
        'differences': layout.differences(config, model.shape),
        'torch': torch(layout, config, model, outputs, path),
    }
    if outputs > len(model.classes):
        said['differences'].append(f'the first {len(model.classes)} of its {outputs} outputs are the classes')
    return said


def read(path: Path, info: dict) -> dict:
    """The variables of a file that `write` made; `info` is the content of its JSON."""
    packages.need(NEEDS, 'safetensors')
    from safetensors import numpy

    tensors, told = numpy.load_file(str(path)), info['file']
    shapes, found = {p: tuple(s) for p, s in told['tensors'].items()}, []
    if told['library'] != OWN:
        model = info['model']
        shape = tuple(model['input']['shape'])
        config = foreign.decided(schema.restored({'schema': model['schema']} | model['config']).backbone, shape)
        layout = next(v for v in foreign.LAYOUTS[config.name] if v.library == told['library'])
        found = _links(layout, config, shape, shapes, not any('head' in name for name in told.get('own', ())))
    linked = {p for link in found for p in link.ours}
    own = {p: tensors[p.replace('/', '.')] for p in shapes if p not in linked}
    return unflatten_dict(links.take(found, tensors, shapes) | own, sep='/')


def torch(layout, config, model, outputs: int, path: Path) -> list[str]:
    """Lines of PyTorch that make the network `net`, load its weights and predict `probabilities` [N, K], or features
    [N, D], for `images`, uint8 [N, C, H, W]."""
    mean, deviation = (list(v) for v in models.layers.PIXELS[config.pixels])
    mean, deviation = (v[:1] * model.shape[2] if len(set(v)) == 1 else v for v in (mean, deviation))
    tensor = lambda v: f'torch.tensor({v}).view(-1, 1, 1)'
    warm = '' if model.temperature == 1 else f' / {model.temperature}'
    activation = 'sigmoid()' if model.multilabel else 'softmax(1)'
    y = f'(net(x)[:, :{len(model.classes)}]{warm}).{activation}' if outputs else 'net(x)'
    strict = '' if outputs else ', strict=False'
    return [
        'from safetensors.torch import load_file',
        *layout.code(config, model.shape, outputs),
        f'net.load_state_dict(load_file({path.name!r}){strict})',
        'net.eval()',
        f'x = (images.float() / 255 - {tensor(mean)}) / {tensor(deviation)}',
        f'with torch.no_grad(): {"probabilities" if outputs else "features"} = {y}',
    ]


def _links(layout, config, shape, shapes: dict, linear: bool) -> list:
    """The Links of the tensors that a layout has a place for; a head that is not linear has none."""
    return layout.make({p: s for p, s in shapes.items() if linear or p.split('/')[1] != 'head'}, config, shape)


def _is_linear(model) -> bool:
    """Whether the classifier is linear on the last layer, or on the mean of its pixels."""
    head = model.info['head']
    if not head or list(head['hidden']):
        return False
    last = models.layer_names(model.config.backbone)[-1]
    if head['layer'] not in ('', last):
        return False
    module, x = models.build(model.config.backbone), jax.ShapeDtypeStruct((1, *model.shape), jnp.float32)
    found = jax.eval_shape(lambda x: module.init_with_output(jax.random.key(0), x, train=False)[0], x)[last]
    return found.ndim == 2 or head['pool'] == 'avg'


def _is_whole(config, shape, shapes: dict) -> bool:
    """Whether all layers of the backbone are there."""
    return foreign.backbone_shapes(config, shape).keys() <= shapes.keys()
