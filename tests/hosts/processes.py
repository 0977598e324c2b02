"""The processes of one run, started on this machine, each of which a test can signal."""

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

from ssljax.progress.log import read
from tests.command import ROOT, TINY, once
from tests.ports import free_port

_spec = importlib.util.spec_from_file_location('local', ROOT / 'launch/local.py')
local = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(local)

FLAGS = [
    *(flag for flag in TINY if 'batch_size' not in flag),
    '--config.pretrain.batch_size=16', '--config.transfer.batch_size=16', '--config.evaluate.batch_size=64',
]  # fmt: skip
SMALL = ['--config.pretrain.method=none', "--config.transfer.ways=('scratch',)", '--config.transfer.scratch.epochs=0',
         '--config.transfer.scratch.steps=60', '--config.transfer.scratch.evals=4', '--config.evaluate.random=False',
         '--config.evaluate.knn=0', '--config.evaluate.probe=False']  # fmt: skip


def environments(count: int, devices: int) -> list[dict]:
    """That of each process."""
    base = {k: v for k, v in os.environ.items() if not k.lower().endswith('_proxy')} | {'PYTHONPATH': str(ROOT)}
    found = local.variables(count, devices, free_port())
    alone = lambda own: {name: own[name] for name in ('XLA_FLAGS', 'JAX_PLATFORMS')}
    return [base | (own if count > 1 else alone(own)) for own in found]


class Processes:
    """Those of one run; what each prints goes to a file. apart: of hosts that share no disk, each with a folder of its
    own, or, where it is a URL, with a copy of its own of what lies there."""

    def __init__(
        self, workdir, *flags, count=2, devices=2, verb='ssljax.main', recipe='configs/quickstart.py', apart=None, **env
    ):
        self.workdir, self.said = Path(workdir), []
        command = [sys.executable, '-m', verb, f'--config={recipe}', *once(*FLAGS, *flags)]
        self.all = []
        for i, own in enumerate(environments(count, devices)):
            said = self.workdir.with_name(f'{self.workdir.name}.{count}.{i}.{time.time():.3f}.said')
            self.said.append(said)
            disk = self.workdir.with_name(f'{self.workdir.name}.host{i}') if apart and i else self.workdir
            own |= {'SSLJAX_BUCKETS': str(disk)} if isinstance(apart, str) else {}
            where = apart if isinstance(apart, str) else disk
            with open(said, 'w') as f:
                process = subprocess.Popen(
                    [*command, f'--workdir={where}'], cwd=ROOT, env=own | env, stdout=f, stderr=f
                )
                self.all.append(process)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.all:
            process.kill()
            process.wait()

    def texts(self) -> list[str]:
        """What each has printed so far."""
        return [said.read_text(errors='replace') for said in self.said]

    def ended(self, timeout: float = 200) -> list[int]:
        """The exit codes."""
        deadline = time.time() + timeout
        return [process.wait(max(deadline - time.time(), 0.1)) for process in self.all]

    def until(self, seen, timeout: float = 200) -> None:
        """Waits until seen() is true."""
        deadline = time.time() + timeout
        while not seen():
            assert all(p.poll() is None for p in self.all), self.texts()
            assert time.time() < deadline, self.texts()
            time.sleep(0.005)

    def lines(self, stage: str) -> int:
        """Lines of a stage's metrics so far."""
        path = self.workdir / 'seed0' / stage / 'metrics.jsonl'
        return len(read(path)) if path.exists() else 0


def completed(workdir, *flags, **kw) -> list[str]:
    """What each process of a run printed that ends well."""
    with Processes(workdir, *flags, **kw) as run:
        codes = run.ended(400)
        assert set(codes) == {0}, (codes, run.texts())
        return run.texts()
