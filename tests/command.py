"""The command as a user starts it, in a process of its own, on a run that takes seconds."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from ssljax.progress.log import read
from ssljax.storage import checkpoint

ROOT = Path(__file__).resolve().parent.parent
TINY = (
    '--config.transfer.ways=("random_frozen","scratch","frozen","finetune","two_stage") '
    '--config.pretrain.method=rotation --config.pretrain.augment=crop(1) --config.pretrain.optim.lr=0.05 '
    '--config.data.source=synthetic:8x8x1:3 --config.data.labels=10/class --config.data.val=60 '
    '--config.pretrain.epochs=0 --config.pretrain.steps=30 --config.pretrain.evals=3 --config.pretrain.batch_size=16 '
    '--config.transfer.frozen.epochs=0 --config.transfer.frozen.steps=4 --config.transfer.batch_size=15 '
    '--config.transfer.second.epochs=0 --config.transfer.second.steps=4 --config.seeds=(0,) '
    '--config.evaluate.figures=False --config.log_every=5'
).split()


def command(workdir, *flags):
    return [
        sys.executable,
        '-m',
        'ssljax.main',
        '--config=configs/quickstart.py',
        f'--workdir={workdir}',
        *once(*TINY, *flags),
    ]


def once(*flags) -> list[str]:
    """The flags of which each name has its last value."""
    return list({flag.split('=')[0]: flag for flag in flags}.values())


def run(workdir, *flags, **kw):
    return subprocess.run(
        command(workdir, *flags),
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=600,
        **kw,
    )


def environment():
    return os.environ | {'JAX_PLATFORMS': 'cpu', 'PYTHONPATH': str(ROOT)}


def outcome(workdir):
    """All that must be the same bit for bit: metrics by stage, test figures and weights."""
    metrics = {str(p.relative_to(workdir)): read(p) for p in sorted(Path(workdir).glob('seed*/*/metrics.jsonl'))}
    result = json.loads((Path(workdir) / 'result.json').read_text())
    tests = {w: r['test'] for w, r in result['seeds'][0]['ways'].items()}
    weights = {p.parent.name: checkpoint.load_variables(p)[0] for p in sorted(Path(workdir).glob('seed*/*/model'))}
    return metrics, tests, weights


def same(a, b):
    assert a[0] == b[0]
    assert a[1] == b[1]
    np.testing.assert_equal(a[2], b[2])


def acted(workdir, act, seen, *flags):
    """(exit code, what was said) of a run on which `act`(process) is called once `seen`(what it has said, process) is
    true."""
    said = workdir.with_name(f'{workdir.name}.err')
    with open(said, 'w') as err:
        process = subprocess.Popen(command(workdir, *flags), cwd=ROOT, env=environment(), stderr=err)
    deadline = time.time() + 600
    while not seen(said.read_text(), process) and process.poll() is None and time.time() < deadline:
        time.sleep(0.005)
    act(process)
    return process.wait(600), said.read_text()


def ready_for_signals(process) -> bool:
    """Whether a process that runs has come past `preempt.early`, by the signals for which it has handlers: SIGHUP's is
    set last. Where that is ignored, as under nohup, SIGTERM's says it: Python sets one for SIGINT before."""
    status = Path(f'/proc/{process.pid}/status').read_text()
    ignored, caught = (int(re.search(rf'^{name}:\s*(\w+)', status, re.M)[1], 16) for name in ('SigIgn', 'SigCgt'))
    last = signal.SIGTERM if ignored >> signal.SIGHUP - 1 & 1 else signal.SIGHUP
    return bool(caught >> last - 1 & 1)
