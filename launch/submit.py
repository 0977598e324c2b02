"""Submit a job to a scheduler, or show what would be submitted.

usage: python launch/submit.py FILE [--set NAME=VALUE ...] [--dry-run]
                               [-- ARGUMENTS OF ssljax]

  FILE               one of this folder: tpu_vm.sh, gke_jobset.yaml,
                     slurm.sbatch, sky.yaml, study_kubernetes.yaml,
                     study_slurm.sh
  --set NAME=VALUE   a value of the file; without any, and with --help, they
                     are listed
  --dry-run          print what would be submitted, and submit nothing
  ARGUMENTS          what follows `ssljax train` (`ssljax study`); among them
                     --workdir=DIR, a place that all hosts see, or on a bucket

example: python launch/submit.py slurm.sbatch --set nodes=4 --dry-run \\
           -- --config=rotnet --workdir=/shared/rotnet

A file is a Jinja template. Its lines `#: NAME=DEFAULT meaning` declare its values, and its line `#> COMMAND` says which
command takes it: on standard input, or as FILE or TEXT in the command.
"""

import argparse
import difflib
import json
import posixpath
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import jinja2

HERE = Path(__file__).resolve().parent
_VALUE = re.compile(r'^#: (\w+)(=(\S*))?\s+(.+)\n', re.MULTILINE)
_COMMAND = re.compile(r'^#> (.+)\n', re.MULTILINE)
_NAME = re.compile(r'[a-z]([a-z0-9-]{0,38}[a-z0-9])?')  # of a job, which names pods, hosts and TPUs after it
_ODD = re.compile('[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]')  # what ends a line somewhere, or is no UTF-8
_CHOICES = {name: ('yes', 'no') for name in ('spot', 'keep')} | {'kind': ('gpu', 'tpu'), 'extra': ('cuda', 'tpu')}
_MOUNTED = re.compile(r'^\s+(mountPath: )?(/results):?$', re.MULTILINE)  # all that outlives the machines of a job


class Value(NamedTuple):
    """A value that a file has; default: None where it must be given."""

    name: str
    default: str | None
    meaning: str


def templates() -> list[str]:
    """The files that can be submitted."""
    return sorted(path.name for path in HERE.iterdir() if path.is_file() and _COMMAND.search(path.read_text('utf-8')))


def values_of(file: str) -> dict[str, Value]:
    """{name: Value} of a file of this folder."""
    found = _VALUE.findall((HERE / file).read_text('utf-8'))
    return {name: Value(name, default if given else None, meaning) for name, given, default, meaning in found}


def render(file: str, given: dict[str, str], arguments: list[str]) -> str:
    """What is submitted.

    Args:
      file: of `templates`.
      given: {name: value}.
      arguments: of `ssljax train` or `ssljax study`.

    Raises:
      ValueError: a value that the file does not have, that is missing or that is of the wrong kind, or no --workdir.
    """
    known = values_of(file)
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
            raise ValueError(f'{file} has no value {name!r}; did you mean {near!r}? It has {", ".join(known)}.')
    values = {name: given.get(name, value.default) for name, value in known.items()}
    if missing := [name for name, value in values.items() if not value and known[name].default is None]:
        lines = '; '.join(f'--set {name}=... ({known[name].meaning})' for name in missing)
        raise ValueError(f'{file} needs {lines}.')
    for name, value in values.items():
        _check(name, value, known[name].default)
    _check_tpu(values)
    _check_arguments(file, arguments)
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
        comment_start_string='<#', comment_end_string='#>>',  # ${# is shell
    )  # fmt: skip
    environment.filters |= {'shell': _shell, 'json': json.dumps, 'container': _container}
    text = _COMMAND.sub('', _VALUE.sub('', (HERE / file).read_text('utf-8').replace('#\n#: ', '#: ')))
    return environment.from_string(text).render(values, arguments=arguments, root=str(HERE.parent))


def _check(name: str, value: str, default: str | None) -> None:
    if default and not value:
        raise ValueError(f'{name} is empty: leave out --set {name}= for {default!r}.')
    least = 0 if name == 'restarts' else 1
    if default and default.isdigit() and not (re.fullmatch('[0-9]+', value) and int(value) >= least):
        raise ValueError(f'{name}={value!r} must be a whole number, at least {least}, such as {default}.')
    if name in _CHOICES and value not in _CHOICES[name]:
        first, second = _CHOICES[name]
        raise ValueError(f'{name}={value!r} is neither {first!r} nor {second!r}.')
    if name == 'name' and not _NAME.fullmatch(value):
        raise ValueError(
            f'name={value!r}: give at most 40 lower-case letters, digits and hyphens, of which the first is a letter.'
        )
    if _ODD.search(value):
        raise ValueError(f'{name}={value!r} has a line break, another control character or invalid UTF-8: remove it.')


def _check_tpu(values: dict[str, str]) -> None:
    if values.get('kind') == 'tpu' and (not values['topology'] or values['accelerator'].startswith('nvidia')):
        raise ValueError(
            'kind=tpu needs the labels of its nodes: --set accelerator=... and --set topology=..., for example '
            'tpu-v5-lite-podslice and 4x4.'
        )


def _check_arguments(file: str, arguments: list[str]) -> None:
    if odd := next((argument for argument in arguments if _ODD.search(argument)), None):
        raise ValueError(
            f'the argument {odd!r} has a line break, another control character or invalid UTF-8: remove it.'
        )
    given = [argument.removeprefix('--workdir=') for argument in arguments if argument.startswith('--workdir=')]
    if not given or not given[-1]:
        raise ValueError(
            'the arguments have no --workdir=DIR: give a place that outlives the job, for '
            'example -- --config=rotnet --workdir=/results/rotnet'
        )
    if _MOUNTED.search((HERE / file).read_text('utf-8')) and '://' not in given[-1]:
        if not PurePosixPath(posixpath.normpath(given[-1])).is_relative_to('/results'):
            raise ValueError(
                f'--workdir={given[-1]} is lost with the machines of the job: give a folder in /results, where '
                f'{"the bucket" if file == "sky.yaml" else "the claim"} is mounted, or gs://BUCKET/DIR.'
            )


def _container(argument: str) -> str:
    """An argument of a container, in which Kubernetes would read $(NAME) as a variable and $$ as $."""
    return json.dumps(argument.replace('$', '$$'))


def _shell(value) -> str:
    """A word, or a list of them, as a shell reads them."""
    return shlex.quote(value) if isinstance(value, str) else shlex.join(value)


def submit(file: str, text: str) -> int:
    """Hands a rendered file to its command; returns the command's exit code.

    Raises:
      FileNotFoundError: the command is not installed.
    """
    match = _COMMAND.search((HERE / file).read_text('utf-8'))
    assert match is not None
    command = shlex.split(match[1])
    if shutil.which(command[0]) is None:
        raise FileNotFoundError(f'{command[0]} is not on PATH: install it, or use --dry-run to see its input.')
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / file
        path.write_text(text, 'utf-8')
        command = [{'FILE': str(path), 'TEXT': text}.get(word, word) for word in command]
        process = subprocess.Popen(command, stdin=None if {str(path), text} & {*command} else path.open())
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:  # the command has it, too, and ends in its own way
                continue


def listed(file: str) -> str:
    """The values of a file, one a line."""
    known = values_of(file).values()
    lines = [f'  {v.name + ("" if v.default is None else "=" + v.default):32} {v.meaning}' for v in known]
    return '\n'.join([f'values of {file}, for --set NAME=VALUE:', *lines])


def main(argv: list[str]) -> int:
    """Returns the exit code: the command's, or 2 for a mistake in the arguments."""
    at = argv.index('--') if '--' in argv else len(argv)
    before, after = argv[:at], argv[at + 1 :]
    parser = argparse.ArgumentParser('submit.py', add_help=False, allow_abbrev=False)
    parser.add_argument('file', nargs='?')
    parser.add_argument('--set', action='append', default=[])
    parser.add_argument('--dry-run', action='store_true')
    parser.add_argument('-h', '--help', action='store_true')
    asked = parser.parse_args(before)
    if asked.file is None:
        print(__doc__)
        return 0 if asked.help else 2
    try:
        if asked.file not in templates():
            raise ValueError(f'there is no {asked.file!r} in {HERE}; there are {", ".join(templates())}.')
        if asked.help or not (asked.set or after):
            print(listed(asked.file))
            return 0
        if wrong := [text for text in asked.set if '=' not in text]:
            raise ValueError(f'--set {wrong[0]}: give NAME=VALUE.')
        text = render(asked.file, dict(pair.split('=', 1) for pair in asked.set), after)
        if asked.dry_run:
            print(text, end='')
            return 0
        return submit(asked.file, text)
    except (ValueError, FileNotFoundError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
