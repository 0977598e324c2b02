"""AlexNet: torchvision's names. Ours has a BatchNorm after each layer (RotNet's), which in prediction is a factor and
an offset and is folded into the layer before it; theirs has none."""

import functools

import numpy as np

from ssljax.foreign import links

_CONVS = {'conv1': 0, 'conv2': 3, 'conv3': 6, 'conv4': 8, 'conv5': 10}
_DENSE = {1: 'classifier.1', 2: 'classifier.4'}
_EPSILON = 1e-5  # of BatchNorm
_MAP = 6  # pixels a side of the last map, which torchvision pools to that size


def _make(paths: dict, config, shape) -> list[links.Link]:
    found = []
    for layer, place in _CONVS.items():
        prefix = f'backbone/{layer}' + '/block' * (layer == 'conv1')
        if f'params/{prefix}/conv/kernel' in paths:
            found.append(_folded(f'{prefix}/conv', f'{prefix}/norm', f'features.{place}', True))
    for i, name in _DENSE.items():
        prefix = 'backbone/fc_block'
        if f'params/{prefix}/dense{i}/kernel' in paths:
            found.append(_folded(f'{prefix}/dense{i}', f'{prefix}/norm{i}', name, False, _MAP if i == 1 else 0))
    return found + links.renamed(paths, links.pattern({'head/logits': 'classifier.6'}))


def _folded(layer: str, norm: str, theirs: str, bias: bool, side: int = 0) -> links.Link:
    """A layer and its BatchNorm <-> weight and bias; a flattened map of `side` pixels has its channels first there."""
    layer_paths = [f'params/{layer}/kernel'] + [f'params/{layer}/bias'] * bias
    norm_paths = [f'params/{norm}/scale', f'params/{norm}/bias', f'batch_stats/{norm}/mean', f'batch_stats/{norm}/var']
    return links.Link(
        (*layer_paths, *norm_paths),
        (f'{theirs}.weight', f'{theirs}.bias'),
        functools.partial(_give, bias=bias, side=side),
        functools.partial(_take, bias=bias, side=side),
    )


def _give(arrays, bias: bool, side: int):
    kernel, offset, (scale, shift, mean, var) = arrays[0], arrays[1] if bias else 0.0, arrays[-4:]
    factor = scale / np.sqrt(var + _EPSILON)
    kernel = kernel * factor
    if side:
        kernel = kernel.reshape(side, side, -1, kernel.shape[1]).transpose(2, 0, 1, 3).reshape(kernel.shape)
    return kernel.transpose((3, 2, 0, 1) if kernel.ndim == 4 else (1, 0)), (offset - mean) * factor + shift


def _take(arrays, shapes, bias: bool, side: int):
    """The BatchNorm changes nothing, or only adds the offset where the layer has no bias."""
    weight, offset = arrays
    kernel = weight.transpose((2, 3, 1, 0) if weight.ndim == 4 else (1, 0))
    if side:
        kernel = kernel.reshape(-1, side, side, kernel.shape[1]).transpose(1, 2, 0, 3).reshape(kernel.shape)
    one, zero = np.ones_like(offset), np.zeros_like(offset)
    layer = (kernel, offset) if bias else (kernel,)
    return *layer, one, zero if bias else offset, zero, one - _EPSILON


def _misfit(config, shape) -> str:
    if unlike := links.of_size(width=64)(config, shape):
        return unlike
    size = min(shape[:2])
    strided = config.stem == 'imagenet' or config.stem == 'auto' and size >= 128
    sides = set()
    for n in shape[:2]:
        n = (n + 4 - 11) // 4 + 1
        sides.add((((n - 3) // 2 + 1 - 3) // 2 + 1 - 3) // 2 + 1)
    if strided and sides == {_MAP}:
        return ''
    return 'the layers of torchvision only fit images of 224x224 with backbone.stem=imagenet'


def _code(config, shape, classes: int) -> list[str]:
    lines = ['import torch, torchvision', f'net = torchvision.models.alexnet(num_classes={classes or 1000})']
    if shape[2] != 3:
        lines.append(f'net.features[0] = torch.nn.Conv2d({shape[2]}, 64, 11, 4, padding=2)')
    return lines + ['net.classifier[6] = torch.nn.Identity()'] * (not classes)


def _differences(config, shape) -> list[str]:
    said = ['BatchNorm, which ours has after each layer, is folded into the weights']
    return said + [f'the first convolution takes {shape[2]} channels'] * (shape[2] != 3)


LAYOUT = links.Layout('torchvision', 'classifier.6', _make, _misfit, _code, _differences)
