"""The HTML of a page from the templates in html/, which escape every text that they are given."""

import functools
from pathlib import Path
from typing import NamedTuple

import jinja2
from markupsafe import Markup

from ssljax.text.literal import clean


class Section(NamedTuple):
    """A part of a page with a heading, to which its table of contents links."""

    title: str
    body: Markup

    @property
    def anchor(self):
        return self.title.lower().replace(' ', '-')


@functools.cache
def _templates():
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / 'html'), autoescape=True, trim_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: value if hasattr(value, '__html__') else clean(value),
    )  # fmt: skip


def part(name, *args, **kwargs) -> Markup:
    """A piece of HTML by a macro of parts.html."""
    return getattr(_templates().get_template('parts.html').module, name)(*args, **kwargs)


def page(name, top, sections) -> str:
    """A whole page, with everything inside it; `top` goes below its heading."""
    return _templates().get_template('page.html').render(name=name, top=top, sections=sections) + '\n'


def section(title, *parts):
    """A Section; None if all its parts are empty."""
    return Section(title, part('join', parts)) if any(parts) else None


def grid(header, rows, caption='', *, best=(), wide=()):
    """A table of plain strings; rows listed in `best` are highlighted, columns in `wide` may wrap; '' without rows.

    Columns of numbers are aligned right, columns with words left. An empty column is left out.
    """
    kept = [i for i in range(len(header)) if i == 0 or any(row[i] not in ('', '–') for row in rows)]
    words = [i in wide or not all(numeric(row[i]) for row in rows) for i in kept]
    classes = ['left' * word + ' wide' * (i in wide) for i, word in zip(kept, words)]
    header, rows = [header[i] for i in kept], [[row[i] for i in kept] for row in rows]
    return part('grid', caption, header, rows, classes, best) if rows else ''


def facts(values, caption):
    """A table of {property: value, or a list of values}; what has no value is left out."""
    pairs = [(name, one) for name, value in values.items() for one in (value if isinstance(value, list) else [value])]
    rows = [[name, value] for name, value in pairs if value not in (None, '', '–')]
    return grid(['Property', 'Value'], rows, caption, wide=(1,))


def numeric(cell):
    """Whether a cell reads as a number: its first character is a digit, +, −, <, > or the dash of a gap."""
    return cell[:1].isdigit() or cell[:1] in ('+', '−', '–', '<', '>')


# (image or other ready HTML, numbered caption, class); any number of figures beside each other, three=True: small ones
# in columns of which three fit; (title, parts...); sentences. Each is '' without anything in it.
figure, beside, folded, paragraph = (functools.partial(part, n) for n in ('figure', 'beside', 'folded', 'paragraph'))
