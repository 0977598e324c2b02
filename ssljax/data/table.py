"""Tables in text files: CSV with a header, as spreadsheets and scripts write them."""

import csv
import difflib
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ssljax.data import pick
from ssljax.storage import paths
from ssljax.text import wording

HEADER = 1 << 16  # bytes in which a table's first line ends
MARKS = {',': 'commas', ';': 'semicolons', '\t': 'tabs'}  # between the columns
# What a column may be called; if there are several, the first is read.
NAMES = {
    'path': 'path file filename file_name filepath file_path image image_path name'.split(),
    'label': 'label class category'.split(),
    'split': 'split subset set'.split(),
    'group': 'group group_id patient patient_id subject subject_id'.split(),
}


_FORMULA = '=+-@\t\r'  # first characters of cells that a spreadsheet computes
_HERE = './'


class Row(NamedTuple):
    """line: where it begins, from 1. values: {a key of NAMES: text}, '' if the row has none; without surrounding white
    space, except a path, which may have some (`either`)."""

    line: int
    values: dict


class Table(NamedTuple):
    """path: of the file. rows: of Row, without empty ones. columns: {a key of NAMES: its name in the header}. others:
    names of the columns that are not read."""

    path: str
    rows: list
    columns: dict
    others: list


def read(given: str, field: str, needed=('path', 'label')) -> Table:
    """Reads a CSV in UTF-8 or UTF-16, with commas, semicolons or tabs, and its columns in any order.

    Args:
      given: its path.
      field: what names it, for messages.
      needed: the columns that it must have.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is not a table with these columns; the message names the line.
    """
    path = paths.expand(given)
    if not os.path.isfile(path):
        if os.path.exists(path):
            raise ValueError(f'{field}: {path!r} is {paths.kind(path)}: give a CSV file.')
        if archive := next((str(p) for p in Path(path).parents if os.path.isfile(p)), ''):
            raise FileNotFoundError(f'{field}: {inside(path, archive)}')
        raise FileNotFoundError(f'{field}: there is no file {path!r} (from {os.getcwd()!r}){paths.obstacle(path)}.')
    lines = pick.lines_of(path)
    if any('\0' in line for line in lines):
        sheet = os.path.splitext(path)[1].lower() in ('.xlsx', '.xls', '.ods')
        raise ValueError(f'{path!r} is not a text file: {"save the sheet as" if sheet else "give a"} CSV.')
    first = next((i for i, line in enumerate(lines) if line.strip()), 0)
    if (text := lines[first].strip().lower()).startswith('sep=') and len(text) == 5:  # as Excel does
        first += 1
    mark, header = _header(lines[first] if first < len(lines) else '', path, first + 1, needed)
    columns = columns_of(header)
    places = {name: header.index(said) for name, said in columns.items()}
    rows = []
    for line, cells in _cells(lines, first + 1, mark, path):
        if len(cells) > len(header):
            raise ValueError(
                f'{path}, line {line}: it has {len(cells)} columns, but the header has {len(header)}: put quotes '
                f'around values that contain {MARKS[mark]}.'
            )
        values = {name: cells[place] if place < len(cells) else '' for name, place in places.items()}
        values = {name: _path(cell) if name == 'path' else cell.strip() for name, cell in values.items()}
        for name in values.keys() - {'path'}:
            if any('\udc80' <= sign <= '\udcff' for sign in values[name]):
                raise ValueError(f'{path}, line {line}: the {name} is not in UTF-8: save the file as UTF-8.')
        rows.append(Row(line, values))
    return Table(path, rows, columns, [name for name in header if name not in columns.values() and name])


def inside(path: str, archive: str) -> str:
    """What to do about a CSV in an archive."""
    name = os.path.relpath(path, archive)
    return (
        f'labels inside an archive are not read: unpack {name!r} from {archive!r}, put it beside the archive, and set '
        f'--config.data.source=csv:{os.path.join(os.path.dirname(archive), os.path.basename(path))} '
        f'--config.data.images={archive}.'
    )


def written(path: str) -> str:
    """A path as written in a CSV: one that a spreadsheet would take for a formula gets ./ in front, which is the same
    file; `read` removes it."""
    return _HERE + path if path[:1] and path[0] in _FORMULA else path


def _path(cell: str) -> str:
    bare = cell.removeprefix(_HERE)
    return bare if written(bare) == cell else cell


def either(path: str, find: Callable):
    """find(path), or if that finds nothing, without the surrounding white space, as in `label, path`."""
    return find(path) or find(path.strip())


def columns_of(header) -> dict:
    """{a key of NAMES: its name in a header} of the columns that are there."""
    found = {key: next((name for name in names if name in header), None) for key, names in NAMES.items()}
    return {key: name for key, name in found.items() if name}


def header_of(path: str) -> dict:
    """`columns_of` for a file that may be a table; {} if it is not. No more than the first HEADER bytes are read."""
    if not os.path.isfile(path):  # such as a named pipe
        return {}
    try:
        line = next((line for line in pick.lines_of(path, HEADER) if line.strip()), '')
        return max((columns_of(_split(line, mark)) for mark in MARKS), key=len)
    except (OSError, ValueError, csv.Error):
        return {}


def _header(line: str, path: str, number: int, needed) -> tuple[str, list]:
    """(the mark between columns, the names in the header)."""
    found = {mark: _split(line, mark) for mark in MARKS}
    mark = max(MARKS, key=lambda m: (set(needed) <= columns_of(found[m]).keys(), len(found[m])))
    header = found[mark]
    if not line.strip():
        raise ValueError(f'{path!r} is empty: its first line must name the columns, such as path,label.')
    lacks = [name for name in needed if name not in columns_of(header)]
    if lacks:
        known = {name for key in lacks for name in NAMES[key]}
        near = next((f' ({name!r} is close to {close[0]!r})' for name in header if (
            close := difflib.get_close_matches(name, sorted(known), 1, 0.7))), '')  # fmt: skip
        raise ValueError(
            f'{path}, line {number}: its columns are {wording.brief(", ".join(map(repr, header)))}, but none is called '
            f'{" or ".join(lacks)}{near}. The first line of the file names the columns, separated by commas, '
            'semicolons or tabs: path (or file, filename, image), label (or class), and optionally split and group.'
        )
    twice = next((name for name in columns_of(header).values() if header.count(name) > 1), None)
    if twice:
        raise ValueError(f'{path}, line {number}: there are {header.count(twice)} columns called {twice!r}: keep one.')
    return mark, header


def _split(line: str, mark: str) -> list:
    return [name.strip().lower() for name in next(csv.reader([line], delimiter=mark), [])]


def _cells(lines, start: int, mark: str, path: str):
    """(number of its line, cells) of each row that is not empty."""
    reader = csv.reader((f'{line}\n' for line in lines[start:]), delimiter=mark, strict=True)  # a cell may span lines
    while True:
        line = start + reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as e:
            raise ValueError(f'{path}, line {line}: it cannot be read as CSV ({e}): is a quote not closed?') from e
        if any(cell.strip() for cell in cells):
            yield line, cells
