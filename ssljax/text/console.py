"""Printing never ends a command: not in an encoding that lacks a character, nor when the reader is gone."""

import codecs
import logging
import os
import sys

_PLAIN = {'±': '+/-', '–': '-', '—': '-', '−': '-', '…': '...', '·': '|', '×': 'x', '✓': 'v', '✗': 'x', 'µ': 'u'}
_PLAIN |= {'█': '#', '░': '.'}


def prepare() -> None:
    """Makes stdout and stderr safe to print to; every command calls it first.

    A character that the stream's encoding lacks is written with characters that it has ('+/-' for '±') or else as an
    escape (so are surrogates, as in file names that are not UTF-8). If the reader is gone, as after `| head -1`, or the
    disk is full, output is dropped and the command continues.
    """
    reopen()
    codecs.register_error('ssljax', _replace)
    for name in ('stdout', 'stderr'):
        stream = getattr(sys, name)
        if hasattr(stream, 'reconfigure'):
            stream.reconfigure(errors='ssljax')
        if stream is not None and stream is getattr(sys, f'__{name}__'):
            setattr(sys, name, _Lasting(stream))


def plain_warnings() -> None:
    """Warnings of absl's logging are printed as 'warning: ...', without the time, the thread and the line of code; on a
    terminal in place of a line of progress."""
    from absl import flags  # takes half a second
    from absl import logging as of_absl

    flags.FLAGS.mark_as_parsed()  # otherwise a line about flags comes before the first warning
    of_absl.use_absl_handler()
    of_absl.get_absl_handler().setFormatter(_Plainly())


def reopen() -> None:
    """Opens the standard streams that were closed, as after `2>&-`, on nothing.

    A file of the run would otherwise get their number, 2 for example, and what C++ code prints would be written into
    it; so this comes before any file is opened.
    """
    for number, name in enumerate(('stdin', 'stdout', 'stderr')):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it gets the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, 'w' if number else 'r', encoding='utf-8'))  # noqa: SIM115


def _replace(error):
    if not isinstance(error, UnicodeEncodeError):
        raise error
    found = error.object[error.start : error.end]
    return ''.join(_PLAIN.get(sign) or sign.encode('ascii', 'backslashreplace').decode() for sign in found), error.end


class _Plainly(logging.Formatter):
    def format(self, record):
        cleared = '\r\x1b[K' if sys.stderr.isatty() else ''
        return f'{cleared}{record.levelname.lower()}: {super().format(record)}'


class _Lasting:
    """A text stream that outlives its reader."""

    def __init__(self, stream):
        self._stream = stream

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def write(self, text):
        try:
            return self._stream.write(text)
        except OSError:
            self._drop()
            return len(text)

    def flush(self):
        try:
            self._stream.flush()
        except OSError:
            self._drop()

    def _drop(self):
        """Sends what is buffered, and all that follows, nowhere."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)
