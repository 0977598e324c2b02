"""Backbones by name, in a literal table of modules. What a module declares:

    OPTIONS     {option: fields.Field}, the fields of config.backbone that it takes; an option that several modules take
                has the same default in all; with `whole_or_usual`, that stands for each module's own usual value
    make        (config.backbone, checked, with such defaults replaced by the values they stand for) -> Backbone
    KEEPS_AUTO  True if the stem 'auto' has the same weights at every image size; optional

`build` makes one; calling it gives every named layer's activation."""

import difflib

from ssljax.models import (
    alexnet,
    cnn,
    conv,
    conv9,
    layers,
    mlp,
    mobilenet,
    nin,
    resnet18,
    resnet34,
    resnet50,
    vit,
    wrn,
)
from ssljax.settings import fields
from ssljax.text.wording import shown

BACKBONES = {
    'cnn': cnn,
    'nin': nin,
    'alexnet': alexnet,
    'resnet18': resnet18,
    'resnet34': resnet34,
    'resnet50': resnet50,
    'mobilenet': mobilenet,
    'wrn28_2': wrn,
    'vit': vit,
    'conv9': conv9,
    'mlp': mlp,
}
COMMON = dict(  # options of every backbone
    dtype=fields.choice('float32', 'float32', 'bfloat16'),  # of the computation
    conv=fields.choice('auto', *conv.MODES),
    # A .safetensors file from torchvision or timm, whose weights all ways but the random controls start from.
    init_from=fields.path(),
    # How the network normalises its input: 'unit' is value / 127.5 - 1; for 'auto' see AUTO.
    pixels=fields.choice('auto', 'auto', *layers.PIXELS),
    # In training, keep only the input of each block and recompute the rest for the gradient: less memory, more time.
    remat=fields.flag(False),
)
AUTO = {  # {option: (what 'auto' stands for with init_from, and without)}
    'pixels': ('imagenet', 'unit'),
    'gelu': ('exact', 'tanh'),
    'activation': ('relu6', 'relu'),
}
REFUSED = ('norm',)  # options refused by a backbone that does not take them; for others there is a warning


def options() -> dict:
    """{field of config.backbone: fields.Field}: the name, and all options of all backbones.

    Raises:
      ValueError: two backbones give one option different defaults.
    """
    found: dict = {}
    for name, module in BACKBONES.items():
        for option, field in module.OPTIONS.items():
            found.setdefault(option, {})[name] = fields.of(field)
    for option, takers in found.items():
        defaults = {name: field.default for name, field in takers.items()}
        if len(set(defaults.values())) > 1:
            raise ValueError(
                f'the option {option} has different defaults, {defaults}, but a config field can have only one: '
                'declare it with fields.whole_or_usual, or under another name.'
            )
    return (
        {'name': fields.choice(next(iter(BACKBONES)), *BACKBONES)}
        | COMMON
        | {option: fields.either(*takers.values()) for option, takers in found.items()}
    )


def build(config, upto: str = '') -> layers.Backbone:
    """The backbone of config.backbone, whole or up to and including the layer `upto`.

    Args:
        config: config.backbone; options that the backbone does not take have no effect, but for REFUSED.
        upto: a layer's name; the layers after it are not made and have no parameters. '' makes all.

    Returns:
        A linen module; `module.apply(variables, x, train)` maps x [B, H, W, C] float32 to an ordered
        {layer name: activation [B, h, w, c] or [B, d]}. The last layer is the default feature layer.

    Raises:
        ValueError: an unknown backbone or layer, or an option that it cannot have.
    """
    module = _find(config.name, BACKBONES, 'backbone')
    unused(config)
    config = usual(config)
    backbone = module.make(config).clone(pixels=config.pixels, remat=config.remat)
    if not upto:
        return backbone
    names = [name for name, _ in backbone.layers]
    _find(upto, dict(backbone.layers), f'layer of backbone {config.name!r}')
    return backbone.clone(layers=backbone.layers[: names.index(upto) + 1])


def usual(config):
    """A copy of config.backbone, checked, with the value that each default stands for, except the stem's."""
    module, config = _find(config.name, BACKBONES, 'backbone'), config.copy_and_resolve_references()
    for option, field in (COMMON | module.OPTIONS).items():
        field = fields.of(field)
        fields.check(f'backbone.{option}', config[option], field)
        if field.usual is not None and config[option] == field.default:
            config[option] = field.usual
    for option, (given, own) in AUTO.items():
        if config.get(option) == 'auto':
            config[option] = given if config.init_from else own
    return config


def unused(config) -> list[str]:
    """A sentence for each field of config.backbone that is set and has no effect with this backbone.

    Raises:
        ValueError: an unknown backbone, or one of REFUSED is set.
    """
    module, said = _find(config.name, BACKBONES, 'backbone'), []
    for option, field in options().items():
        value = config.get(option, field.default)
        if option in ('name', *COMMON, *module.OPTIONS) or value == field.default:
            continue
        takers = [name for name, other in BACKBONES.items() if option in other.OPTIONS]
        instead = f'{", ".join(takers[:-1])} or {takers[-1]}' if len(takers) > 1 else takers[0]
        given = f'backbone.{option}={value!r}'
        if option in REFUSED:
            raise ValueError(
                f'{given} is not possible with backbone {config.name!r}, where it is fixed: set it to '
                f'{field.default!r}, or choose {instead}'
            )
        said.append(f'{given} has no effect with backbone {config.name!r}; it is an option of {instead}.')
    return said


def stem_for(config, shape) -> str:
    """The stem that 'auto' stands for with images of `shape` (H, W, C), if its weights depend on their size; else
    'auto' is kept."""
    if config.stem != 'auto' or getattr(_find(config.name, BACKBONES, 'backbone'), 'KEEPS_AUTO', False):
        return config.stem
    return 'cifar' if min(shape[:2]) < 64 else 'imagenet'


def layer_names(config) -> tuple[str, ...]:
    """The names of the layers of config.backbone, in order. Raises ValueError as `build`."""
    return tuple(name for name, _ in build(config).layers)


def layer_or_last(config, layer: str) -> str:
    """The given layer's name or, if that is '', the name of config.backbone's last layer."""
    return layer or layer_names(config)[-1]


def _find(name: str, table: dict, kind: str):
    if name in table:
        return table[name]
    near = difflib.get_close_matches(str(name), table, n=1, cutoff=0.0)[0]
    raise ValueError(f'unknown {kind} {shown(name)}: did you mean {near!r}? Known are {", ".join(table)}')
