"""The command `ssljax VERB ...`: the same as `python -m ssljax.VERB ...`.

A verb is a file ssljax/VERB.py (or ssljax/VERB/__main__.py) and a line in VERBS. The docstring of the file is its help:
a line on what it does and, after an empty one, usage, arguments and an example; it fits a screen of 80x24. The file
calls `begin` before its imports, which take seconds.
"""

import argparse
import ast
import difflib
import os
import runpy
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from ssljax.processes import preempt
from ssljax.storage import temporaries
from ssljax.text import console

VERBS = (
    'check',
    'plan',
    'train',
    'study',
    'tune',
    'report',
    'predict',
    'label',
    'export',
)
ALIASES = {'main': 'train'}
HELP = '-h', '--help'


def main() -> int:
    """The console script; returns the exit code if the verb's file does not exit itself."""
    preempt.early()
    console.prepare()
    given, *rest = sys.argv[1:] or ['--help']
    if given in HELP:
        print(overview())
        return 0
    verb = ALIASES.get(given, given)
    if verb not in VERBS:
        print(f'error: {_unknown(given)}', file=sys.stderr)
        return 2
    sys.argv = [f'ssljax {verb}', *rest]
    helped(verb)
    runpy.run_module(f'ssljax.{verb}', run_name='__main__')
    return 0


def begin(verb: str) -> None:
    """What the file of a verb does first: signals end it with a line (`preempt.early`), and --help prints its help."""
    preempt.early()
    helped(verb)


def begin_package(verb: str) -> None:
    """`begin`, where `python -m ssljax.VERB` imports the package VERB before its __main__."""
    if sys.argv[:1] == ['-m']:
        begin(verb)


def helped(verb: str) -> None:
    """Prints the help of a verb and exits, where the command line asks for it."""
    if any(arg in HELP for arg in sys.argv[1:]):
        console.prepare()
        print(text(verb))
        sys.exit(0)


class Parser(argparse.ArgumentParser):
    """For a verb that reads no recipe: a mistake ends the process with one line and exit code 2."""

    def __init__(self, verb: str):
        super().__init__(f'ssljax {verb}', add_help=False, allow_abbrev=False)

    def with_fields(self, args: list[str]) -> tuple[argparse.Namespace, dict]:
        """(arguments, {field: value}) of a command line that may have --config.FIELD=VALUE."""
        from ssljax.settings import arguments  # not at the top: it takes a second

        try:
            _, given = arguments.separate([arg for arg in args if arg.startswith('--config.')])
        except ValueError as error:
            self.error(str(error))
        return self.parse_args([arg for arg in args if not arg.startswith('--config.')]), given

    def error(self, message):
        console.prepare()
        print(f'error: {message} (see {self.prog} --help)', file=sys.stderr)
        sys.exit(2)


def run(main: Callable, args: list[str]) -> int:
    """main(args), the exit code of a verb that cannot be resumed: an error that the user can fix is reported in one
    line, with exit code 1, and a signal ends it with its usual code, after half-written files are removed."""
    console.prepare()
    console.plain_warnings()
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
    os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')  # TFLite does not need them, and TensorFlow would announce them
    stopped: list = []

    def stop(signum, _):
        if stopped:
            os._exit(128 + signum)
        stopped.append(128 + signum)
        os.write(2, b'\nstopped\n')  # print would fail in the middle of another
        threading.Thread(target=preempt.end, args=(128 + signum, temporaries.remove), daemon=True).start()
        raise SystemExit(128 + signum)

    for signum in preempt.SIGNALS:
        if signum == signal.SIGINT or signal.getsignal(signum) != signal.SIG_IGN:
            signal.signal(signum, stop)
    try:
        return main(args)
    except BaseException as error:
        if stopped:  # interrupted C code may have raised an error of its own
            temporaries.remove()
            return stopped[0]
        if not isinstance(error, (ValueError, OSError, ImportError)):
            raise
        from ssljax.storage.disk import alone, explained, raised_by_us

        found = error if raised_by_us(error) else explained(error, '.') if isinstance(error, OSError) else None
        if found is None:
            raise
        text = found.strerror if isinstance(found, OSError) and found.strerror and not found.filename else found
        print(f'error: {alone(str(text))}', file=sys.stderr)
        return 1


def text(verb: str) -> str:
    """The help of a verb: the docstring of its file, which is read and not imported."""
    here = Path(__file__).parent
    file = here / f'{verb}.py'
    source = (file if file.exists() else here / verb / '__main__.py').read_text('utf-8')
    return ast.get_docstring(ast.parse(source)) or ''


def overview() -> str:
    """The verbs, one line each."""
    width = max(map(len, VERBS))
    lines = [f'  {verb:{width}}  {text(verb).splitlines()[0]}' for verb in VERBS]
    example = 'example: ssljax train --config=quickstart'
    return '\n'.join(['usage: ssljax VERB [ARGUMENTS]', '', *lines, '', 'See ssljax VERB --help for details.', example])


def _unknown(given: str) -> str:
    if given.startswith('-'):
        return f'{given!r} comes where a verb should: ssljax VERB {given} (the verbs: {", ".join(VERBS)}).'
    near = difflib.get_close_matches(given, [*VERBS, *ALIASES], n=2, cutoff=0.5)
    meant = f'; did you mean {" or ".join(near)}?' if near else ''
    return f'there is no verb {given!r}{meant} (the verbs: {", ".join(VERBS)}; ssljax --help describes them)'
