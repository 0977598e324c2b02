"""Each file of launch/, submitted to a stand-in for its scheduler, trains here: it is told to stop, saves, goes on, and
ends with the numbers of a run that was left alone; so do two hosts."""

import subprocess

import pytest

from tests.command import TINY, once, outcome, run, same
from tests.launch import schedulers
from tests.launch.test_jobs import command
from tests.launch.test_submit import NEEDED

RUNS = [file for file in NEEDED if not file.startswith('study')]
EVEN = [  # batches that divide over two hosts, and steps too small for what rounding differs in to grow
    '--config.transfer.batch_size=16', '--config.pretrain.optim.lr=0.002', '--config.transfer.finetune.optim.lr=0.002',
    '--config.transfer.scratch.optim.lr=0.002', '--config.transfer.second.optim.lr=0.002',
]  # fmt: skip


@pytest.fixture(scope='module')
def alone(tmp_path_factory):
    """The outcome of one process with batches of EVEN."""
    workdir = tmp_path_factory.mktemp('alone')
    assert run(workdir, *EVEN).returncode == 0
    return outcome(workdir)


def launched(file, workdir, environment, *flags, timeout=300, **values):
    """Submits a file of launch/, which ends well after one process was told to stop: of several hosts the first says
    so."""
    done = subprocess.run(
        command(file, '--config=configs/quickstart.py', f'--workdir={workdir}', *flags, **values),
        cwd=schedulers.ROOT, env=environment, capture_output=True, text=True, timeout=timeout,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.count('everything is saved') == 1


@pytest.mark.parametrize('file', RUNS)
def test_a_run_goes_on_to_the_same_numbers(file, tmp_path, finished):
    workdir = tmp_path / 'run'
    environment = schedulers.install(tmp_path / 'place', str(workdir / 'seed0/pretrain/metrics.jsonl'))
    launched(file, workdir, environment, *TINY)
    same(outcome(workdir), outcome(finished[0]))


@pytest.mark.parametrize(
    ('file', 'values', 'stub'),
    [
        ('slurm.sbatch', {'nodes': 2, 'gpus': 1}, 'STUB_TASKS'),
        ('gke_jobset.yaml', {'hosts': 2}, 'STUB_PODS'),
        ('sky.yaml', {'nodes': 2}, 'STUB_NODES'),
    ],
)
def test_two_hosts_are_one_run(file, values, stub, tmp_path, alone):
    """One of them is told to stop: both save, and both go on."""
    workdir = tmp_path / 'run'
    environment = schedulers.install(tmp_path / 'place', str(workdir / 'seed0/pretrain/metrics.jsonl')) | {stub: '2'}
    launched(file, workdir, environment, *once(*TINY, *EVEN), timeout=400, **values)
    metrics = outcome(workdir)[0]
    for stage, rows in alone[0].items():
        assert [row['step'] for row in metrics[stage]] == [row['step'] for row in rows]
        for mine, other in zip(metrics[stage], rows, strict=True):
            assert mine['train/loss' if 'train/loss' in other else 'val/loss'] == pytest.approx(
                other['train/loss' if 'train/loss' in other else 'val/loss'], rel=1e-5
            )


@pytest.mark.parametrize('file', [file for file in NEEDED if file not in RUNS])
def test_a_study_goes_on_to_its_table(file, tmp_path):
    workdir = tmp_path / 'study'
    flags = once(*TINY, '--config.study.labels=5/class', '--config.transfer.ways=scratch')
    environment = schedulers.install(tmp_path / 'place', str(workdir))
    launched(file, workdir, environment, *flags)
    assert len((workdir / 'rows.csv').read_text().splitlines()) == 2
