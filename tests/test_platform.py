import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from ssljax import platform


def test_compiler_options_are_accepted_and_change_no_result():
    step = jax.jit(lambda x: jnp.sin(x) @ x, compiler_options=platform.compiler_options())
    x = jnp.eye(3)
    assert jnp.allclose(step(x), jnp.sin(x) @ x)


def test_unknown_option_gives_none(monkeypatch):
    monkeypatch.setattr(platform, '_CPU_OPTIONS', {'xla_cpu_no_such_option': '1'})
    platform.compiler_options.cache_clear()
    assert platform.compiler_options() == {}
    monkeypatch.undo()
    platform.compiler_options.cache_clear()


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='glibc only')
def test_tune_malloc_in_a_process_of_its_own():
    code = 'from ssljax.platform import tune_malloc; print(tune_malloc()); x = bytearray(10**8); del x'
    run = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() in ('True', 'False')
