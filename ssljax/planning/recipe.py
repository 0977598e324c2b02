"""A plan as a recipe, an ordinary Python file, and as a table for the terminal."""

import re
import textwrap

from ssljax.report.words import duration

WIDTH = 120  # of a line of the recipe
TABLE = 100  # of the table


def text(plan, path) -> str:
    """The recipe: a file that `ssljax train --config=PATH` takes, formatted as ruff does with single quotes.

    Args:
      plan: make.Plan.
      path: where it will be, for its docstring.
    """
    source = next(d.value for d in plan.decisions if d.field == 'data.source')
    head = [
        _plain(f'Planned for {source}: every field with its reason.'),
        '',
        f'ssljax train --config={_plain(path)}',
        '',
    ]
    about = [*plan.fingerprint.lines(), *plan.notes, f'Planned time: {spent(plan)}.']
    for line in about:
        head += textwrap.wrap(_plain(line), WIDTH - 4, initial_indent='- ', subsequent_indent='  ')
    body: list = []
    for d, why in reasons(plan):
        if why:
            body += textwrap.wrap(_plain(why), WIDTH, initial_indent='    # ', subsequent_indent='    # ')
        body += _assignment(d)
    lines = ['"""' + head[0], *head[1:], '"""', '', 'from ssljax.config import base', '', '', 'def get_config():']
    return '\n'.join([*lines, '    c = base()', *body, '    return c']) + '\n'


def table(plan) -> str:
    """Field, value and reason of every decision, and where the time goes."""
    wide = max(len(d.field) for d in plan.decisions)
    lines = [*plan.fingerprint.lines(), '']
    for d, why in reasons(plan):
        lines.append(f'{d.field:{wide}}  {literal(d.value)}')
        lines += textwrap.wrap(why, TABLE, initial_indent='    ', subsequent_indent='    ')
    return '\n'.join([*lines, '', *plan.notes, f'Planned time: {spent(plan)}.'])


def reasons(plan) -> list:
    """(decision, its reason) of each; a repeated reason is '' right below its first use, and elsewhere names the field
    that it was first given for."""
    first: dict = {}
    found, before = [], None
    for d in plan.decisions:
        said = d.why if d.why not in first else '' if d.why == before else f'as for {first[d.why]}'
        found.append((d, said))
        first.setdefault(d.why, d.field)
        before = d.why
    return found


def spent(plan) -> str:
    """'9 min: compilation 40 s, ...'."""
    parts = ', '.join(f'{what} {duration(value)}' for what, value in plan.seconds.items() if value >= 0.5)
    return f'{duration(sum(plan.seconds.values()))} ({parts})'


def literal(value) -> str:
    """A value as Python writes it, texts in single quotes where ruff would have them."""
    if isinstance(value, tuple):
        return f'({", ".join(map(literal, value))}{"," * (len(value) == 1)})'
    return repr(value)


def _assignment(d) -> list[str]:
    line = f'    c.{d.field} = {literal(d.value)}'
    if len(line) > WIDTH and isinstance(d.value, tuple):
        return [f'    c.{d.field} = (', *(f'        {literal(entry)},' for entry in d.value), '    )']
    if len(line) > WIDTH and isinstance(d.value, str):
        return [f'    c.{d.field} = (', *(f'        {literal(part)}' for part in _parts(d.value)), '    )']
    return [line]


def _parts(pipeline: str) -> list[str]:
    """A long text, such as a pipeline, cut before its '|' into as few pieces as fit a line each."""
    found: list[str] = []
    for part in re.split(r'(?=\|)', pipeline):
        if found and len(literal(found[-1] + part)) <= WIDTH - 8:
            found[-1] += part
        else:
            found.append(part)
    return found


def _plain(text) -> str:
    """A text that a docstring or comment can hold on one line."""
    kept = ''.join(sign if sign.isprintable() else ' ' for sign in str(text))
    return kept.replace('\\', '/').replace('"""', "'''")
