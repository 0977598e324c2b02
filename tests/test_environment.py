"""What JAX reads from the environment and cannot start with: one line that names the variable."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ssljax.devices import environment

ROOT = Path(__file__).resolve().parent.parent
CODE = (
    'import sys\nfrom ssljax.devices import environment\nwith environment.imports():\n    import jax\n'
    'try:\n    environment.start()\nexcept ValueError as e:\n    sys.exit(f"error: {e}")'
)


@pytest.mark.parametrize(
    'variables, said',
    [
        ({'JAX_PLATFORMS': 'nope'}, 'This machine has cpu: set JAX_PLATFORMS=cpu'),
        ({'JAX_PLATFORMS': 'cuda'}, 'JAX_PLATFORMS=cuda: JAX cannot start this platform here'),
        ({'JAX_COORDINATOR_ADDRESS': 'nonsense'}, 'not an address of the form HOST:PORT'),
        ({'JAX_COORDINATOR_ADDRESS': 'localhost:1'}, 'JAX_COORDINATOR_ADDRESS=localhost:1'),
        ({'JAX_ENABLE_X64': 'perhaps'}, "JAX_ENABLE_X64='perhaps': JAX rejects"),
        ({'JAX_NUM_CPU_DEVICES': 'x'}, "JAX_NUM_CPU_DEVICES='x': JAX rejects"),
    ],
)
def test_what_jax_cannot_start_with(variables, said):
    if variables == {'JAX_PLATFORMS': 'cuda'} and os.path.exists('/dev/nvidia0'):
        pytest.skip('this machine has a GPU')
    env = {k: v for k, v in os.environ.items() if k != 'JAX_PLATFORMS'} | variables
    done = subprocess.run([sys.executable, '-c', CODE], cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode in (1, 2) and said in done.stderr
    assert done.stderr.startswith('error: ') and done.stderr.count('\n') == 1


def test_flags_of_xla():
    environment.check_xla_flags('')
    environment.check_xla_flags('--xla_llvm_disable_expensive_passes=true --xla_force_host_platform_device_count=4')
    with pytest.raises(ValueError, match='no flag --xla_nope'):
        environment.check_xla_flags('--xla_dump_to=/tmp --xla_nope=1')
    with pytest.raises(ValueError, match='nor a file'):
        environment.check_xla_flags('nonsense')
