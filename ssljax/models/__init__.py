"""Backbones by name. `build` makes one; calling it gives every named layer's activation."""

import difflib

from ssljax.fields import shown
from ssljax.models import layers
from ssljax.models.alexnet import alexnet
from ssljax.models.cnn import cnn
from ssljax.models.conv9 import conv9
from ssljax.models.mlp import mlp
from ssljax.models.mobilenet import mobilenet
from ssljax.models.nin import nin
from ssljax.models.resnet import resnet18, resnet34, resnet50
from ssljax.models.vit import vit
from ssljax.models.wrn import wrn28_2

BACKBONES = {
    'cnn': cnn,
    'nin': nin,
    'alexnet': alexnet,
    'resnet18': resnet18,
    'resnet34': resnet34,
    'resnet50': resnet50,
    'mobilenet': mobilenet,
    'wrn28_2': wrn28_2,
    'vit': vit,
    'conv9': conv9,
    'mlp': mlp,
}
_NORM_IS_A_CHOICE = ('conv9', 'mlp')


def build(config, upto: str = '') -> layers.Backbone:
    """The backbone of config.backbone, whole or up to and including the layer `upto`.

    Args:
        config: config.backbone with name, stem, dtype, conv, blocks (nin), width (cnn, vit, conv9, mlp, wrn28_2),
            depth (cnn, vit, mlp, wrn28_2), heads and patch (vit), norm (conv9, mlp), dropout (conv9).
        upto: a layer's name; the layers after it are not made and have no parameters. '' makes all.

    Returns:
        A linen module; `module.apply(variables, x, train)` maps x [B, H, W, C] float32 to an ordered
        {layer name: activation [B, h, w, c] or [B, d]}. The last layer is the default feature layer.

    Raises:
        ValueError: an unknown backbone, layer, stem, dtype, normalisation, convolution mode or number of blocks.
    """
    make = _find(config.name, BACKBONES, 'backbone')
    if config.norm != 'batch' and config.name not in _NORM_IS_A_CHOICE:
        raise ValueError(
            f'backbone.norm={config.norm!r} is not possible with backbone {config.name!r}, whose normalisation is '
            f"fixed: set it to 'batch', or choose {' or '.join(_NORM_IS_A_CHOICE)}"
        )
    backbone = make(config)
    if not upto:
        return backbone
    names = [name for name, _ in backbone.layers]
    _find(upto, dict(backbone.layers), f'layer of backbone {config.name!r}')
    return backbone.clone(layers=backbone.layers[: names.index(upto) + 1])


def stem_for(config, shape) -> str:
    """The stem that 'auto' stands for with images of `shape` (H, W, C). AlexNet's 'auto' has three levels with the
    same weights and stays as it is."""
    if config.stem != 'auto' or config.name == 'alexnet':
        return config.stem
    return 'cifar' if min(shape[:2]) < 64 else 'imagenet'


def layer_names(config) -> tuple[str, ...]:
    """The names of the layers of config.backbone, in order. Raises ValueError as `build`."""
    return tuple(name for name, _ in build(config).layers)


def _find(name: str, table: dict, kind: str):
    if name in table:
        return table[name]
    near = difflib.get_close_matches(str(name), table, n=1, cutoff=0.0)[0]
    raise ValueError(f'unknown {kind} {shown(name)}: did you mean {near!r}? Known are {", ".join(table)}')
