"""Where the time of a whole run goes, by what it leaves: here by files that are made up, each with its own time."""

import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import page, start

SPENT = {'compile': 2.0, 'input': 0.25, 'steps': 3.0, 'evaluate': 0.5, 'save': 0.0}
BEGAN = 1_700_000_000.0  # of a clock that is made up, too


def made_up(command, *, env, **_):
    """A run that begins then and ends 20 seconds later, of two stages."""
    workdir = Path(command[4].removeprefix('--workdir='))
    assert env['JAX_COMPILATION_CACHE_DIR'] == 'cache' and command[5:] == ['--config.seeds=0,']
    at = {'config.json': 1, 'data.json': 3, 'seed0/pretrain/done.json': 9, 'seed0/scratch/done.json': 15}
    for name, seconds in (at | {'result.json': 18}).items():
        (workdir / name).parent.mkdir(parents=True, exist_ok=True)
        (workdir / name).write_text(json.dumps({'spent': SPENT}))
        os.utime(workdir / name, (BEGAN + seconds, BEGAN + seconds))
    return SimpleNamespace(returncode=0, stderr='')


def test_a_whole_run_is_taken_apart(monkeypatch):
    monkeypatch.setattr(subprocess, 'run', made_up)
    clock = iter((0.0, 20.0))
    monkeypatch.setattr(start, 'time', SimpleNamespace(time=lambda: BEGAN + next(clock)))
    found = start.whole('x.py', ['--config.seeds=0,'], cache='cache')
    parts = {'imports': 1, 'data': 2, 'compile': 4, 'input': 0.5, 'steps': 6, 'evaluate': 1, 'save': 0}
    parts |= {'evaluation': 3, 'report': 2, 'other': 0.5, 'total': 20}
    assert {name: found[name] for name in parts} == pytest.approx(parts)
    text = page.start({'seconds': {'cold': found | {'runs': []}, 'warm': found | {'runs': []}}})
    assert text.splitlines()[0] == f'| cache | {" | ".join(found)} |'
    assert start.table({'cold': found, 'warm': found}).count('\n') == 2


def test_a_run_that_fails_is_told_with_what_it_said(monkeypatch):
    failed = SimpleNamespace(returncode=2, stderr='error: no such recipe')
    monkeypatch.setattr(subprocess, 'run', lambda *_, **__: failed)
    with pytest.raises(RuntimeError, match='code 2:\nerror: no such recipe'):
        start.whole('x.py', cache='cache')
