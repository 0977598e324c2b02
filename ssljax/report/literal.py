"""Text that others wrote, such as names of classes, files and runs: shown literally in HTML, Markdown and figures."""

import html
import re
import unicodedata

# What neither XML nor UTF-8 can hold: most control characters, surrogates, two non-characters.
_UNFIT = re.compile('[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]')


def clean(value) -> str:
    r"""A text that can be written as UTF-8 and into XML: what cannot is shown as an escape (\x00, \udc80)."""
    return _UNFIT.sub(lambda found: _escape(found[0]), str(value))


def line(value) -> str:
    r"""A text on one line: `clean`, with all control characters and line separators as escapes (\n, \t)."""
    return ''.join(_escape(s) if unicodedata.category(s) in ('Cc', 'Zl', 'Zp') else s for s in clean(value))


def as_html(value) -> str:
    """A text inside HTML, or inside an attribute with either quotation mark."""
    return html.escape(clean(value), quote=True)


def as_markdown(value) -> str:
    """A text in a cell of a Markdown table."""
    return re.sub(r'[\\`*\[\]<>|~$&]|(?<![^\W_])_|_(?![^\W_])', r'\\\g<0>', line(value))


def _escape(sign) -> str:
    return sign.encode('unicode_escape', 'surrogatepass').decode()
