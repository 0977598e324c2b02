"""The mesh and what lies where: batches are split over 'data', everything else is replicated."""

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec


def make_mesh() -> Mesh:
    """All devices of all processes along one axis, 'data'."""
    return jax.make_mesh((jax.device_count(),), ('data',), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """Every device holds the whole array."""
    return NamedSharding(mesh, PartitionSpec())


def everywhere(tree, mesh: Mesh):
    """A tree of arrays on every device of all processes, each of which gives the same values. With one process they
    stay where they are."""
    if jax.process_count() == 1:
        return tree
    return jax.tree.map(lambda leaf: _everywhere(leaf, replicated(mesh)), tree)


def _everywhere(leaf, sharding):
    if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
        return leaf
    if isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        data = _everywhere(jax.random.key_data(leaf), sharding)
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
    values = np.array(leaf)  # a copy: the array may be donated
    return jax.make_array_from_process_local_data(sharding, values, values.shape)


def fetch(tree):
    """A tree of arrays as numpy arrays, also of those that other processes hold a part of."""
    if jax.process_count() == 1:
        return jax.device_get(tree)
    from jax.experimental import multihost_utils

    there = lambda leaf: not isinstance(leaf, jax.Array) or leaf.is_fully_addressable or leaf.is_fully_replicated
    leaves, treedef = jax.tree.flatten(tree)
    return treedef.unflatten(
        np.asarray(leaf) if there(leaf) else multihost_utils.process_allgather(leaf, tiled=True) for leaf in leaves
    )


def check_batch(batch_size: int, mesh: Mesh) -> None:
    """Raises ValueError where a global batch does not divide over the devices."""
    if batch_size % mesh.size:
        raise ValueError(
            f'a batch of {batch_size} does not divide over {mesh.size} devices: '
            f'use {max(batch_size // mesh.size, 1) * mesh.size}.'
        )
