"""What a generator makes at each evaluation, from the same noise, and where a classifier of points in the plane then
draws its boundary."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from ssljax.core import split
from ssljax.data.augment import to_uint8
from ssljax.data.toy import is_plane
from ssljax.devices.platform import compiler_options
from ssljax.devices.sharding import fetch
from ssljax.processes import hosts
from ssljax.storage import files

GRID = 64  # points per side of the map of the plane


def compiled(method, shape):
    """Compiles variables -> {'samples': [N, H, W, C] uint8, of a method that generates; 'boundary': [GRID, GRID, K]
    float32, class probabilities over the plane (rows: second coordinate), of points}."""
    axis = np.linspace(0, 255, GRID)
    plane = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 1, 1, 2)

    def look(variables):
        out = {'samples': to_uint8(method.sample(*split(variables)))} if method.sample else {}
        if is_plane(shape):
            logits = method.predict(*split(variables), jnp.asarray(plane, jnp.float32))
            out['boundary'] = jax.nn.softmax(logits).reshape(GRID, GRID, -1)
        return out

    return jax.jit(look, compiler_options=compiler_options())


def keep(look, directory, step: int, variables) -> dict:
    """Stores what `look` sees under the step; returns no further metrics."""
    files.write_npz(Path(directory) / 'gallery' / f'{step:08d}.npz', fetch(look(variables)))
    return {}


@hosts.by_first
def collect(directory) -> dict:
    """{'steps': [T] int, and what was kept: [T, ...]}; {} if nothing was."""
    paths = sorted(Path(directory).glob('gallery/*.npz'))
    if not paths:
        return {}
    kept = {}
    for path in paths:
        try:
            kept[int(path.stem)] = files.read_npz(path) or {}
        except (files.Damaged, ValueError) as e:  # or the name is no step
            logging.warning('%s: left out of the figures.', e)
    if not kept:
        return {}
    names = set.intersection(*(set(arrays) for arrays in kept.values()))
    return {'steps': np.array(list(kept))} | {
        name: np.stack([arrays[name] for arrays in kept.values()]) for name in kept[min(kept)] if name in names
    }
