"""A CSV with the columns path and label and, if present, split and group (table.py, records.py)."""

import os
import unicodedata

import numpy as np
from absl import logging

from ssljax.data import folder, formats, pick, records, split_names, table, walk
from ssljax.data.sources.asked import Encoded
from ssljax.storage import paths
from ssljax.targets.multilabel import NONE
from ssljax.text.wording import shown

FORM = 'csv:PATH'
TAKES = 'images', 'annotations', 'multilabel'
MOST = 100  # characters of a class
SHOWN = 3  # missing files, in a message


def around(asked, config) -> str:
    """The folder or archive that holds the images: that of the CSV, or config.data.images."""
    path = paths.expand(asked.rest)
    beside = os.path.dirname(path) or '.'
    if not config.images:
        return beside
    given = paths.expand(config.images)
    return given if os.path.exists(given) or os.path.isabs(given) else os.path.join(beside, given)


def read(asked, config):
    """As sources.__init__ says. Images in the folder or archive that the CSV does not list, and those with an empty
    label, are unlabelled.

    Raises:
      FileNotFoundError: there is no such file, or no such folder of images.
      ValueError: the CSV cannot be understood, or does not go with the images; the message names the line.
    """
    found = table.read(asked.rest, str(asked))
    if found.others:
        logging.warning('%r: ignoring the columns %s.', found.path, ', '.join(map(repr, found.others)))
    files, numbers = _files(found, around(asked, config))
    several = _multilabel(found, config.multilabel)
    rows = [_record(row, number, found.path, several) for row, number in zip(found.rows, numbers)]
    listed = set(numbers)
    rest = [n for n in range(len(files.names)) if n not in listed]
    rows += [records.Record(n, repr(files.names[n]), '', 'unlabeled') for n in rest]
    if rest:
        logging.info('%r: %d images that it does not list are unlabelled.', found.path, len(rest))
    classes, splits, sets = records.splits_of(rows, found.path, several)
    return classes, {name: Encoded(files, *some, sets) for name, some in splits.items()}


def unlabeled(asked, config):
    """As sources.__init__ says: the images that the CSV lists, whatever their labels."""
    found = table.read(asked.rest, str(asked), ('path',))
    files, numbers = _files(found, os.path.dirname(found.path) or '.')
    return Encoded(files, np.sort(np.array(numbers, np.int64)), np.full(len(numbers), -1, np.int32))


def _multilabel(found: table.Table, asked: str) -> bool:
    """Whether a label may name several classes, by config.data.multilabel, or by the rows."""
    row = next((row for row in found.rows if NONE in row.values['label']), None)
    if asked != 'auto' or row is None:
        return asked == 'yes'
    logging.warning(
        '%r: multi-label, since line %d has %r; if the semicolon is part of the name of a class: '
        '--config.data.multilabel=no', found.path, row.line, row.values['label'],
    )  # fmt: skip
    return True


def _record(row: table.Row, number: int, path: str, several: bool) -> records.Record:
    label, said = unicodedata.normalize('NFC', row.values['label']), row.values.get('split', '')
    where, split = f'line {row.line}', split_names.kind_of(said) if said else 'train'
    if split not in ('train', 'val', 'test', 'unlabeled'):
        raise ValueError(
            f'{path}, {where}: unknown split {shown(said)}: use train, val, test or unlabeled; empty means train.'
        )
    longest = max(map(len, label.split(NONE) if several else [label]))
    if longest > MOST:
        raise ValueError(f'{path}, {where}: the label has {longest:,} characters; the limit is {MOST}.')
    return records.Record(number, where, label, split, row.values.get('group', ''))


def _files(found: table.Table, where: str):
    """(the Files of a folder or archive and of all that a table lists, the numbers of the listed ones, in its
    order)."""
    if not found.rows:
        raise ValueError(f'{found.path!r} lists no image: each line after the first names one.')
    try:
        files = folder.listing(where, whole_names=True)
    except ValueError as e:
        if where != (os.path.dirname(found.path) or '.'):
            raise
        raise ValueError(
            f'{e} If the images of {found.path!r} are in an archive, set --config.data.images=PATH.'
        ) from e
    known, missing, numbers = pick.Known(files.names, 0, where), [], []
    more: dict = {}
    first: dict = {}

    def find(word):
        return known.full.get(os.path.normpath(word)) or _on_disk(word, where, known, more) or known.named(word)

    for row in found.rows:
        path, word = f'{found.path}, line {row.line}', row.values['path']
        if not word.strip():
            raise ValueError(f'{path}: the path is empty.')
        rows = table.either(word, find)
        if len(rows) > 1:
            some = ', '.join(repr(files.names[n]) for n in rows[:SHOWN])
            raise ValueError(f'{path}: {word!r} could be {len(rows)} images ({some}): write more of its path.')
        if not rows:
            missing.append(row)
            continue
        number = rows[0]
        if number in first:
            raise ValueError(f'{path}: {word!r} is already on line {first[number]}: remove one of the two.')
        first[number] = row.line
        numbers.append(number)
    if missing:
        raise _missing(missing, found, where, known)
    files = _joined(files, more) if more else files
    files = files._replace(left_out=_without(files.left_out, os.path.relpath(found.path, where)))
    formats.check(files.names, found.path)
    return files, numbers


def _without(left_out: dict, name: str) -> dict:
    """{why: names} without one of the names: the CSV itself is read."""
    kept = {why: [other for other in names if other != name] for why, names in left_out.items()}
    return {why: names for why, names in kept.items() if names}


def _on_disk(word: str, where: str, known: pick.Known, more: dict) -> list[int]:
    """The number of a file that a listing of the folder `where` does not have under this name: a link in it, or a file
    elsewhere, which is added to `more`, {path: number}. [] if there is none."""
    full = os.path.join(where, os.path.expanduser(word)) if os.path.isdir(where) else ''
    if not os.path.isfile(full):
        return []
    real = os.path.realpath(full)
    inside = os.path.relpath(real, os.path.realpath(where)).replace(os.sep, '/')
    return known.full.get(inside) or [more.setdefault(real, len(known.full) + len(more))]


def _joined(files: folder.Files, more: dict) -> folder.Files:
    """Files with further ones, {path: number}."""
    keys = [walk.key_of(path) for path in more]
    return files._replace(
        names=[*files.names, *more],
        sizes=[*files.sizes, *(key[1] for key in keys)],
        crcs=[*files.crcs, *[None] * len(keys)],
        keys=[*files.keys, *keys],
    )


def _missing(rows, found: table.Table, where: str, known: pick.Known) -> ValueError:
    """The error for lines that name missing files."""
    row = rows[0]
    word, total = row.values['path'], len(found.rows)
    also = f' ({len(rows):,} of {total:,} lines name missing files)' if len(rows) > 1 else ''
    advice = f'paths are relative to {where!r}, or absolute; --config.data.images=PATH names another folder or archive'
    same = {name.casefold(): name for name in known.full}
    ends = [word + e for e in ('.jpg', '.jpeg', '.png', '.tif', '.bmp', '.webp', '.dcm') if known.named(word + e)]
    if ends:
        advice = f'{ends[0]!r} is there: add the file extension'
    elif like := same.get(os.path.normpath(word).casefold()):
        advice = f'{like!r} is there: upper and lower case differ'
    return ValueError(f'{found.path}, line {row.line}: there is no image {word!r}{also}: {advice}.')
