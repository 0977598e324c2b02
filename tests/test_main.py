"""The command itself: errors, kills and signals, as a user meets them."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ssljax import checkpoint, files, preempt
from ssljax.log import read

ROOT = Path(__file__).resolve().parent.parent
TINY = (
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
        *TINY,
        *flags,
    ]


def run(workdir, *flags, **kw):
    return subprocess.run(
        command(workdir, *flags),
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
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


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    workdir = tmp_path_factory.mktemp('finished')
    done = run(workdir)
    assert done.returncode == 0, done.stderr
    return workdir, done


def same(a, b):
    assert a[0] == b[0]
    assert a[1] == b[1]
    np.testing.assert_equal(a[2], b[2])


def test_a_run_writes_its_result(finished):
    workdir, done = finished
    assert 'From scratch' in done.stdout and 'report.html' in done.stdout
    result = json.loads((workdir / 'result.json').read_text())
    assert set(result['summary']) == {'random_frozen', 'scratch', 'frozen', 'finetune', 'two_stage'}
    assert result['data']['counts'] | {'labeled': 30, 'val': 60} == result['data']['counts']
    assert list((workdir / 'seed0/pretrain').glob('events.out.tfevents*'))
    pretrain = read(workdir / 'seed0/pretrain/metrics.jsonl')
    assert [r['step'] for r in pretrain if 'val/top1' in r] == [10, 20, 30]
    assert 'Traceback' not in done.stderr and 'Warning' not in done.stderr


def test_a_finished_run_is_not_done_again(finished):
    workdir, _ = finished
    before = outcome(workdir)
    stamp = (workdir / 'seed0/evaluation.json').stat().st_mtime_ns
    assert run(workdir).returncode == 0
    same(before, outcome(workdir))
    assert (workdir / 'seed0/evaluation.json').stat().st_mtime_ns == stamp


@pytest.mark.parametrize('sign', [signal.SIGKILL, signal.SIGTERM], ids=['SIGKILL', 'SIGTERM'])
def test_a_killed_run_ends_as_one_that_was_not(finished, tmp_path, sign):
    flags = ['--config.save_every=0']
    metrics = tmp_path / 'seed0/pretrain/metrics.jsonl'
    process = subprocess.Popen(command(tmp_path, *flags), cwd=ROOT, env=environment(), stderr=subprocess.PIPE)
    deadline = time.time() + 200
    while not (metrics.exists() and len(read(metrics)) >= 3) and time.time() < deadline and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(sign)
    said = process.communicate(timeout=60)[1].decode()
    if sign == signal.SIGTERM:
        assert process.returncode == preempt.RESUME and 'rerun the same command to resume' in said
    assert not (tmp_path / 'seed0/pretrain/done.json').exists()
    assert run(tmp_path, *flags).returncode == 0
    same(outcome(finished[0]), outcome(tmp_path))


def test_two_runs_do_not_share_a_workdir(tmp_path):
    with files.lock(tmp_path):
        done = run(tmp_path)
    assert done.returncode == 1 and 'another run is using' in done.stderr


def test_another_config_is_refused_with_the_difference(finished):
    done = run(finished[0], '--config.pretrain.optim.lr=0.25')
    assert done.returncode == 1
    assert 'pretrain.optim.lr: 0.05 -> 0.25' in done.stderr and 'Traceback' not in done.stderr


@pytest.mark.parametrize(
    'flag, said',
    [
        ('--config.pretrain.epoch=2', 'did you mean pretrain.epochs?'),
        ('--config.pretrain.epochs=many', 'epochs'),
        ('--config.data.source=folder:/nowhere', '/nowhere'),
        ('--config.data.labels=100000', '100000'),
        ('--config.backbone.name=rsnet18', "did you mean 'resnet18'"),
        ('--config.pretrain.method=rotaton', 'did you mean rotation?'),
        ('--config.pretrain.augment=crp(4)', 'crop'),
        ('--config.transfer.layer=conv9', 'conv9'),
        ('--config.transfer.checkpoint=/nowhere', 'no checkpoint at /nowhere'),
        ('--config=configs/nothing.py', 'nothing.py'),
        ('--nonsense', 'nonsense'),
    ],
)
def test_what_a_user_can_get_wrong_is_one_clear_message(tmp_path, flag, said):
    done = run(tmp_path, flag)
    assert done.returncode in (1, 2)
    message = done.stderr.strip()
    assert said in message and 'Traceback' not in message
    assert len(re.findall('^error:', message, re.M)) == 1


def test_transfer_from_another_run(finished, tmp_path):
    done = run(tmp_path, f'--config.transfer.checkpoint={finished[0]}', "--config.transfer.ways=('frozen',)",
               '--config.transfer.layer=conv1')  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / 'seed0/pretrain').exists()
    other = run(tmp_path / 'b', f'--config.transfer.checkpoint={finished[0]}', '--config.backbone.name=nin',
                '--config.backbone.blocks=3')  # fmt: skip
    assert other.returncode == 1 and 'a different architecture' in other.stderr


def test_a_full_disk_says_so_and_keeps_what_is_there(tmp_path):
    """The run starts with a megabyte free by its own count."""
    code = (
        'import shutil, runpy; shutil.disk_usage = lambda path: shutil._ntuple_diskusage(10**9, 10**9 - 10**6, 10**6); '
        'runpy.run_module("ssljax.main", run_name="__main__", alter_sys=True)'
    )
    flags = command(tmp_path, '--config.save_every=0')[3:]
    done = subprocess.run([sys.executable, '-c', code, *flags], cwd=ROOT, env=environment(), capture_output=True,
                          text=True, timeout=300)  # fmt: skip
    assert done.returncode == 1
    assert 'Traceback' not in done.stderr and 'no space left for' in done.stderr
    assert run(tmp_path, '--config.save_every=0').returncode == 0


def acted(workdir, act, seen, *flags):
    """(exit code, what was said) of a run on which `act` is called, with its process, once `seen`() is true."""
    said = workdir.with_name(f'{workdir.name}.err')
    with open(said, 'w') as err:
        process = subprocess.Popen(command(workdir, *flags), cwd=ROOT, env=environment(), stderr=err)
    deadline = time.time() + 200
    while not seen(said.read_text()) and process.poll() is None and time.time() < deadline:
        time.sleep(0.005)
    act(process)
    return process.wait(100), said.read_text()


def test_ctrl_c_during_the_imports_is_one_line(tmp_path):
    began = time.time()
    code, said = acted(
        tmp_path / 'a', lambda process: process.send_signal(signal.SIGINT), lambda _: time.time() - began > 0.4
    )
    assert code == 130 and said == 'stopped; nothing was started\n'


def test_a_run_that_is_stopped_in_its_evaluation_goes_on_to_the_same_numbers(finished, tmp_path):
    workdir = tmp_path / 'a'
    shutil.copytree(finished[0], workdir)
    for name in ('result.json', 'report.html', 'seed0/evaluation.json'):
        (workdir / name).unlink()
    code, said = acted(workdir, lambda process: process.send_signal(signal.SIGTERM), lambda said: 'evaluation' in said)
    assert code == preempt.RESUME and 'rerun the same command to resume' in said and 'Traceback' not in said
    assert not (workdir / 'result.json').exists()
    assert run(workdir).returncode == 0
    same(outcome(finished[0]), outcome(workdir))


def test_a_workdir_that_is_deleted_ends_the_run_with_an_error(finished, tmp_path):
    workdir = tmp_path / 'a'
    shutil.copytree(finished[0], workdir)
    (workdir / 'seed0/evaluation.json').unlink()
    code, said = acted(workdir, lambda process: shutil.rmtree(workdir), lambda said: 'evaluation' in said)
    assert code == 1 and 'deleted, moved or replaced' in said and 'Traceback' not in said
    assert not workdir.exists()
