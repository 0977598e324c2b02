"""Take a backbone out of a checkpoint and put it under a new head."""

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from ssljax import models
from ssljax.rules import path_name


def take_backbone(source: dict, target: dict, where: str) -> dict:
    """`target` with the backbone of `source` in every collection.

    Layers that only the source has (above the tapped one) are left behind, and logged.

    Args:
      source: variables with params['backbone'], of any method.
      target: freshly initialised variables of the network to transfer to.
      where: the source's name, for messages.

    Raises:
      ValueError: a weight of the target is missing in the source or has another shape: another architecture.
    """
    have, want = _flat(source), _flat(target)
    missing = [n for n in want if n not in have]
    shapes = [
        f'{n} is {tuple(np.shape(have[n]))}, needed {tuple(np.shape(want[n]))}'
        for n in want
        if n in have and np.shape(have[n]) != np.shape(want[n])
    ]
    if missing or shapes:
        found = sorted({n.split('/')[1] for n in have})
        raise ValueError(
            f'the checkpoint {where} has a different architecture: '
            + '; '.join(shapes[:3] + [f'{n} is missing' for n in missing[:3]])
            + f' ({len(shapes)} with other shapes, {len(missing)} missing; its layers are {", ".join(found)}). '
            'Set config.backbone, data.channels and transfer.layer to match it.'
        )
    left = sorted({n.split('/')[1] for n in have.keys() - want.keys()})
    if left:
        logging.info('transfer from %s leaves behind the layers %s', where, ', '.join(left))
    parts = {c: _replace(v.get('backbone', {}), c, have) for c, v in target.items()}
    return {c: v | {'backbone': parts[c]} for c, v in target.items()}


def take_all(source: dict, target: dict, where: str) -> dict:
    """As `take_backbone`, with every other part that both have in the same shapes, such as the head."""
    target = take_backbone(source, target, where)
    shapes = lambda tree: jax.tree.map(jnp.shape, tree)
    parts = [
        p for p, v in source['params'].items() if p in target['params'] and shapes(v) == shapes(target['params'][p])
    ]
    return {c: v | {p: source[c][p] for p in parts if p in source.get(c, {})} for c, v in target.items()}


def _flat(variables) -> dict:
    out = {}
    for collection, tree in sorted(variables.items(), key=lambda item: item[0] != 'params'):  # weights first
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree.get('backbone', {})):
            out[f'{collection}/{path_name(path)}'] = leaf
    return out


def _replace(tree, collection, have):
    return jax.tree_util.tree_map_with_path(lambda p, _: have[f'{collection}/{path_name(p)}'], tree)


def held_layers(backbone_config, shape, params):
    """The backbone up to the last layer whose weights `params` has; the whole one where `params` is None.

    Args:
      backbone_config: config.backbone.
      shape: (H, W, C) of the images.
      params: a checkpoint's params['backbone'], or None.
    """
    whole = models.build(backbone_config)
    needed = jax.eval_shape(lambda: whole.init(jax.random.key(0), jnp.zeros((1, *shape)), train=False))['params']
    last = ''
    for name, _ in whole.layers:
        if params is not None and name in needed and name not in params:
            return models.build(backbone_config, last)
        last = name
    return whole
