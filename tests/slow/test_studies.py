"""Studies whose workers are several, or are killed."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ssljax.studies import worker
from tests import rows

RUN = """
import sys
from ssljax.config import base
from ssljax.studies import worker
c = base()
c.update_from_flattened_dict(eval(sys.argv[2]))
worker.run(c, sys.argv[1])
"""


def test_killing_a_study_changes_no_row(study, tmp_path):
    worker.run(study, tmp_path / 'whole')
    changes = {k: v for k, v in flat(study).items() if k != 'name'} | {'name': study.name}
    command = [sys.executable, '-c', RUN, str(tmp_path / 'killed'), repr(changes)]
    environment = dict(os.environ, JAX_PLATFORMS='cpu', PYTHONPATH=os.getcwd())
    chance, done = random.Random(0), 1
    for _ in range(3):
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        deadline = time.time() + 120
        while len(list((tmp_path / 'killed').glob('cells/*/row.json'))) < done and time.time() < deadline:
            time.sleep(0.05)
        time.sleep(chance.uniform(0, 0.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
        done = min(len(list((tmp_path / 'killed').glob('cells/*/row.json'))) + 1, 8)
    subprocess.run(command, env=environment, check=True, capture_output=True)
    assert rows.read(tmp_path / 'killed') == rows.read(tmp_path / 'whole')


def flat(config, prefix=''):
    out = {}
    for key, value in config.items():
        out |= flat(value, f'{prefix}{key}.') if hasattr(value, 'items') else {prefix + key: value}
    return out


RECIPE = """
from ssljax.config import base
def get_config():
    c = base()
    c.name = 'small'
    c.data.update(source='synthetic:8x8x1:3', labels='5/class', val='60')
    c.pretrain.method = 'none'
    c.transfer.update(ways=('scratch',), batch_size=16)
    c.transfer.scratch.update(steps=6, evals=2)
    c.study.together = 1
    c.seeds = (0, 1)
    return c
"""


def test_two_workers_share_the_cells(tmp_path):
    if not hasattr(os, 'sched_getaffinity') or len(os.sched_getaffinity(0)) < 2:
        pytest.skip('a worker takes a core')
    (tmp_path / 'recipe.py').write_text(RECIPE)
    command = [sys.executable, '-m', 'ssljax.study', f'--config={tmp_path}/recipe.py', f'--workdir={tmp_path}/out']
    sweep = ['--workers=2', '--sweep=transfer.mixup=0.2,0.5']
    environment = dict(os.environ, JAX_PLATFORMS='cpu')
    done = subprocess.run([*command, *sweep], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 'transfer.mixup=0.5' in (tmp_path / 'out/study.html').read_text()
    assert len(rows.read(tmp_path / 'out')) == 6


def test_workers_end_with_the_process_that_started_them(tmp_path):
    if not hasattr(os, 'sched_getaffinity') or len(os.sched_getaffinity(0)) < 2:
        pytest.skip('a worker takes a core')
    (tmp_path / 'recipe.py').write_text(RECIPE.replace('steps=6', 'steps=6000'))
    command = [sys.executable, '-m', 'ssljax.study', f'--config={tmp_path}/recipe.py', f'--workdir={tmp_path}/out']
    process = subprocess.Popen(
        [*command, '--workers=2'], env=dict(os.environ, JAX_PLATFORMS='cpu'), stderr=subprocess.DEVNULL
    )
    deadline = time.time() + 120
    while len(list((tmp_path / 'out').glob('cells/*/seed*/scratch/metrics.jsonl'))) < 2 and time.time() < deadline:
        time.sleep(0.1)
    assert len(workers(tmp_path)) == 3
    process.kill()
    process.wait()
    deadline = time.time() + 30
    while workers(tmp_path) and time.time() < deadline:
        time.sleep(0.2)
    assert not workers(tmp_path)


def workers(place):
    """The processes that work on a recipe there."""
    found = []
    for path in Path('/proc').glob('[0-9]*/cmdline'):
        with contextlib.suppress(OSError):
            found += [path] if f'--config={place}/recipe.py'.encode() in path.read_bytes() else []
    return found
