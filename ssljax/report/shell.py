"""What the pages of a run and of a study share: sections one by one, a headline, and where the numbers come from."""

import json
import sys

from ssljax.progress import say
from ssljax.report.draw import described, style
from ssljax.report.markup import folded, grid, page, paragraph, part, section
from ssljax.report.words import number
from ssljax.settings import schema


def render(name, top, makers, of) -> str:
    """A page as a string; a section that fails is replaced by its error.

    Args:
      name: its heading.
      top: (of) -> what goes below that.
      makers: (of) -> Section or None, each; a terminal says which is being drawn.
      of: what they draw.
    """
    sections = []
    with style():
        for make in makers:
            if sys.stderr.isatty():
                say.status(f'report: {_title(make)} ...')
            sections.append(attempt(make, of))
        head = attempt(top, of)
    say.status('')
    return page(name, getattr(head, 'body', head), [found for found in sections if found])


def attempt(make, of):
    """make(of); if it fails, a section that says so, and a warning on stderr."""
    try:
        return make(of)
    except Exception as error:
        print(f'warning: the section "{_title(make)}" could not be drawn: {described(error)}', file=sys.stderr)
        return section(_title(make).capitalize(), paragraph(f'This section could not be drawn: {described(error)}'))


def _title(make):
    return make.__name__.replace('_', ' ')


def lede(facts, sentences):
    """The facts in one line and, below it, the first sentence in bold, and the others."""
    claim, *more = [sentence for sentence in sentences if sentence] or ['']
    return part('lede', facts, claim, more)


def published(entries, title, ours=lambda what: ''):
    """The table of published values; title, ours: of an entry's 'what', its name and what was measured here."""
    rows = [
        [title(e.get('what', '–')), f'{e.get("labels", "")}', number(e.get('value')), ours(e.get('what')),
         e.get('setting', '–'), e.get('source', '–')]
        for e in entries or ()
    ]  # fmt: skip
    caption = 'Published values. Their setting differs from ours unless stated otherwise.'
    return grid(['What', 'Labels', 'Published %', 'Ours %', 'Published setting', 'Source'], rows, caption, wide=(4, 5))


def provenance(command, config, *parts):
    """The section on where the numbers come from: the command, what else is known, the configuration."""
    fields = schema.flat(config or {}, 'config.')
    lines = [f'{name} = {json.dumps(value, ensure_ascii=False)}' for name, value in fields.items()]
    return section(
        'Where the numbers come from',
        part('heading', 'Command') + part('code', command, 'wrap') if command else '',
        *parts,
        folded('The whole configuration', part('code', '\n'.join(lines))) if lines else '',
    )
