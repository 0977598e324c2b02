"""What it takes to reproduce a result: the command, versions and hardware."""

import importlib.metadata
import os
import platform
import re
import shlex
import subprocess
import sys
from pathlib import Path

import jax

_LIBRARIES = 'jax jaxlib flax optax orbax-checkpoint numpy pillow simplejpeg tensorflow-datasets ssljax'.split()


def versions() -> dict:
    """Versions of Python, the libraries that can change a number, and this code."""
    out = {'python': platform.python_version()}
    for name in _LIBRARIES:
        try:
            out[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    root = Path(__file__).resolve().parents[2]
    git = (
        subprocess.run(
            ['git', '-C', str(root), 'describe', '--always', '--dirty'],
            capture_output=True,
            text=True,
            check=False,
        )
        if (root / '.git').exists()
        else None
    )
    if git and git.returncode == 0:
        out['ssljax'] = git.stdout.strip()
    return out


def hardware() -> dict:
    """Platform, device and host."""
    device = jax.devices()[0]
    kind = device.device_kind
    info = Path('/proc/cpuinfo')
    if device.platform == 'cpu' and info.exists():
        found = re.search(r'model name\s*:\s*(.+)', info.read_text())
        kind = found[1].strip() if found else kind
    return {
        'platform': device.platform,
        'device': kind,
        'devices': jax.device_count(),
        'processes': jax.process_count(),
        'host_cores': len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count(),
    }


def command() -> str:
    """The command line, as it can be typed again."""
    if sys.argv[0].startswith('ssljax '):  # as verbs.main leaves it
        return shlex.join(sys.argv[0].split() + sys.argv[1:])
    module = re.search(r'(ssljax(?:/\w+)*?)(?:/__main__)?\.py$', sys.argv[0])
    program = ['python', '-m', module[1].replace('/', '.')] if module else ['python', sys.argv[0]]
    return shlex.join(program + sys.argv[1:])
