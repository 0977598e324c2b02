"""StableHLO, serialised by jax.export: runs with JAX alone, on a CPU, a GPU or a TPU. Images uint8 [N, H, W, C], any N,
to probabilities [N, K], or with features to both."""

from pathlib import Path

import jax
import numpy as np

SUFFIX = '.stablehlo'
NEEDS = ()
PLATFORMS = 'cpu', 'cuda', 'tpu'


def write(model, path: Path, features: bool = False) -> dict:
    """Writes a model; see `exporting.write`. Returns what its JSON says of the file."""
    (n,) = jax.export.symbolic_shape('n')
    images = jax.ShapeDtypeStruct((n, *model.shape), np.uint8)
    function, names = model.function(features)
    given = function if len(names) > 1 else lambda images: function(images)[0]  # a single array, not a tuple
    exported = jax.export.export(jax.jit(given), platforms=PLATFORMS)(images)
    path.write_bytes(exported.serialize())
    return {
        'platforms': list(PLATFORMS),
        'jax': jax.__version__,
        'use': f'jax.export.deserialize(open({path.name!r}, "rb").read()).call(images)',
    }


def read(path: Path, info: dict):
    """(images uint8 [N, H, W, C]) -> the outputs, float32, of a file that `write` made."""
    call = jax.jit(jax.export.deserialize(bytearray(path.read_bytes())).call)
    return lambda images: tuple(map(np.asarray, jax.tree.leaves(call(images))))
