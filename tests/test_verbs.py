"""The command `ssljax` and its verbs."""

import errno
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ssljax import verbs
from ssljax.records import provenance
from ssljax.storage import disk
from tests.command import ready_for_signals

ROOT = Path(__file__).resolve().parent.parent


def start(*arguments, cwd=ROOT, **kw):
    environment = os.environ | {'JAX_PLATFORMS': 'cpu', 'PYTHONPATH': str(ROOT)}
    return subprocess.Popen([sys.executable, *arguments], cwd=cwd, env=environment, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, **kw)  # fmt: skip


def said(*arguments, **kw):
    """(exit code, stdout, stderr)"""
    process = start(*arguments, **kw)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


@pytest.mark.parametrize('verb', verbs.VERBS)
def test_help_fits_a_screen_and_says_usage_arguments_and_an_example(verb):
    lines = verbs.text(verb).splitlines()
    assert len(lines) < 24 and max(map(len, lines)) < 80
    assert lines[1] == '' and lines[2].startswith(f'usage: ssljax {verb} ') and lines[0].endswith('.')
    assert lines[-1].startswith(f'example: ssljax {verb} ')
    usage = ' '.join(lines[2 : lines.index('', 2)])
    for flag in re.findall(r'--[a-z_.]+|(?<= )DIR(?= )', usage):
        assert any(line.startswith(f'  {flag}') for line in lines), flag


@pytest.mark.parametrize('verb', [*verbs.VERBS, 'main'])
def test_both_ways_of_calling_a_verb_print_its_help(verb):
    expected = verbs.text(verbs.ALIASES.get(verb, verb)) + '\n'
    for flag in verbs.HELP:
        assert said('-m', f'ssljax.{verb}', flag) == (0, expected, '')
    assert said('-m', 'ssljax', verb, '--workdir=x', '-h') == (0, expected, '')


@pytest.mark.parametrize('verb', verbs.VERBS)
def test_help_waits_for_no_import(verb):
    status, _, err = said('-X', 'importtime', '-m', f'ssljax.{verb}', '--help')
    imported = {line.split('|')[-1].strip() for line in err.splitlines()}
    assert status == 0 and 'ssljax.verbs' in imported and not imported & {'jax', 'numpy', 'absl', 'ml_collections'}


def test_without_a_verb_all_are_listed_with_no_import_of_jax():
    code = "import sys; from ssljax import verbs; sys.exit(verbs.main() or 'jax' in sys.modules)"
    for arguments in ([], ['--help'], ['-h']):
        status, out, _ = said('-c', code, *arguments)
        assert status == 0 and max(map(len, out.splitlines())) < 80
        assert [line.split()[0] for line in out.splitlines() if line.startswith('  ')] == list(verbs.VERBS)


@pytest.mark.parametrize(
    'given, told',
    [
        ('tran', "there is no verb 'tran'; did you mean train"),
        ('reprot', 'did you mean report'),
        ('quite_else', "'quite_else' (the verbs: check, "),
        ('--config=quickstart', 'ssljax VERB --config=quickstart'),
    ],
)
def test_an_unknown_verb_is_told_the_known_ones(given, told, monkeypatch, capsys):
    monkeypatch.setattr(verbs.preempt, 'early', lambda: None)
    monkeypatch.setattr(sys, 'argv', ['ssljax', given])
    assert verbs.main() == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize('arguments', [['-m', 'ssljax.train'], ['-m', 'ssljax', 'train']])
def test_mistakes_end_a_verb_with_its_code(arguments):
    status, _, err = said(*arguments)
    assert (status, err) == (2, 'error: give a recipe, for example --config=quickstart (see --help)\n')
    assert said(*arguments, '--config=quickstrt')[0] == 2


@pytest.mark.parametrize(
    'verb, flags, told',
    [
        ('train', ['--processes=0'], '--processes=0: 0 is not a positive integer'),
        ('train', ['--process=two'], '--process=two: invalid literal'),
        ('study', ['--workers=2', '--processes=2'], '--workers=2 with --processes or --coordinator'),
    ],
)
def test_a_flag_that_is_wrong_is_named(verb, flags, told):
    status, _, err = said('-m', f'ssljax.{verb}', '--config=quickstart', *flags)
    assert status == 2 and err.startswith(f'error: {told}') and 'recipe' not in err


@pytest.mark.parametrize('signum', [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize('error', [ImportError('initialization failed'), RuntimeError('C code failed'), None])
def test_a_signal_ends_a_verb_without_a_traceback_whatever_it_interrupts(signum, error, monkeypatch, capfd):
    """C code that calls Python, as the import of an extension does, has its own errors where that raises."""

    def main(_):
        try:
            os.kill(os.getpid(), signum)
            time.sleep(5)
        except SystemExit:
            if error:
                raise error from None
            raise

    before = {s: signal.getsignal(s) for s in verbs.preempt.SIGNALS}
    monkeypatch.setattr(verbs.preempt, 'end', lambda *_: None)  # it would end this process
    try:
        assert verbs.run(main, []) == 128 + signum
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)
    assert capfd.readouterr().err == '\nstopped\n'


def test_a_signal_waits_for_no_long_piece_of_work_and_removes_what_is_half_written(tmp_path):
    code = (
        'import os, sys, time; from ssljax import verbs; from ssljax.storage import files, temporaries\n'
        'from ssljax.data.memory import parallel\n'
        'def main(args):\n'
        '    temporaries.beside(args[0]).write_text("half")\n'
        '    parallel(lambda a, b: os.write(1, b"ready\\n") and time.sleep(60), 2, 1)\n'
        'sys.exit(verbs.run(main, sys.argv[1:]))'
    )
    process = start('-c', code, str(tmp_path / 'out.csv'))
    assert process.stdout.readline() == 'ready\n'
    began = time.time()
    process.terminate()
    assert process.communicate(timeout=55)[1] == '\nstopped\n' and process.returncode == 143
    assert time.time() - began < 50 and not list(tmp_path.iterdir())


def test_a_full_disk_does_not_promise_a_checkpoint(capfd, monkeypatch, tmp_path):
    monkeypatch.setattr(signal, 'signal', lambda *_: None)

    def main(_):
        with disk.disk_errors(tmp_path):
            raise OSError(errno.ENOSPC, 'No space left on device')

    assert verbs.run(main, []) == 1
    told = capfd.readouterr().err
    assert told.startswith('error: no space left') and 'checkpoint' not in told and 'workdir' not in told


@pytest.mark.parametrize('arguments', [['-m', 'ssljax', 'train'], ['-m', 'ssljax.train'], ['-m', 'ssljax', 'report']])
def test_ctrl_c_during_the_imports_is_one_line(arguments):
    process = start(*arguments, '--config=quickstart')
    while not ready_for_signals(process) and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[1] == 'stopped; nothing was started\n' and process.returncode == 130


@pytest.mark.parametrize(
    'argv, command',
    [
        (['ssljax train', '--config=quickstart', '--config.seeds=(0, 1)'],
         "ssljax train --config=quickstart '--config.seeds=(0, 1)'"),
        (['/a/ssljax/train.py', '--config=x.py'], 'python -m ssljax.train --config=x.py'),
        (['/a/ssljax/main.py', '--config=x.py'], 'python -m ssljax.main --config=x.py'),
        (['/a/ssljax/tune/__main__.py', '--config=x.py'], 'python -m ssljax.tune --config=x.py'),
        (['mine.py'], 'python mine.py'),
    ],
)  # fmt: skip
def test_a_report_shows_the_command_as_it_can_be_typed_again(argv, command, monkeypatch):
    monkeypatch.setattr(sys, 'argv', argv)
    assert provenance.command() == command
