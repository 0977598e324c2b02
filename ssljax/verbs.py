"""The command `ssljax VERB ...`: the same as `python -m ssljax.VERB ...`.

A verb is a file ssljax/VERB.py (or ssljax/VERB/__main__.py) and a line in VERBS. The docstring of the file is its help:
a line on what it does, and after an empty one usage, arguments and an example; it fits a screen of 80x24. The file
calls `begin` before its imports, which take seconds.
"""

import ast
import difflib
import runpy
import sys
from pathlib import Path

from ssljax import console, preempt

VERBS = (
    'check',
    'train',
    'study',
    'tune',
    'report',
)
ALIASES = {'main': 'train'}
HELP = '-h', '--help'


def main() -> int:
    """The console script; returns the exit code where the verb's file does not exit itself."""
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


def helped(verb: str) -> None:
    """Prints the help of a verb and exits, where the command line asks for it."""
    if any(arg in HELP for arg in sys.argv[1:]):
        console.prepare()
        print(text(verb))
        sys.exit(0)


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
    return '\n'.join(['usage: ssljax VERB [ARGUMENTS]', '', *lines, '', 'ssljax VERB --help says more.', example])


def _unknown(given: str) -> str:
    if given.startswith('-'):
        return f'{given!r} stands where a verb should: ssljax VERB {given} (the verbs: {", ".join(VERBS)}).'
    near = difflib.get_close_matches(given, [*VERBS, *ALIASES], n=2, cutoff=0.5)
    meant = f'; did you mean {" or ".join(near)}?' if near else ''
    return f'there is no verb {given!r}{meant} (the verbs: {", ".join(VERBS)}; ssljax --help says what they do)'
