"""Small stand-ins for schedulers, which run what they are given on this machine: `install` puts them on a PATH.

Each appends its arguments to calls.jsonl. What a real one would do to a job (end its time, take its machine away) they
do once, in the first attempt, when the file that `when` names is there. Only what the files of launch/ use is there.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = 'sbatch', 'srun', 'scontrol', 'squeue', 'kubectl', 'sky', 'gcloud', 'python3', 'sleep'


def install(place: Path, when: str = '', ssljax: str = '') -> dict:
    """Makes the programs in `place`, and `ssljax` of this checkout; returns the environment that has them.

    Args:
      place: a folder, which is the HOME of jobs, too.
      when: a file; once it exists, the job of the first attempt is told to stop.
      ssljax: lines of a shell that are run in place of the real one.
    """
    bin = place / 'bin'
    bin.mkdir(parents=True)
    for program in PROGRAMS:
        _script(bin / program, f'exec {sys.executable} {__file__} {program} "$@"')
    _script(bin / 'ssljax', ssljax or f'exec {sys.executable} -m ssljax "$@"')
    return os.environ | {
        'PATH': f'{bin}:{os.environ["PATH"]}', 'HOME': str(place), 'JAX_PLATFORMS': 'cpu', 'PYTHONPATH': str(ROOT),
        'STUB': str(place), 'STUB_WHEN': when,
    }  # fmt: skip


def _script(path: Path, command: str) -> None:
    path.write_text(f'#!/bin/sh\n{command}\n')
    path.chmod(0o755)


def calls(place: Path) -> list[list[str]]:
    """[[program, arguments ...], ...], in order."""
    return [json.loads(line) for line in (place / 'calls.jsonl').read_text().splitlines()]


PLACE = Path(os.environ.get('STUB', '.'))


def note(*words: str) -> None:
    with open(PLACE / 'calls.jsonl', 'a') as f:
        f.write(json.dumps(words) + '\n')


def first_time(what: str) -> bool:
    """Whether it is asked this for the first time."""
    try:
        (PLACE / f'{what}.once').touch(exist_ok=False)
        return True
    except FileExistsError:
        return False


def run(commands: list[list[str]], tell, environments: list[dict], **kw) -> list[int]:
    """The exit codes of commands that run at the same time; in the first attempt tell(process) is called with the last
    one's once the file of `when` exists."""
    processes: list = []
    told: list = []

    def hand_on(*_):
        told.append(True)
        for process in processes:
            terminate(process)

    signal.signal(signal.SIGTERM, hand_on)
    processes += [subprocess.Popen(c, env=os.environ | e, **kw) for c, e in zip(commands, environments, strict=True)]
    if told:  # while they were being started
        hand_on()
    if tell and os.environ['STUB_WHEN'] and first_time('interrupted'):
        while not Path(os.environ['STUB_WHEN']).exists() and None in [process.poll() for process in processes]:
            time.sleep(0.01)
        tell(processes[-1])
    return [process.wait() for process in processes]


def mounted(text: str) -> str:
    """A file with what is mounted at /results: here the root of this machine."""
    return text.replace('--workdir=/results/', '--workdir=/')


def terminate(process) -> None:
    process.send_signal(signal.SIGTERM)


def sbatch() -> int:
    """Runs the script of standard input, again as often as it was requeued; before the limit it signals as asked."""
    text = sys.stdin.read()
    options = dict(re.findall(r'^#SBATCH --([\w-]+)(?:=(\S+))?$', text, re.MULTILINE))
    note('options', *(f'{k}={v}' for k, v in options.items()))
    to_shell, name = re.fullmatch(r'(B:)?(\w+)@\d+', options['signal']).groups()
    assert to_shell, 'srun is given the signal by the script'
    environment = os.environ | {'SLURM_JOB_ID': '7', 'SLURM_ARRAY_JOB_ID': '7', 'SLURM_ARRAY_TASK_ID': '0'}
    nodes, tasks = (int(options.get(name, 1)) for name in ('nodes', 'ntasks-per-node'))
    environment |= {'SLURM_NTASKS': str(nodes * tasks)}
    number = getattr(signal, f'SIG{name}')
    path = PLACE / 'script'
    path.write_text(text)
    while True:
        asked = len([c for c in calls(PLACE) if c[0] == 'scontrol'])
        (code,) = run([['bash', str(path)]], lambda process: process.send_signal(number), [environment])
        if len([c for c in calls(PLACE) if c[0] == 'scontrol']) == asked:
            return code
        assert 'requeue' in options


def srun(*arguments: str) -> int:
    """Runs STUB_TASKS tasks, one a node; hands signals on, and returns the largest exit code, as srun does."""
    at = next(i for i, word in enumerate(arguments) if not word.startswith('--'))
    count = int(os.environ.get('STUB_TASKS', '1'))
    step = {'SLURM_STEP_NODELIST': 'localhost', 'SLURM_STEP_NUM_TASKS': str(count), 'SLURM_NTASKS': str(count)}
    own = [
        step | {'SLURM_STEP_NUM_NODES': str(count), 'SLURM_PROCID': str(i), 'SLURM_LOCALID': '0'} for i in range(count)
    ]
    return max(run([list(arguments[at:])] * count, None, own if count > 1 else [{}]))


def squeue(*arguments: str) -> int:
    """The state of the one job."""
    assert '--format=%T' in arguments and any(word.startswith('--jobs=7') for word in arguments)
    print(os.environ.get('STUB_STATE', 'RUNNING'))
    return 0


def kubectl(*arguments: str) -> int:
    """Plays the controllers of Job and JobSet, by the policies of the file, with STUB_PODS pods."""
    assert arguments == ('apply', '-f', '-')
    given = yaml.safe_load(mounted(sys.stdin.read()))
    if given['kind'] == 'Job':
        return job(given['spec'])
    policy, failures = given['spec']['failurePolicy'], 0
    while True:
        results = [job(each['template']['spec']) for each in given['spec']['replicatedJobs']]
        reason = next((r for r in results if r), 0)
        if not reason:
            return 0
        rule = next((r for r in policy['rules'] if reason in r['onJobFailureReasons']), {'action': 'RestartJobSet'})
        note('jobset', rule['action'])
        failures += rule['action'] == 'RestartJobSet'
        if rule['action'] == 'FailJobSet' or failures > policy['maxRestarts']:
            return 1


def job(spec: dict):
    """0, or the reason why a Job failed."""
    pod = spec['template']['spec']
    assert pod['restartPolicy'] == 'Never' and spec['completionMode'] == 'Indexed'
    (container,) = pod['containers']
    failed, left = 0, list(range(min(spec['completions'], int(os.environ.get('STUB_PODS', '1')))))
    while left:
        codes = dict(zip(left, exits(container, left), strict=True))
        left = [index for index in left if codes[index]]
        for index in left:
            code = codes[index]
            rules = [r for r in spec['podFailurePolicy']['rules'] if code in r.get('onExitCodes', {}).get('values', ())]
            action = rules[0]['action'] if rules else 'Count'
            note('pod', str(index), str(code), action)
            if action == 'FailJob':
                return 'PodFailurePolicy'
            failed += action == 'Count'
            if failed > spec.get('backoffLimit', spec.get('backoffLimitPerIndex')):
                return 'BackoffLimitExceeded'
    return 0


def exits(container: dict, indices: list[int]) -> list[int]:
    """The exit codes of pods with these indices; for the first host's name, which DNS would know, there is this
    machine's."""
    commands, environments = [], []
    for index in indices:
        annotation = {"metadata.annotations['batch.kubernetes.io/job-completion-index']": str(index)}
        env = {e['name']: annotation[e['valueFrom']['fieldRef']['fieldPath']] for e in container.get('env', ())}
        words = [
            re.sub(r'\$\$|\$\((\w+)\)', lambda m, env=env: env[m[1]] if m[1] else '$', word)
            for word in container['command']
        ]
        note(*words)
        commands.append([re.sub(r'[\w-]+-hosts-0-0\.[\w-]+', 'localhost', word) for word in words])
        environments.append(env)
    return run(commands, terminate, environments)


def sky(*arguments: str) -> int:
    """Sets up, and runs again after the exit codes of `recover_on_exit_codes`."""
    assert arguments[:2] == ('jobs', 'launch')
    task = yaml.safe_load(mounted(Path(arguments[2]).read_text()))
    count = task['num_nodes']
    variables = {'SKYPILOT_NODE_IPS': '127.0.0.1\n127.0.0.2', 'SKYPILOT_NUM_NODES': str(count)}
    own = [variables | {'SKYPILOT_NODE_RANK': str(rank)} for rank in range(int(os.environ.get('STUB_NODES', '1')))]
    recover = task['resources']['job_recovery']['recover_on_exit_codes']
    assert subprocess.run(['bash', '-c', task['setup']], cwd=task['workdir']).returncode == 0
    while True:
        code = max(run([['bash', '-c', task['run']]] * len(own), terminate, own, cwd=task['workdir']))
        note('exited', str(code))
        if code not in recover:
            return code


def gcloud(*arguments: str) -> int:
    """One queued resource, whose TPU is a shell here; STUB_TAKE takes it away once in place of SIGTERM."""
    assert arguments[:2] == ('compute', 'tpus')
    flags = dict(word.split('=', 1) for word in arguments if word.startswith('--') and '=' in word)
    kind, verb, name = arguments[2:5]
    state = PLACE / f'{flags["--zone"]}-{name}.state'
    if (kind, verb) == ('queued-resources', 'create'):
        state.write_text('ACTIVE')
    elif (kind, verb) == ('queued-resources', 'delete'):
        state.unlink()
    elif verb == 'describe':
        if not state.exists():
            print('NOT_FOUND', file=sys.stderr)
            return 1
        now = state.read_text()
        print(now if kind == 'queued-resources' else {'ACTIVE': 'READY'}.get(now, 'PREEMPTED'))
    elif verb == 'scp':
        (PLACE / 'ssljax.tar.gz').write_bytes(Path(name).read_bytes())
    elif verb == 'ssh':
        return on_tpu(flags['--command'], state)
    return 0


def on_tpu(command: str, state: Path) -> int:
    def tell(process):
        if 'STUB_TAKE' in os.environ:
            state.write_text('SUSPENDED')
            process.kill()
        else:
            process.send_signal(signal.SIGTERM)

    if 'ssljax train' not in command:
        return subprocess.run(['bash', '-c', command]).returncode
    (code,) = run([['bash', '-c', command]], tell, [{}])
    return code if code >= 0 else 255  # ssh's, where the connection ends


def python3(*arguments: str) -> int:
    """pip installs nothing; uv makes an environment that has this checkout's ssljax."""
    if arguments[:2] == ('-m', 'pip'):
        return 0
    assert arguments[:2] == ('-m', 'uv'), arguments
    if arguments[2] == 'venv':
        place = Path(arguments[-1]) / 'bin'
        place.mkdir(parents=True, exist_ok=True)
        if not (place / 'ssljax').exists():
            (place / 'ssljax').symlink_to(PLACE / 'bin/ssljax')
    return 0


if __name__ == '__main__':
    program, *rest = sys.argv[1:]
    note(program, *rest)
    sys.exit(0 if program in ('scontrol', 'sleep') else globals()[program](*rest))
