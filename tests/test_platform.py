import os
import statistics
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.devices import platform


def test_compiler_options_are_accepted_and_change_no_result():
    step = jax.jit(lambda x: jnp.sin(x) @ x, compiler_options=platform.compiler_options())
    x = jnp.eye(3)
    assert jnp.allclose(step(x), jnp.sin(x) @ x)


def column_sums(n):
    """The program of jax-ml/jax#39103 and its input, whose last row gives (n - 1) ** 2."""
    x = jnp.zeros((n, 3)).at[:, 0].set(jnp.arange(n))
    return lambda x: jax.vmap(lambda row: jnp.sum((jnp.eye(3) @ row) ** 2))(x), x


@pytest.mark.parametrize('options', (platform.compiler_options, platform.once_options))
@pytest.mark.parametrize('n', (1000, 32_769, 100_003))
def test_sums_of_many_rows_are_right(options, n):
    program, x = column_sums(n)
    found = jax.jit(program, compiler_options=options())(x)
    assert np.allclose(found, np.arange(n, dtype=np.float64) ** 2, rtol=1e-6)


REDUCTIONS = """
from ssljax.devices import platform
platform.tune_cpu()
import jax, jax.numpy as jnp, numpy as np

n = 32_769
x = jnp.zeros((n, 3)).at[:, 0].set(jnp.arange(n))
squares = jax.jit(lambda x: jax.vmap(lambda row: jnp.sum((jnp.eye(3) @ row) ** 2))(x))
assert np.allclose(squares(x), np.arange(n, dtype=np.float64) ** 2, rtol=1e-6)

for shape, axis in (((3, 1, 2, 2, 8, 8, 8), 3), ((2, 2, 1, 2, 2, 2, 2, 2), 7)):
    a, b = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    assert np.allclose(jax.jit(lambda a, b: jnp.sum(a * b, axis=axis))(a, b), (a * b).sum(axis), rtol=1e-5, atol=1e-5)
print('right')
"""


@pytest.mark.parametrize('flags', ('', '--xla_backend_optimization_level=1'))
def test_programs_without_options_reduce_rightly(flags):
    """jax-ml/jax#39103, #39257 and #40412: wrong sums, and crashes at rank 7 and more, with XLA's own defaults."""
    environment = os.environ | {'XLA_FLAGS': flags, 'JAX_PLATFORMS': 'cpu'}
    run = subprocess.run([sys.executable, '-c', REDUCTIONS], capture_output=True, text=True, env=environment)
    assert run.stdout.strip() == 'right', run.stderr


def test_a_flag_that_the_user_sets_stays(monkeypatch):
    given = '--xla_cpu_experimental_ynn_fusion_type=-individual_dot'
    monkeypatch.setenv('XLA_FLAGS', given)
    platform.sound_reductions()
    assert os.environ['XLA_FLAGS'] == given


def test_a_jaxlib_that_may_not_know_the_flag_is_not_given_it(monkeypatch):
    for version, known in (('0.9.2', False), ('0.10.0', True), ('0.12.0.1', True), ('1.0', False)):
        monkeypatch.setattr(platform.jaxlib, '__version__', version)
        monkeypatch.setenv('XLA_FLAGS', '')
        platform.sound_reductions()
        assert bool(os.environ['XLA_FLAGS']) == known, version


ONCE = """
import jax
from ssljax.devices import platform
draw = lambda key: jax.random.truncated_normal(key, -2, 2, (3, 3, 16, 16))
once = jax.jit(draw, compiler_options=platform.once_options())
assert (once(jax.random.key(0)) == jax.jit(draw)(jax.random.key(0))).all()
"""


def test_a_program_that_runs_once_draws_the_same_bits():
    """As users compile it, without the flags of the tests."""
    clean = {k: v for k, v in os.environ.items() if k != 'XLA_FLAGS'}
    subprocess.run([sys.executable, '-c', ONCE], check=True, env=clean | {'JAX_PLATFORMS': 'cpu'})


def test_unknown_option_gives_none(monkeypatch):
    monkeypatch.setattr(platform, '_CPU_OPTIONS', {'xla_cpu_no_such_option': '1'})
    platform.compiler_options.cache_clear()
    assert platform.compiler_options() == {}
    monkeypatch.undo()
    platform.compiler_options.cache_clear()


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='glibc only')
def test_tune_cpu_in_a_process_of_its_own():
    code = 'from ssljax.devices.platform import tune_cpu; print(tune_cpu()); x = bytearray(10**8); del x'
    run = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() in ('True', 'False')


PAGES = """
import resource
from ssljax.devices import platform
print(platform.tune_cpu())
import jax, jax.numpy as jnp
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
x, found = jnp.ones((2**15, 8)), []
step = jax.jit(lambda x: (jnp.sin(x @ x[:1024].T).T @ x).max())  # 128 MiB in between
for _ in range(12):
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


def test_a_damaged_compiled_program_is_compiled_again_and_kept(tmp_path):
    code = (
        'from ssljax.devices import platform; from ssljax.text import console\n'
        'console.plain_warnings(); platform.keep_compiled(); import jax\n'
        'def double(x): return 2 * x\n'
        'print(jax.jit(double)(1.5))'
    )
    environment = os.environ | {'JAX_COMPILATION_CACHE_DIR': str(tmp_path / 'cache'), 'JAX_PLATFORMS': 'cpu'}

    def said():
        done = subprocess.run(
            [sys.executable, '-c', code], capture_output=True, text=True, env=environment, timeout=120
        )
        assert done.stdout == '3.0\n', done.stderr
        return done.stderr

    assert not said()
    [path] = (tmp_path / 'cache').glob('jit_double-*-cache')
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b'', bytes([*whole[:-9], whole[-9] ^ 4, *whole[-8:]])):
        path.write_bytes(damaged)
        text = said()
        assert text.count('\n') == 1 and 'a damaged compiled program (jit_double) was removed' in text, text
        assert path.stat().st_size and not said()


def test_a_cache_that_cannot_be_written_to_is_off(tmp_path, monkeypatch):
    (tmp_path / 'file').write_text('')
    before = jax.config.jax_compilation_cache_dir
    monkeypatch.setenv('JAX_COMPILATION_CACHE_DIR', str(tmp_path / 'file'))
    try:
        platform.keep_compiled()
        assert jax.config.jax_compilation_cache_dir is None
    finally:
        jax.config.update('jax_compilation_cache_dir', before)
