"""A folder, .zip or .tar of class folders, with or without train, val and test above (layout.py). A folder without
class folders may hold one CSV that has the labels (sources/csv.py), or names of files that say their class
(pattern.py)."""

import os

import numpy as np
from absl import logging

from ssljax.data import folder, formats, layout, pattern, records, split_names, table
from ssljax.data.sources import csv
from ssljax.data.sources.asked import Encoded
from ssljax.storage import paths

FORM = 'folder:PATH'
TAKES = 'pattern', 'annotations', 'multilabel'


def around(asked, config) -> str:
    """The folder or archive itself."""
    return paths.expand(asked.rest)


def read(asked, config):
    """As sources.__init__ says; raises FileNotFoundError, or ValueError for folders that cannot be understood."""
    return understood(folder.listing(paths.expand(asked.rest)), asked, config)


def understood(files: folder.Files, asked, config):
    """As `read`, for files that are listed."""
    path = paths.expand(asked.rest)
    formats.check(files.names, path)
    if config.pattern and 'label' in pattern.compiled(config.pattern).groupindex:
        classes, splits, _ = records.splits_of(pattern.records_of(config.pattern, files.names, path), path)
        return classes, {name: Encoded(files, *rest) for name, rest in splits.items()}
    if listed := _labels(path, files.names):
        return csv.read(asked._replace(text=f'csv:{listed}', rest=listed), config)
    try:
        classes, splits = layout.layout(files, path)
    except ValueError as error:
        if os.path.isdir(path) or not (lists := _lists(files)):
            raise
        raise ValueError(f'{error} Or, if {lists[0]!r} has the labels: '
                         f'{table.inside(os.path.join(path, lists[0]), path)}') from error  # fmt: skip
    if config.pattern:
        splits = pattern.with_groups(config.pattern, files.names, splits, path)
    return classes, {name: Encoded(files, *rest) for name, rest in splits.items()}


def unlabeled(asked, config):
    """As sources.__init__ says: all images, whatever folders they are in."""
    files = folder.listing(paths.expand(asked.rest))
    formats.check(files.names, paths.expand(asked.rest))
    n = len(files.names)
    return Encoded(files, np.arange(n), np.full(n, -1, np.int32))


def _lists(files: folder.Files) -> list:
    """Names of files in an archive that may have its labels."""
    return [name for names in files.left_out.values() for name in names if name.lower().endswith(('.csv', '.tsv'))]


def _labels(path: str, names) -> str:
    """The one CSV with labels in a folder that has no class folders; '' if there is none. Raises ValueError if there
    are several."""
    if not os.path.isdir(path):
        return ''
    found = [os.path.join(path, name) for name in sorted(os.listdir(path)) if name.lower().endswith(('.csv', '.tsv'))]
    found = [file for file in found if {'path', 'label'} <= table.header_of(file).keys()]
    folders = {name.rpartition('/')[0] for name in names}
    parts = {part for one in folders for part in one.split('/') if one}
    if found and len(folders) > 1 and not all(split_names.kind_of(p) or split_names.is_holder(p) for p in parts):
        logging.warning('%r: the folders name the classes; %r is not read (csv:PATH reads it).', path, found[0])
        return ''
    if len(found) > 1:
        raise ValueError(
            f'{path!r} has no class folders, but several files with labels ({", ".join(map(repr, found))}): name one, '
            f'for example --config.data.source=csv:{found[0]}.'
        )
    if found:
        logging.warning('%r has no class folders: the labels are those of %r.', path, found[0])
    return found[0] if found else ''
