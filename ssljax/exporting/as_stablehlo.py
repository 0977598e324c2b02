"""StableHLO, serialised by jax.export: runs with JAX alone, on a CPU, a GPU or a TPU. Images uint8 [N, H, W, C], any N,
to probabilities [N, K]."""

from pathlib import Path

import jax
import numpy as np

SUFFIX = '.stablehlo'
NEEDS = ()
PLATFORMS = 'cpu', 'cuda', 'tpu'


def write(model, path: Path) -> dict:
    """Writes a model; see `exporting.write`. Returns what its JSON says of the file."""
    (n,) = jax.export.symbolic_shape('n')
    images = jax.ShapeDtypeStruct((n, *model.shape), np.uint8)
    exported = jax.export.export(jax.jit(model.function()[0]), platforms=PLATFORMS)(images)
    path.write_bytes(exported.serialize())
    return {
        'platforms': list(PLATFORMS),
        'jax': jax.__version__,
        'use': f'jax.export.deserialize(open({path.name!r}, "rb").read()).call(images)',
    }


def read(path: Path, info: dict):
    """(images uint8 [N, H, W, C]) -> float32 [N, K] of a file that `write` made."""
    call = jax.jit(jax.export.deserialize(bytearray(path.read_bytes())).call)
    return lambda images: np.asarray(call(images))
