"""Runs a function of a test module in a process that has four devices."""

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import json, sys
from tests import conftest
import importlib
module, name, *args = sys.argv[1:]
print(json.dumps(getattr(importlib.import_module(module), name)(*args)))
"""


def on_four(function, *args):
    """What `function`, of the top level of its module, returns for these strings; JSON can say it."""
    env = os.environ | {'JAX_PLATFORMS': 'cpu'}
    env['XLA_FLAGS'] = env.get('XLA_FLAGS', '') + ' --xla_force_host_platform_device_count=4'
    command = [sys.executable, '-c', SCRIPT, function.__module__, function.__name__, *map(str, args)]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, env=env, cwd=root, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])
