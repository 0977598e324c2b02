"""Tables of predictions on disk: one row per input, written piece by piece, and there as a whole or not at all."""

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path

from ssljax.data import table
from ssljax.storage import paths, temporaries
from ssljax.storage.disk import disk_errors


class Csv:
    """RFC 4180, UTF-8; an empty field where there is no value; paths as by table.written."""

    def __init__(self, path, columns: dict):
        self._file = open(path, 'w', newline='', encoding='utf-8', errors='surrogateescape')
        self._writer, self._columns = csv.writer(self._file), list(columns)
        self._writer.writerow(self._columns)

    def rows(self, rows: list[dict]) -> None:
        rows = [row | {'path': table.written(row['path'])} for row in rows]
        self._writer.writerows([_plain(row[name]) for name in self._columns] for row in rows)

    def close(self) -> None:
        self._file.close()


class Json:
    """A list of objects, one per line; null where there is no value."""

    def __init__(self, path, columns: dict):
        self._file, self._begun = open(path, 'w', encoding='utf-8', errors='backslashreplace'), False
        self._file.write('[')

    def rows(self, rows: list[dict]) -> None:
        for row in rows:
            self._file.write((',\n' if self._begun else '\n') + json.dumps(row, ensure_ascii=False))
            self._begun = True

    def close(self) -> None:
        self._file.write('\n]\n')
        self._file.close()


class Parquet:
    """Typed columns, null where there is no value."""

    def __init__(self, path, columns: dict):
        import pyarrow as pa  # not at the top: it takes a second to import
        import pyarrow.parquet as pq

        types = {str: pa.string(), float: pa.float32(), bool: pa.bool_()}
        self._schema = pa.schema([(name, types[kind]) for name, kind in columns.items()])
        self._table, self._writer = pa.Table, pq.ParquetWriter(path, self._schema)

    def rows(self, rows: list[dict]) -> None:
        rows = [row | {'path': row['path'].encode(errors='backslashreplace').decode()} for row in rows]
        self._writer.write_table(self._table.from_pylist(rows, schema=self._schema))

    def close(self) -> None:
        self._writer.close()


FORMATS: dict[str, Callable] = {'.csv': Csv, '.json': Json, '.parquet': Parquet}


def check(path: Path, overwrite: bool) -> None:
    """Raises ValueError for an unknown extension, FileExistsError if something is in the way."""
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f'--out={path} has the extension {path.suffix!r}: give one of {", ".join(FORMATS)}.')
    check_free(path, overwrite)


def check_free(path: Path, overwrite: bool) -> None:
    """Raises FileExistsError if something is in the way."""
    if path.is_dir() or path.exists() and not overwrite:
        raise FileExistsError(f'{path} is {paths.kind(path)} that exists already: give another --out, or --overwrite.')


class Table:
    """A context manager with `rows`, which writes the table; if it ends with an error, there is no file."""

    def __init__(self, path: Path, columns: dict):
        """columns: {name: str, float or bool}."""
        self._path, self._columns = path, columns
        self._temporary = temporaries.beside(path)

    def __enter__(self):
        with disk_errors(self._path.parent):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = FORMATS[self._path.suffix.lower()](self._temporary, self._columns)
        return self

    def rows(self, rows: list[dict]) -> None:
        """Adds rows, {column: value or None}."""
        with disk_errors(self._path.parent):
            self._writer.rows(rows)

    def __exit__(self, kind, *_):
        try:
            with disk_errors(self._path.parent):
                self._writer.close()
                if kind is None:
                    os.replace(self._temporary, self._path)
        finally:
            self._temporary.unlink(missing_ok=True)


def _plain(value):
    return '' if value is None else f'{value:.6g}' if isinstance(value, float) else value
