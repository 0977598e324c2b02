import statistics
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


def test_a_program_that_runs_once_draws_the_same_bits(key):
    draw = lambda key: jax.random.truncated_normal(key, -2, 2, (3, 3, 16, 16))
    once = jax.jit(draw, compiler_options=platform.once_options())
    assert (once(key) == jax.jit(draw)(key)).all()


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


PAGES = """
import resource, threading
from ssljax import platform
print(platform.tune_malloc())
import jax, jax.numpy as jnp
step = jax.jit(lambda x: jnp.sort(jnp.cos(x[:, None] + jnp.arange(2.0**15)), 0).sum())
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
x, found = jnp.arange(1024.0), []
def steps():
    for _ in range(12):
        before = faults()
        step(x).block_until_ready()
        found.append(faults() - before)
thread = threading.Thread(target=steps)
thread.start(), thread.join()
print(*found)
"""


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='glibc only')
def test_a_large_temporary_is_paged_in_once():
    run = subprocess.run([sys.executable, '-c', PAGES], capture_output=True, text=True, check=True)
    took, counts = run.stdout.splitlines()[-2:]
    if took == 'True':
        first, *others = map(int, counts.split())
        assert statistics.median(others[-6:]) < first / 100, counts  # early ones may find the buffer held, or split
