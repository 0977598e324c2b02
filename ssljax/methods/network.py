"""A backbone with a head: what the methods share of initialisation and application."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from ssljax.core import split
from ssljax.data import augment
from ssljax.losses import top_k


class Network(NamedTuple):
    """`backbone` gives named layers; `head` sits on the layer `layer`, or there is none."""

    backbone: nn.Module
    head: nn.Module | None
    layer: str


def init(net: Network, key, images) -> dict:
    """Variables {'params': {'backbone', 'head'}, ...} for images [B, H, W, C] uint8 (only the shape counts)."""
    x = jnp.zeros((1, *images.shape[1:]), jnp.float32)
    kb, kh = jax.random.split(key)
    backbone = net.backbone.init(kb, x, train=False)
    layers = net.backbone.apply(backbone, x, train=False)
    head = net.head.init(kh, layers[net.layer], train=False) if net.head else {}
    collections = {'params'} | backbone.keys() | head.keys()
    return {c: {'backbone': backbone.get(c, {}), 'head': head.get(c, {})} for c in collections}


def apply(net: Network, params, state, x, *, train: bool, frozen: bool = False):
    """Logits [B, K] float32 and the new state, for x [B, H, W, C] float32 in [-1, 1].

    A frozen backbone runs in evaluation mode: its BatchNorm uses the running statistics and keeps them, and no
    gradient reaches it.
    """
    layers, backbone = part(net.backbone, 'backbone', params, state, x, train=train and not frozen)
    tapped = jax.lax.stop_gradient(layers[net.layer]) if frozen else layers[net.layer]
    logits, head = part(net.head, 'head', params, state, tapped, train=train)
    return logits, {c: {'backbone': backbone[c], 'head': head[c]} for c in state}


def part(module, name, params, state, x, *, train: bool):
    """Applies one module with its own sub-tree of params and state; returns (output, its new state)."""
    own = {c: v[name] for c, v in state.items()}
    variables = {'params': params[name], **{c: v for c, v in own.items() if v}}
    if not train:
        return module.apply(variables, x, train=False), own
    y, new = module.apply(variables, x, train=True, mutable=list(own))
    return y, own | new


def layers(net: Network, variables, images) -> dict:
    """{layer name: activation} of the backbone for images [B, H, W, C] uint8; evaluation mode."""
    params, state = split(variables)
    return part(net.backbone, 'backbone', params, state, to_input(images), train=False)[0]


def to_input(images):
    """uint8 [B, H, W, C] to float32 in [-1, 1]."""
    return augment.normalize(augment.to_float(images))


def classification_metrics(logits, labels, losses, mask=None) -> dict:
    """{'loss', 'top1', and 'top5' from six classes on}: (sum, count) over the rows with mask 1."""
    mask = jnp.ones(labels.shape, jnp.float32) if mask is None else mask
    count = mask.sum()
    metrics = {
        'loss': (jnp.sum(losses * mask), count),
        'top1': (jnp.sum(top_k(logits, labels, 1) * mask), count),
    }
    if logits.shape[1] > 5:
        metrics['top5'] = (jnp.sum(top_k(logits, labels, 5) * mask), count)
    return metrics
