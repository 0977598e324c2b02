"""backbone.init_from: a backbone's weights from a file of torchvision's or timm's."""

import json
import re
from pathlib import Path

import numpy as np
from flax.traverse_util import unflatten_dict

from ssljax import foreign
from ssljax.foreign import links
from ssljax.models.layers import PIXELS
from ssljax.storage import paths

# What a file has besides the backbone: classifiers, and what only its own training needed.
_LEFT = r'(fc|head|heads|head_dist|classifier|decoder\w*|mask_token|dist_token)(\..*)?|.*num_batches_tracked'
_HINTS = {  # {regex of a name in the file that the network lacks: what is to be set}
    r'cls_token|class_token': '--config.backbone.token=True',
    r'.*\.ls\d\.gamma': '--config.backbone.layer_scale=True',
    r'reg_token': '--config.backbone.registers={0[1]}',  # of the shape of that tensor
    r'norm_pre\..*': '--config.backbone.pre_norm=True',
}
_CONVERT = (
    'from safetensors.torch import save_file; import torch; '
    "w = torch.load('{}', map_location='cpu', weights_only=True); save_file(w, '{}')"
)


def read(config, shape) -> dict:
    """The variables {'params': {'backbone': ...}, 'batch_stats': ...} of config.backbone, as config.init_from has them.

    Args:
      config: config.backbone.
      shape: (H, W, C) of the images.

    Raises:
      ValueError: the file is of another format or another network, or its weights need another normalisation; the
        message says what to set.
      OSError: it cannot be read.
      ImportError: the package safetensors is missing.
    """
    given = config.init_from
    layouts = foreign.LAYOUTS.get(config.name)
    if not layouts:
        raise ValueError(
            f'backbone.init_from={given}: neither torchvision nor timm has a network like {config.name}. Set '
            f'backbone.name to one of {", ".join(foreign.LAYOUTS)}, or give the weights of an ssljax run as '
            'transfer.checkpoint.'
        )
    path, decided = Path(paths.expand(given)), foreign.decided(config, shape)
    tensors = load(path)
    check_pixels(path, decided.pixels)
    shapes = foreign.backbone_shapes(config, shape)
    options = [layout for layout in layouts if not layout.misfit(decided, shape)]
    if not options:
        why = '; '.join(layout.misfit(decided, shape) for layout in layouts)
        raise ValueError(f'backbone.init_from={given}: no file of torchvision or timm fits this {config.name}: {why}.')
    found = [layout.make(shapes, decided, shape) for layout in options]
    names = [{n for link in every if not link.optional for n in link.theirs} for every in found]
    best = min(range(len(found)), key=lambda i: len(names[i] - tensors.keys()))
    missing = sorted(names[best] - tensors.keys())
    unknown = [n for n in tensors if n not in names[best] and not re.fullmatch(_LEFT, n)]
    if missing or unknown:
        raise ValueError(_other(given, config.name, missing, {n: np.shape(tensors[n]) for n in unknown}))
    try:
        return unflatten_dict(links.take(found[best], tensors, shapes), sep='/')
    except ValueError as error:
        raise ValueError(
            f'backbone.init_from={given} is for a different network than this {config.name}: {error}.'
        ) from None


def load(path: Path) -> dict:
    """{name: array} of a .safetensors file; raises as `read`."""
    field = f'backbone.init_from={path}'
    if path.suffix != '.safetensors':
        raise ValueError(
            f'{field} is not a .safetensors file, the only format that is read. In an environment with PyTorch, '
            f'convert a file of weights with: python -c "{_CONVERT.format(path, path.with_suffix(".safetensors"))}"'
        )
    if not path.is_file():
        kind = paths.kind(path)
        what = 'there is nothing there' if kind == 'nothing' else f'it is {kind}'
        raise FileNotFoundError(f'{field}: {what}{paths.obstacle(path)}.')
    try:
        from safetensors import SafetensorError, numpy
    except ImportError:
        raise ImportError(f'{field} needs the package safetensors: pip install "ssljax[export]"') from None
    try:
        found = numpy.load_file(path)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f'{field} cannot be read ({type(error).__name__}: {error}): fetch or convert it again.'
        ) from None
    for prefix in ('module.', 'backbone.'):
        if all(name.startswith(prefix) for name in found):
            found = {name.removeprefix(prefix): a for name, a in found.items()}
    return found


def check_pixels(path: Path, pixels: str) -> None:
    """Raises ValueError if timm's config.json beside a file says that its network normalises pixels differently."""
    beside = path.with_name('config.json')
    try:
        told = json.loads(beside.read_text())['pretrained_cfg']
        told = told['mean'], told['std']
    except (OSError, ValueError, KeyError, TypeError):
        return
    if np.shape(told) != (2, 3) or np.allclose(told, PIXELS[pixels], atol=1e-3):
        return
    right = [name for name, of in PIXELS.items() if np.allclose(told, of, atol=1e-3)]
    advice = f'set --config.backbone.pixels={right[0]}' if right else f'it must be one of {", ".join(PIXELS)}'
    raise ValueError(
        f'{beside} says that the network of {path.name} takes pixels with mean {told[0]} and standard deviation '
        f'{told[1]}, but backbone.pixels is {pixels}: {advice}.'
    )


def _other(given: str, name: str, missing: list, unknown: dict) -> str:
    both = (
        (missing, 'tensors of the network are not in the file'),
        (unknown, 'tensors of the file are not in the network'),
    )
    said = [f'{len(names)} {what}, such as {next(iter(names))}' for names, what in both if names]
    hints = dict.fromkeys(
        hint.format(shape) for n, shape in unknown.items() for regex, hint in _HINTS.items() if re.fullmatch(regex, n)
    )
    advice = f'set {" and ".join(hints)}' if hints else 'set backbone.name and its options to those of the file'
    return f'backbone.init_from={given} is for a different network than this {name}: {"; ".join(said)}: {advice}.'
