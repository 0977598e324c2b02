"""Text that others wrote, such as names of classes, files and runs: made fit to be shown and stored."""

import re
import unicodedata

# What neither XML nor UTF-8 can hold: most control characters, surrogates, two non-characters.
_UNFIT = re.compile('[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]')


def clean(value) -> str:
    r"""A text that can be written as UTF-8 and into XML: what cannot is shown as an escape (\x00, \ud800), a byte of a
    file's name that is not UTF-8 as that byte (\xe9)."""
    return _UNFIT.sub(lambda found: _escape(found[0]), str(value))


def line(value) -> str:
    r"""A text on one line: `clean`, with all control characters and line separators as escapes (\n, \t)."""
    return ''.join(_escape(s) if unicodedata.category(s) in ('Cc', 'Zl', 'Zp') else s for s in clean(value))


def as_markdown(value) -> str:
    """A text for a cell of a Markdown table."""
    return re.sub(r'[\\`*\[\]<>|~$&]|(?<![^\W_])_|_(?![^\W_])', r'\\\g<0>', line(value))


def _escape(sign) -> str:
    if '\udc80' <= sign <= '\udcff':  # Python's stand-in for a byte of a file's name
        return f'\\x{ord(sign) - 0xDC00:02x}'
    return sign.encode('unicode_escape', 'surrogatepass').decode()
