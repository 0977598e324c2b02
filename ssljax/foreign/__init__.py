"""The layouts in which torchvision and timm keep the weights of our backbones, in a literal table."""

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict

from ssljax import models
from ssljax.foreign import alexnet, links, mobilenet, resnet, vit

LAYOUTS = {  # the first that fits is written, all can be read
    'resnet18': (resnet.LAYOUT,),
    'resnet34': (resnet.LAYOUT,),
    'resnet50': (resnet.LAYOUT,),
    'mobilenet': (mobilenet.LAYOUT,),
    'alexnet': (alexnet.LAYOUT,),
    'vit': (vit.TORCHVISION, vit.TIMM),
}


def decided(config, shape):
    """config.backbone with its stem, and what each default stands for, decided for images of `shape` (H, W, C)."""
    config = models.usual(config)
    config.stem = models.stem_for(config, shape)
    return config


def fitting(config, shape) -> tuple[links.Layout | None, str]:
    """(the Layout in which a backbone is written, or None; why there is none).

    Args:
      config: from `decided`.
      shape: (H, W, C) of the images.
    """
    layouts = LAYOUTS.get(config.name, ())
    why = [layout.misfit(config, shape) for layout in layouts]
    if '' in why:
        return layouts[why.index('')], ''
    return None, '; '.join(why) or f'neither torchvision nor timm has a network like {config.name}'


def backbone_shapes(config, shape) -> dict:
    """{path: shape} of the variables of a whole backbone."""
    module = models.build(config)
    x = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    variables = jax.eval_shape(lambda x: module.init(jax.random.key(0), x, train=False), x)
    return {p: a.shape for p, a in flatten_dict({c: {'backbone': v} for c, v in variables.items()}, sep='/').items()}
