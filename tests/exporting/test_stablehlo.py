"""A serialised program runs with JAX alone."""

import os
import subprocess
import sys

import numpy as np

import ssljax

CODE = """
import sys, jax, numpy as np
call = jax.export.deserialize(open('x.stablehlo', 'rb').read()).call
images = np.load('x.npy')
np.save('y.npy', np.concatenate([call(images[:1]), call(images[1:])]))
assert not {'ssljax', 'flax'} & sys.modules.keys()
"""


def test_it_runs_where_ssljax_is_not(make, tmp_path):
    model = make('cnn')
    path = model.export(tmp_path / 'x.stablehlo')
    images = np.random.default_rng(1).integers(0, 256, (4, 8, 8, 1), np.uint8)
    np.save(tmp_path / 'x.npy', images)
    environment = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'} | {'PYTHONSAFEPATH': '1'}
    subprocess.run([sys.executable, '-c', CODE], cwd=tmp_path, env=environment, check=True)
    np.testing.assert_allclose(np.load(tmp_path / 'y.npy'), model.predict(images), atol=1e-5)
    again = ssljax.load(path)
    np.testing.assert_allclose(again.predict(images), model.predict(images), atol=1e-5)
    assert again.way == 'scratch' and again.info == model.info | {'temperature': 1.0}


def test_it_is_for_every_platform(make, tmp_path):
    import jax

    path = make('vit', (8, 8, 1), width=16, depth=1, heads=1, token=True).export(tmp_path / 'x', 'stablehlo')
    exported = jax.export.deserialize(bytearray(path.read_bytes()))
    assert exported.platforms == ('cpu', 'cuda', 'tpu') and exported.in_avals[0].dtype == np.uint8
