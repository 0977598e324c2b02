"""The mesh and what lies where: batches are split over all devices; all else is replicated, except weights that are
sharded over the axis 'fsdp' (fsdp.py)."""

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec, Sharding


def make_mesh(fsdp: int = 1) -> Mesh:
    """All devices of all processes along one axis, 'data', or, if each copy of the weights is sharded over `fsdp` of
    them, along two, 'data' and 'fsdp'. Neighbours, which are usually on one host, share a copy.

    Raises:
      ValueError: the devices cannot be divided into groups of that size.
    """
    count = jax.device_count()
    if fsdp == 1:
        return jax.make_mesh((count,), ('data',), axis_types=(AxisType.Auto,))
    if count % fsdp:
        fit = ', '.join(str(n) for n in range(1, count + 1) if count % n == 0)
        raise ValueError(
            f'fsdp.devices is {fsdp}, but there are {count} devices, which do not divide into groups of that size: '
            f'use {fit}.'
        )
    return jax.make_mesh((count // fsdp, fsdp), ('data', 'fsdp'), axis_types=(AxisType.Auto,) * 2)


def replicated(mesh: Mesh) -> NamedSharding:
    """Every device holds the whole array."""
    return NamedSharding(mesh, PartitionSpec())


def everywhere(tree, mesh: Mesh):
    """A tree of arrays on every device of all processes, each of which passes the same values. With one process, they
    stay where they are."""
    if jax.process_count() == 1:
        return tree
    there = lambda leaf: isinstance(leaf, jax.Array) and not leaf.is_fully_addressable
    return jax.tree.map(lambda leaf: leaf if there(leaf) else _placed(leaf, replicated(mesh)), tree)


def put(tree, sharding):
    """jax.device_put, also of arrays that each of several processes has whole; sharding: one, or a tree of them."""
    if jax.process_count() == 1:
        return jax.device_put(tree, sharding)
    if isinstance(sharding, Sharding):
        return jax.tree.map(lambda leaf: _placed(leaf, sharding), tree)
    return jax.tree.map(_placed, tree, sharding)


def _placed(leaf, sharding):
    if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
        return jax.jit(lambda x: x, out_shardings=sharding)(leaf)
    if isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        data = _placed(jax.random.key_data(leaf), sharding)
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
    values = np.array(leaf)  # a copy: the array may be donated
    return jax.make_array_from_callback(values.shape, sharding, lambda part: values[part])


def fetch(tree):
    """A tree of arrays as numpy arrays, including those of which other processes hold a part."""
    if jax.process_count() == 1:
        return jax.device_get(tree)
    from jax.experimental import multihost_utils

    there = lambda leaf: not isinstance(leaf, jax.Array) or leaf.is_fully_addressable or leaf.is_fully_replicated
    leaves, treedef = jax.tree.flatten(tree)
    return treedef.unflatten(
        np.asarray(leaf) if there(leaf) else multihost_utils.process_allgather(leaf, tiled=True) for leaf in leaves
    )


def from_first(tree):
    """The first process's tree of numpy arrays, bit for bit, in all processes; the others pass one of the same shapes
    and types, whatever its values."""
    if jax.process_count() == 1:
        return tree
    from jax.experimental import multihost_utils

    leaves, treedef = jax.tree.flatten(tree)
    sent = multihost_utils.broadcast_one_to_all([np.ascontiguousarray(a).reshape(-1).view(np.uint8) for a in leaves])
    back = [np.asarray(s).view(a.dtype).reshape(a.shape) for s, a in zip(sent, leaves, strict=True)]
    return treedef.unflatten(back)


def over_batch(mesh: Mesh, axis: int = 0) -> NamedSharding:
    """Every device holds its share of a batch, whose images are along `axis`."""
    names = mesh.axis_names
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, names[0] if len(names) == 1 else names))


def check_batch(batch_size: int, mesh: Mesh, accumulate: int = 1) -> None:
    """Raises ValueError if a global batch does not divide evenly over the devices, in `accumulate` parts on each."""
    least = mesh.size * accumulate
    if batch_size % least:
        parts = f'{accumulate} parts (accumulate) on each of ' if accumulate > 1 else ''
        raise ValueError(
            f'a batch of {batch_size} does not divide over {parts}{mesh.size} devices: '
            f'use {max(batch_size // least, 1) * least}.'
        )
