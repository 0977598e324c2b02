"""A run that is killed again and again at random moments ends as one that was not, bit for bit."""

import collections
import os
import random
import re
import time

import pytest

from tests.command import outcome, same
from tests.hosts.processes import Processes, completed

KILLS = int(os.environ.get('SSLJAX_KILLS', 0))  # of one process, half as many of two
ALL = ['--config.pretrain.steps=60', '--config.transfer.frozen.steps=20', '--config.transfer.second.steps=20',
       '--config.transfer.scratch.epochs=0', '--config.transfer.scratch.steps=40', '--config.save_every=0']  # fmt: skip


def stage(run) -> str:
    """What the run was at when it was killed."""
    if any(run.workdir.glob('seed0/*/checkpoints/*tmp*')) or any(run.workdir.glob('seed0/*/model/*tmp*')):
        return 'in the middle of a checkpoint'
    said = re.findall(r'seed 0 · (\w+)', run.texts()[0])
    return said[-1] if said else 'before the first stage'


def killed(place, chance, seconds: float, **kw) -> str | None:
    """Starts the run in `place`, and kills it at a random moment; what it was at, or None where it has ended before."""
    with Processes(place, *ALL, **kw) as run:
        while 'total ' not in run.texts()[0] and run.all[0].poll() is None:
            time.sleep(0.01)
        until = time.time() + chance.uniform(0, seconds)
        while time.time() < until and run.all[0].poll() is None:
            time.sleep(0.002)
        if run.all[0].poll() is not None:
            assert run.all[0].returncode == 0, run.texts()
            return None
        for process in run.all:
            process.kill()
        return stage(run)


@pytest.mark.skipif(not KILLS, reason='takes long: SSLJAX_KILLS=50 kills a run fifty times')
@pytest.mark.parametrize('processes', [1, 2])
def test_no_kill_changes_a_bit(tmp_path, processes, capsys):
    kw = {'count': processes, 'devices': 2}
    completed(tmp_path / 'undisturbed', *ALL, **kw)
    began = time.time()
    completed(tmp_path / 'again', *ALL, **kw)
    seconds = max(time.time() - began, 5.0) / 2
    chance, tried, number = random.Random(processes), collections.Counter(), 0
    whole = outcome(tmp_path / 'undisturbed')
    while sum(tried.values()) < KILLS // processes:
        place = tmp_path / f'run{number}'
        at = killed(place, chance, seconds, **kw)
        if at is None:
            same(whole, outcome(place))
            number += 1
        else:
            tried[at] += 1
    completed(tmp_path / f'run{number}', *ALL, **kw)
    same(whole, outcome(tmp_path / f'run{number}'))
    with capsys.disabled():
        print(f'\n{processes} process(es), {number + 1} runs; SIGKILL, survived / tried:')
        for at, count in tried.most_common():
            print(f'  {at:<32} {count} / {count}')
