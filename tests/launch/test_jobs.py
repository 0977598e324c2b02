"""What is submitted, run by stand-ins for the schedulers: what happens to a job that is told to stop, fails or ends.

Training is played by a few lines of shell here; tests/slow/test_launched.py trains.
"""

import signal
import subprocess
import sys
import time

import pytest

from tests.launch import schedulers
from tests.launch.test_submit import NEEDED, SUBMIT

# Saves when it is told to stop, and is done the second time.
TRAINS = """
echo "$@" >> "$STUB/trained"
if [ "$(wc -l < "$STUB/trained")" -gt 1 ]; then exit 0; fi
trap 'echo saved >> "$STUB/saved"; exit 75' TERM
touch "$STUB/started"
while :; do /bin/sleep 0.02; done
"""
FAILS = """
echo "$@" >> "$STUB/trained"
exit 1
"""
ONE = {'gke_jobset.yaml': {'hosts': '1'}, 'tpu_vm.sh': {'hosts': '1'}}  # host, where that is not the default
AGAIN = {
    'slurm.sbatch': ['scontrol', 'requeue', '7'],
    'study_slurm.sh': ['scontrol', 'requeue', '7_0'],
    'gke_jobset.yaml': ['jobset', 'RestartJobSetAndIgnoreMaxRestarts'],
    'study_kubernetes.yaml': ['pod', '0', '75', 'Ignore'],
    'sky.yaml': ['exited', '75'],
}


def command(file, *arguments, **values):
    sets = [f'--set={k}={v}' for k, v in (NEEDED[file] | ONE.get(file, {}) | values).items()]
    if file.endswith('.yaml'):
        arguments = [argument.replace('--workdir=/', '--workdir=/results/') for argument in arguments]
    return [sys.executable, str(SUBMIT), file, *sets, '--', *arguments]


def submitted(file, tmp_path, ssljax, when='started', **values):
    """(exit code, the calls of the schedulers, the arguments of each start of ssljax)."""
    environment = schedulers.install(tmp_path, when and str(tmp_path / when), ssljax)
    done = subprocess.run(
        command(file, '--config=a', f'--workdir={tmp_path}/with space', **values),
        env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    return done.returncode, schedulers.calls(tmp_path), (tmp_path / 'trained').read_text().splitlines()


def verb(file):
    return 'study' if file.startswith('study') else 'train'


@pytest.mark.parametrize('file', NEEDED)
def test_a_job_that_is_told_to_stop_saves_and_goes_on(file, tmp_path):
    code, calls, trained = submitted(file, tmp_path, TRAINS)
    assert code == 0 and (tmp_path / 'saved').exists()
    assert trained == [f'{verb(file)} --config=a --workdir={tmp_path}/with space'] * 2
    if file in AGAIN:
        assert calls.count(AGAIN[file]) == 1


@pytest.mark.parametrize('file', NEEDED)
def test_an_error_is_not_tried_for_ever(file, tmp_path):
    code, calls, trained = submitted(file, tmp_path, FAILS, when='')
    assert code == 1
    tries = {'gke_jobset.yaml': 4, 'study_kubernetes.yaml': 11}  # once, and `restarts` times
    assert len(trained) == tries.get(file, 1)
    assert 'scontrol' not in [call[0] for call in calls]


@pytest.mark.parametrize('file', ['slurm.sbatch', 'study_slurm.sh'])
def test_a_job_that_was_cancelled_is_not_requeued(file, tmp_path, monkeypatch):
    monkeypatch.setenv('STUB_STATE', 'CANCELLED')
    code, calls, trained = submitted(file, tmp_path, TRAINS)
    assert code == 75 and (tmp_path / 'saved').exists() and len(trained) == 1
    assert 'scontrol' not in [call[0] for call in calls]


def test_a_run_on_several_nodes_is_one_step_of_slurm(tmp_path):
    code, calls, _ = submitted('slurm.sbatch', tmp_path, TRAINS, nodes=2, gpus=4, cpus=3)
    assert code == 0
    (options,) = [call[1:] for call in calls if call[0] == 'options']
    assert {'nodes=2', 'ntasks-per-node=4', 'gpus-per-node=4', 'cpus-per-task=3', 'open-mode=append'} <= {*options}
    steps = [call for call in calls if call[0] == 'srun']
    assert len(steps) == 2 and {'--kill-on-bad-exit=0', '--cpus-per-task=3'} <= {*steps[0]}


def test_several_hosts_of_a_jobset_find_each_other(tmp_path, monkeypatch):
    monkeypatch.setenv('STUB_PODS', '2')
    ends = 'echo "$@" >> "$STUB/trained"'
    code, calls, trained = submitted('gke_jobset.yaml', tmp_path, ends, when='', hosts=2, name='big')
    assert code == 0
    starts = [call for call in calls if call[0] == 'ssljax']
    assert [call[-3:] for call in starts] == [
        ['--coordinator=big-hosts-0-0.big:8476', '--processes=2', f'--process={index}'] for index in range(2)
    ]
    assert len(trained) == 2


def test_several_nodes_of_skypilot_find_each_other(tmp_path):
    ends = 'echo "$@" >> "$STUB/trained"'
    code, _, trained = submitted('sky.yaml', tmp_path, ends, when='', nodes=2)
    assert code == 0
    assert trained[0].endswith('--coordinator=127.0.0.1:8476 --processes=2 --process=0')


def test_a_tpu_is_installed_on_and_deleted_at_the_end(tmp_path):
    code, calls, _ = submitted('tpu_vm.sh', tmp_path, TRAINS)
    assert code == 0 and (tmp_path / 'ssljax.tar.gz').stat().st_size > 1000
    verbs = [call[4] for call in calls if call[0] == 'gcloud' and call[4] != 'describe']
    assert verbs == ['create', 'scp', 'ssh', 'ssh', 'scp', 'ssh', 'ssh', 'delete']
    (create,) = [call for call in calls if 'create' in call]
    wanted = '--node-id=ssljax', '--accelerator-type=v5litepod-16', '--runtime-version=v2-alpha-tpuv5-lite', '--spot'
    assert {*wanted, '--zone=us-central1-a'} <= {*create}
    assert not list(tmp_path.glob('*.state'))


def test_a_tpu_that_is_taken_away_is_asked_for_again(tmp_path, monkeypatch):
    monkeypatch.setenv('STUB_TAKE', '1')
    code, calls, trained = submitted('tpu_vm.sh', tmp_path, TRAINS)
    assert code == 0 and len(trained) == 2 and not (tmp_path / 'saved').exists()
    verbs = [call[4] for call in calls if call[0] == 'gcloud' and call[4] in ('create', 'delete')]
    assert verbs == ['create', 'delete', 'create', 'delete']


def test_a_tpu_is_deleted_after_an_error_unless_it_is_to_be_kept(tmp_path):
    assert submitted('tpu_vm.sh', tmp_path / 'a', FAILS, when='')[0] == 1
    assert not list((tmp_path / 'a').glob('*.state'))
    assert submitted('tpu_vm.sh', tmp_path / 'b', FAILS, when='', keep='yes')[0] == 1
    assert list((tmp_path / 'b').glob('*.state'))


def test_ctrl_c_lets_the_tpu_save_and_deletes_it(tmp_path):
    environment = schedulers.install(tmp_path, '', TRAINS)
    process = subprocess.Popen(command('tpu_vm.sh', '--workdir=x'), env=environment, start_new_session=True)
    deadline = time.time() + 300
    while not (tmp_path / 'started').exists() and time.time() < deadline:
        time.sleep(0.02)
    schedulers.os.killpg(process.pid, signal.SIGINT)
    assert process.wait(300) == 75
    assert (tmp_path / 'saved').exists() and not list(tmp_path.glob('*.state'))
