"""The mesh and what lies where: batches are split over all devices; all else is replicated, but for weights that are
split over the axis 'fsdp' (fsdp.py)."""

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec


def make_mesh(fsdp: int = 1) -> Mesh:
    """All devices of all processes along one axis, 'data'; where each copy of the weights is split over `fsdp` of them,
    along two, 'data' and 'fsdp'. Neighbours, which are usually of one host, share a copy.

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


def over_batch(mesh: Mesh, axis: int = 0) -> NamedSharding:
    """Every device holds its share of a batch, whose images are along `axis`."""
    names = mesh.axis_names
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, names[0] if len(names) == 1 else names))


def check_batch(batch_size: int, mesh: Mesh, accumulate: int = 1) -> None:
    """Raises ValueError where a global batch does not divide over the devices, or not in so many parts."""
    least = mesh.size * accumulate
    if batch_size % least:
        parts = f'{accumulate} parts (accumulate) on each of ' if accumulate > 1 else ''
        raise ValueError(
            f'a batch of {batch_size} does not divide over {parts}{mesh.size} devices: '
            f'use {max(batch_size // least, 1) * least}.'
        )
