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
def test_tune_cpu_in_a_process_of_its_own():
    code = 'from ssljax.platform import tune_cpu; print(tune_cpu()); x = bytearray(10**8); del x'
    run = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() in ('True', 'False')


PAGES = """
import resource
from ssljax import platform
print(platform.tune_cpu())
import jax, jax.numpy as jnp
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
x, found = jnp.ones((2**15, 8)), []
step = jax.jit(lambda x: (jnp.sin(x @ x[:1024].T).T @ x).max())  # 128 MiB in between
for _ in range(40):
    before = faults()
    step(x).block_until_ready()
    found.append(faults() - before)
print(*found)
"""


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='glibc only')
def test_a_large_temporary_is_paged_in_once():
    run = subprocess.run([sys.executable, '-c', PAGES], capture_output=True, text=True, check=True)
    took, counts = run.stdout.splitlines()[-2:]
    if took == 'True':
        first, *others = map(int, counts.split())
        assert first > 2**27 / 4096 / 2 and statistics.median(others) < first / 100, counts
