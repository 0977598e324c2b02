"""Pieces of messages: values as they were given, and the name that was meant."""

import difflib


def shown(value) -> str:
    """A value for a message, cut if it is long."""
    try:
        said = repr(value)
    except ValueError:  # an int of thousands of digits
        return 'a very large number'
    return said if len(said) <= 200 else f'{said[:180]}... ({type(value).__name__})'


def brief(text: str, most: int = 200) -> str:
    """A text for a message, without quotes, cut if it is longer than `most`."""
    return text if len(text) <= most else f'{text[: most - 20]}... ({len(text):,} characters)'


def one_line(error: BaseException) -> str:
    """What an error says, on one line, cut if it is long."""
    return brief(' '.join(str(error).split()), 400)


def nearest(name: str, known) -> str:
    """' (did you mean x?)' or '' for a misspelt name."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f' (did you mean {close[0]}?)' if close else ''
