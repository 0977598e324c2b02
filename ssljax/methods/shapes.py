"""What a backbone makes of pictures of a given size: which layers have a map, which weights depend on the size."""

import jax
import jax.numpy as jnp

from ssljax.methods.network import Network


def last_map(net: Network, shape, task: str) -> Network:
    """The network up to its last layer whose activation is a map [B, h, w, c], for pictures of `shape` (H, W, C).

    Pooling on top is left out. Raises ValueError if layers with weights would be left out and so stay untrained.
    """
    variables, activations = _sizes(net, shape)
    names = list(activations)
    last = max(i for i, name in enumerate(names) if activations[name].ndim == 4)
    lost = [name for name in names[last + 1 :] if name in variables['params']]
    if lost:
        raise ValueError(
            f'{task} works on a feature map, but {", ".join(lost)} of backbone {net.backbone.family!r} has none and '
            f'would stay untrained: set --config.pretrain.layer={names[last]}.'
        )
    return net._replace(layer=names[last])


def map_size(net: Network, shape) -> tuple[int, int, int]:
    """(h, w, c) of the network's layer for pictures of `shape` (H, W, C)."""
    return _sizes(net, shape)[1][net.layer].shape[1:]


def check_weights(net: Network, seen, shape, task: str) -> None:
    """Raises ValueError if a network trained on pictures of shape `seen` does not fit images of `shape`."""
    (small, _), (whole, activations) = _sizes(net, seen), _sizes(net, shape)
    names, sizes = list(activations), [jax.tree.map(jnp.shape, v['params']) for v in (small, whole)]
    for i, name in enumerate(names):
        if sizes[0].get(name) != sizes[1].get(name):
            raise ValueError(
                f'{task} trains the backbone on pictures of {seen[0]}x{seen[1]}, but the weights of layer {name!r} of '
                f'{net.backbone.family!r} would not fit whole images of {shape[0]}x{shape[1]}: '
                + (f'set --config.pretrain.layer={names[i - 1]}.' if i else 'choose another backbone.')
            )


def _sizes(net, shape):
    """(variables, activations by layer), both as shapes only."""
    init = lambda x: net.backbone.init(jax.random.key(0), x, train=False)
    x = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    variables = jax.eval_shape(init, x)
    return variables, jax.eval_shape(lambda v, x: net.backbone.apply(v, x, train=False), variables, x)
