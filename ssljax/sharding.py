"""The mesh and what lies where: batches are split over 'data', everything else is replicated."""

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec


def make_mesh() -> Mesh:
    """All devices of all processes along one axis, 'data'."""
    return jax.make_mesh((jax.device_count(),), ('data',), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """Every device holds the whole array."""
    return NamedSharding(mesh, PartitionSpec())


def check_batch(batch_size: int, mesh: Mesh) -> None:
    """Raises ValueError where a global batch does not divide over the devices."""
    if batch_size % mesh.size:
        raise ValueError(
            f'a batch of {batch_size} does not divide over {mesh.size} devices: '
            f'use {max(batch_size // mesh.size, 1) * mesh.size}.'
        )
