"""A backbone with heads: the initialisation and application that methods share."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from ssljax import models
from ssljax.core import split
from ssljax.data import augment
from ssljax.losses import cross_entropy, top_k
from ssljax.models.heads import Head, pool_features


class Network(NamedTuple):
    """`backbone` gives named layers. `heads` are (name, module) pairs: the first takes the layer `layer`, each further
    one the output of the one before."""

    backbone: nn.Module
    layer: str
    heads: tuple[tuple[str, nn.Module], ...] = ()


def build(config, shape, *heads) -> Network:
    """A network on the layer `pretrain.layer` (by default the last) of config.backbone for images of `shape` (H, W, C).

    The stem 'auto' is resolved here, by the size of the whole image, so that a network trained on tiles gets the
    weights that whole images need.
    """
    backbone = config.backbone.copy_and_resolve_references()
    backbone.stem = models.stem_for(backbone, shape)
    layer = models.layer_or_last(backbone, config.pretrain.layer)
    return Network(models.build(backbone, layer), layer, heads)


def classifier(config, classes: int, minibatch: int = 0) -> Network:
    """The backbone up to `transfer.layer`, by default its last, with a `Head` of `classes` logits and `transfer.hidden`
    layers on top; later layers are dropped. `minibatch` as in `Head`."""
    cfg = config.transfer
    layer = models.layer_or_last(config.backbone, cfg.layer)
    head = Head(classes, tuple(cfg.hidden), cfg.pool, minibatch, cfg.dropout, cfg.head_norm, cfg.conv)
    return Network(models.build(config.backbone, layer), layer, (('head', head),))


def weak_views(config):
    """(key, images [B, H, W, C] float32 in [0, 1]) -> the same, augmented by `weak`."""
    return augment.parse(weak(config))


def weak(config) -> str:
    """The weak augmentation of a semi-supervised method: `semi.augment`, by default `transfer.augment`."""
    return config.semi.augment or config.transfer.augment


def augmentation(config, name: str):
    """(key, images [B, H, W, C] float32 in [0, 1]) -> the same, augmented by `pretrain.<name>.augment` or, if that is
    empty, `pretrain.augment`."""
    return augment.parse(config.pretrain[name].augment or config.pretrain.augment)


def init(net: Network, key, images) -> dict:
    """Variables {'params': {'backbone', and each head}, ...} for images [B, H, W, C] (only their shape matters)."""
    x = jnp.zeros((1, *images.shape[1:]), jnp.float32)
    keys = jax.random.split(key, 1 + len(net.heads))
    variables = add_part({}, 'backbone', net.backbone, keys[0], x)
    if net.heads:
        y = part(net.backbone, 'backbone', *split(variables), x, train=False)[0][net.layer]
    for (name, module), k in zip(net.heads, keys[1:]):
        variables = add_part(variables, name, module, k, y)
        y = part(module, name, *split(variables), y, train=False)[0]
    return variables


def add_head(net: Network, variables: dict, name: str, module, key, images) -> dict:
    """Variables with a further head on the backbone's layer, beside those of `net`."""
    x = jnp.zeros((1, *images.shape[1:]), jnp.float32)
    y = part(net.backbone, 'backbone', *split(variables), x, train=False)[0][net.layer]
    return add_part(variables, name, module, key, y)


def add_part(variables: dict, name: str, module, key, *args) -> dict:
    """Variables with a further module, initialised on `args`, as the part `name` of every collection."""
    own = module.init(key, *args, train=False)
    return {
        c: variables.get(c, dict.fromkeys(variables.get('params', {}), {})) | {name: own.get(c, {})}
        for c in {'params'} | variables.keys() | own.keys()
    }


def apply(net: Network, params, state, x, *, train: bool, frozen: bool = False, key=None):
    """Outputs {'backbone': activation of the layer, and each head's} and the new state, for x [B, H, W, C] float32 in
    [-1, 1].

    A frozen backbone runs in evaluation mode: its BatchNorm uses the running statistics and leaves them unchanged, and
    no gradient reaches it. Without a `key`, there is no dropout.
    """
    layers, own = part(net.backbone, 'backbone', params, state, x, train=train and not frozen, key=key)
    y = jax.lax.stop_gradient(layers[net.layer]) if frozen else layers[net.layer]
    outputs, state = {'backbone': y}, put(state, 'backbone', own)
    for name, module in net.heads:
        y, own = part(module, name, params, state, y, train=train, key=key)
        outputs[name], state = y, put(state, name, own)
    return outputs, state


def part(module, name, params, state, *args, train: bool, key=None):
    """Applies one module with its own sub-tree of params and state; returns (output, {collection: its new state}).
    Dropout needs a `key`."""
    own = {c: v[name] for c, v in state.items() if v.get(name)}
    variables = {'params': params[name], **own}
    rngs = {} if key is None else {'dropout': key}
    if not train or not own:
        return module.apply(variables, *args, train=train, rngs=rngs), own
    y, new = module.apply(variables, *args, train=train, rngs=rngs, mutable=list(own))
    return y, own | new


def put(state, name: str, own: dict):
    """The state with the part `name` replaced by what `part` returned."""
    return {c: v | {name: own[c]} if c in own else v for c, v in state.items()}


def layers(net: Network, variables, images) -> dict:
    """{layer name: activation} of the backbone for images [B, H, W, C] uint8; evaluation mode."""
    return part(net.backbone, 'backbone', *split(variables), to_input(images), train=False)[0]


def to_input(images):
    """uint8 [B, H, W, C] to float32 in [-1, 1]."""
    return augment.normalize(augment.to_float(images))


def means(rows: dict, mask=None) -> dict:
    """{metric: (sum, count)} of {metric: [B] float32} over the rows with mask 1; a scalar counts once for
    each of them."""
    mask = jnp.ones(next(iter(rows.values())).shape) if mask is None else mask
    return {k: (jnp.sum(v * mask), jnp.sum(mask)) for k, v in rows.items()}


def functions(net: Network, measures=None) -> dict:
    """The `measure`, `predict` and `features` of a classifier's Method; measures: as in ssljax.targets, by default for
    one class per image."""
    measures = measures or classification_metrics

    def predict(params, state, images):
        return apply(net, params, state, to_input(images), train=False)[0]['head']

    def measure(params, state, batch):
        return measures(predict(params, state, batch['image']), batch['label'], mask=batch['mask'])

    return {'measure': measure, 'predict': predict, 'features': features(net)}


def features(net: Network):
    """The `features` of a classifier's Method."""
    pool = net.heads[0][1].pool

    def found(params, state, images):
        return pool_features(layers(net, {'params': params, **state}, images)[net.layer], pool).astype(jnp.float32)

    return found


def classification_metrics(logits, labels, losses=None, mask=None) -> dict:
    """{'loss', 'top1', and 'top5' from six classes on}: (sum, count) over the rows with mask 1 and a label, which is 0
    or more; losses: [B] float32, by default the cross-entropy; if given, all labels must be known."""
    mask = jnp.ones(labels.shape, jnp.float32) if mask is None else mask
    if losses is None:
        mask, labels = mask * (labels >= 0), labels.clip(0)
        losses = cross_entropy(logits, labels)
    count = mask.sum()
    metrics = {
        'loss': (jnp.sum(losses * mask), count),
        'top1': (jnp.sum(top_k(logits, labels, 1) * mask), count),
    }
    if logits.shape[1] > 5:
        metrics['top5'] = (jnp.sum(top_k(logits, labels, 5) * mask), count)
    return metrics
