"""What a field of the config is: its default and what it may be. One function per kind of field."""

import ast
import functools
import re
from collections.abc import Callable
from typing import NamedTuple

from ssljax.data import augment
from ssljax.text.wording import nearest, shown

MOST = 2**31 - 1  # of what is counted on the device in int32
WIDEST = 2**13  # features of a layer: wider ones exhaust the memory of any machine that this trains on
BATCH = 2**16  # images of a batch


class Field(NamedTuple):
    """A field of the config.

    Attributes:
      default: its value in `config.base`.
      allowed: what it may be, completing 'it must be ...'.
      fits: (value) -> whether the value is that; may raise ValueError with a reason of its own.
      read: (text) -> the value that a text of the command line spells; raises ValueError if it spells none.
      usual: what the default stands for, if that is another value; else None.
    """

    default: object
    allowed: str
    fits: Callable
    read: Callable = str
    usual: object = None


def whole(default: int, low: int = 0, high: int = MOST) -> Field:
    """An int from low to high; a bool is not one."""
    return Field(default, f'a whole number from {low:,} to {high:,}', lambda v: _is_whole(v) and low <= v <= high, int)


def whole_or_usual(usual: int, low: int = 1, high: int = MOST) -> Field:
    """An int from low to high, or 0, the default, which stands for `usual`."""
    allowed = f'a whole number from {low:,} to {high:,}, or 0 for the usual one'
    return Field(0, allowed, lambda v: _is_whole(v) and (v == 0 or low <= v <= high), int, usual)


def real(default: float, low: float = 0.0, high: float = 1e9) -> Field:
    """A finite number from low to high; a bool is not one."""
    return Field(default, f'a number from {low:g} to {high:g}', lambda v: _is_number(v) and low <= v <= high, float)


def share(default: float) -> Field:
    """A number from 0 to 1."""
    return real(default, 0.0, 1.0)


def below_one(default: float) -> Field:
    """A number from 0 to 1, but not 1: the decay of a running mean, or a share that leaves something."""
    return Field(default, 'a number from 0 up to, but not including, 1', lambda v: _is_number(v) and 0 <= v < 1, float)


def flag(default: bool) -> Field:
    """True or False."""
    return Field(default, 'True or False', lambda v: isinstance(v, bool), _read_flag)


def choice(default, *values) -> Field:
    """One of several values of one type."""
    kind = type(default)
    allowed = 'one of ' + ', '.join(repr(v) if v == '' else str(v) for v in values)
    return Field(default, allowed, lambda v: type(v) is kind and v in values, kind)


def text(default: str = '', longest: int = 4000) -> Field:
    """Any string."""
    return Field(default, f'a string of up to {longest:,} characters', lambda v: _is_text(v) and len(v) <= longest)


def form(default: str, pattern: str, allowed: str) -> Field:
    """A string that fully matches a regex; `allowed` describes it."""
    return Field(default, allowed, lambda v: _is_text(v) and re.fullmatch(pattern, v) is not None)


def name(default: str) -> Field:
    """A valid name for a folder."""

    def fits(v):
        plain = _is_text(v) and 0 < len(v.encode(errors='replace')) <= 100 and v.isprintable() and v == v.strip()
        return plain and not set(v) & set('/\\') and v not in ('.', '..')

    return Field(default, 'a valid folder name of 1 to 100 bytes: no slash, and not . or ..', fits)


def path(default: str = '', schemes: tuple = ()) -> Field:
    """The path of a file or folder, or ''; with `schemes`, written after one of them and a colon."""

    def fits(v):
        if not _is_text(v):
            return False
        where = v
        if schemes and v:
            scheme, _, where = v.partition(':')
            if scheme not in schemes or not where.strip():
                return False
        encoded = where.encode(errors='surrogateescape')
        return len(encoded) < 4096 and all(len(part) < 256 for part in encoded.split(b'/'))

    forms = ' or '.join(f'{s}:PATH' for s in schemes) or 'a path'
    return Field(default, f"{forms}, with names of up to 255 bytes, or ''", fits)


def amount(default: str, none: bool = False, everything: bool = False, listed: bool = False) -> Field:
    """How many images: '1000', '10/class' or '2.5%'; with `none` also '' and '0', with `everything` also 'all', with
    `listed` also 'list:PATH'."""

    def fits(v):
        if not _is_text(v):
            return False
        word = v.strip()
        if word in ('', '0'):
            return none
        if word == 'all':
            return everything
        if word.startswith('list:'):
            return listed and path('', ('list',)).fits(word)
        found = re.fullmatch(r'(?:([0-9]+(?:\.[0-9]+)?)%|([0-9]+)(?:/class)?)', word)
        return bool(found) and (0 < float(found[1]) <= 100 if found[1] else 0 < len(found[2].lstrip('0')) <= 9)

    words = ["'1000' (images)", "'10/class'", "'2.5%'"]
    words += ["'all'"] * everything + ['list:PATH'] * listed + ["'0' for none"] * none
    return Field(default, f'{", ".join(words[:-1])} or {words[-1]}', fits)


def rules(
    default: str, read: Callable | None = None, form: str = 'number', values: str = '', high: float = 1000
) -> Field:
    """'regex=number; regex=number', numbers from 0 to `high`; or with other values: `read` reads them (ValueError for
    others), `form` is what they are called, `values` what they may be. There may be no rule only if that is the
    default."""
    read, values = read or (lambda text: _read_factor(text, high)), values or f'with numbers from 0 to {high:g}'

    def fits(v):
        found = [rule.strip().rpartition('=') for rule in v.split(';') if rule.strip()] if _is_text(v) else []
        try:
            return (
                _is_text(v)
                and bool(found or not default)
                and all(re.compile(p) and m and (read(n) or True) for p, m, n in found)
            )
        except (ValueError, OverflowError, RecursionError, re.error):
            return False

    empty = '' if default else ", or ''"
    return Field(default, f"of the form 'regex={form}; regex={form}', {values}{empty}", fits)


def pipeline(default: str = '') -> Field:
    """An augmentation pipeline such as 'crop(4)|flip', or ''."""

    def fits(v):
        return _is_text(v) and _parsed(v)

    return Field(default, "augmentations joined by '|', such as crop(4)|flip, or ''", fits)


def pool(default: str) -> Field:
    """How a map of features becomes a vector: avg | flatten | gridN."""
    return form(default, 'avg|flatten|grid[1-9][0-9]{0,2}', 'avg, flatten, or gridN with N cells a side, such as grid4')


def many(default: tuple, each: Field, least: int = 0, distinct: bool = False, most: int = 2000) -> Field:
    """A tuple of values of one kind."""

    def fits(v):
        if not isinstance(v, (tuple, list)) or not least <= len(v) <= most or not all(each.fits(e) for e in v):
            return False
        return not distinct or len(set(v)) == len(v)

    allowed = 'a tuple' + f' of at least {"one" if least == 1 else least}' * (least > 0) + f', each {each.allowed}'
    allowed += ', without repetition' * distinct
    return Field(default, allowed, fits, lambda written: _read_many(written, each))


def entries(default: tuple, form: str, fits_entry: Callable) -> Field:
    """A tuple of tuples; `form` describes each, and `fits_entry` checks one."""

    def fits(v):
        return isinstance(v, (tuple, list)) and all(isinstance(e, (tuple, list)) and fits_entry(e) for e in v)

    return Field(default, f'a tuple of tuples, each of the form {form}', fits, _read_entries)


def are_changes(value) -> bool:
    """Whether a value is ((field, value), ...), as variants have them."""
    pairs = isinstance(value, (tuple, list)) and all(isinstance(e, (tuple, list)) and len(e) == 2 for e in value)
    return pairs and all(_is_text(field) for field, _ in value)


def is_published(entry) -> bool:
    """Whether an entry is (way, number, setting, source) or has a label budget after these."""
    if len(entry) not in (4, 5) or not (_is_number(entry[1]) and -1e9 <= entry[1] <= 1e9):
        return False
    return all(_is_text(e) for i, e in enumerate(entry) if i != 1)


def widths(default: tuple, least: int = 0) -> Field:
    """The widths of dense layers."""
    return many(default, whole(128, 1, WIDEST), least, most=100)


def temperature(default: float) -> Field:
    """What scores are divided by."""
    return real(default, 1e-3, 1000.0)


def either(first: Field, *others: Field) -> Field:
    """A value that fits any of several fields; the default is the first's."""
    every = (first, *others)
    allowed = ', or '.join(dict.fromkeys(field.allowed for field in every))
    return first._replace(allowed=allowed, fits=lambda v: any(field.fits(v) for field in every), usual=None)


def of(value) -> Field:
    """The Field of an option that is declared by its default alone: of the default's type, finite, not negative."""
    if isinstance(value, Field):
        return value
    if isinstance(value, bool):
        return flag(value)
    if isinstance(value, int):
        return whole(value, min(value, 0))
    if isinstance(value, float):
        return real(value, min(value, 0.0))
    if isinstance(value, tuple):
        return many(value, of(value[0]) if value else text())
    return text(value)


def check(name: str, value, field: Field) -> None:
    """Raises ValueError, naming the field, if a value is not what it may be."""
    reason = f'it must be {field.allowed}'
    try:
        fits = field.fits(value)
    except ValueError as error:
        fits, reason = False, str(error)[:400].rstrip('.')
    if not fits:
        raise ValueError(f'{name} is {shown(value)}{_near(value, field)}; {reason}.')


def read(name: str, written: str, field: Field):
    """The value of a field that a text of the command line spells; raises ValueError, naming the field, if it spells
    none."""
    try:
        value = field.read(written)
    except (ValueError, OverflowError):
        check(name, written, field._replace(fits=lambda v: False))
    check(name, value, field)
    return value


def split(written: str, mark: str = ',') -> list[str]:
    """The parts between marks outside brackets and quotes, stripped; empty ones are left out."""
    parts, depth, quote, start = [], 0, '', 0
    for i, sign in enumerate(written):
        if quote:
            quote = '' if sign == quote else quote
        elif sign in '\'"':
            quote = sign
        elif sign in '([{':
            depth += 1
        elif sign in ')]}':
            depth -= 1
        elif sign == mark and depth == 0:
            parts.append(written[start:i])
            start = i + 1
    return [part.strip() for part in [*parts, written[start:]] if part.strip()]


def _near(value, field: Field) -> str:
    options = field.allowed.removeprefix('one of ').split(', ') if field.allowed.startswith('one of ') else ()
    near = nearest(value, options) if isinstance(value, str) and value else ''
    return re.sub(r'did you mean (.*)\?', r"did you mean '\1'?", near)


@functools.lru_cache(256)
def _parsed(spec: str) -> bool:
    augment.parse(spec)
    return True


def _is_whole(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _read_factor(written: str, high: float) -> float:
    if not 0 <= float(written) <= high:
        raise ValueError
    return float(written)


def _is_text(value) -> bool:
    return isinstance(value, str) and '\0' not in value


def _read_flag(written: str) -> bool:
    words = {'true': True, 't': True, '1': True, 'false': False, 'f': False, '0': False}
    if written.strip().lower() not in words:
        raise ValueError
    return words[written.strip().lower()]


def _literal(written: str):
    try:
        return ast.literal_eval(written)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise ValueError from None


def _read_many(written: str, each: Field) -> tuple:
    """The tuple of (0, 1) | [0, 1] | 0,1 | 0, | 0, with or without quotes around texts; '' is the empty one."""
    inner = written.strip()
    if inner[:1] in '([' and inner[-1:] in ')]' and len(split(inner)) == 1 and _closes_last(inner):
        inner = inner[1:-1]
    values = []
    for part in split(inner):
        quoted = len(part) > 1 and part[0] == part[-1] and part[0] in '\'"'
        values.append(each.read(part[1:-1] if quoted and each.read is str else part))
    return tuple(values)


def _closes_last(written: str) -> bool:
    """Whether the bracket that opens a text closes at its end."""
    depth = 0
    for i, sign in enumerate(written):
        depth += (sign in '([') - (sign in ')]')
        if depth == 0:
            return i == len(written) - 1
    return False


def _read_entries(written: str) -> tuple:
    value = _literal(written) if written.strip() else ()
    if not isinstance(value, (tuple, list)):
        raise ValueError
    return tuple(value)
