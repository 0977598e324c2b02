"""The table of a study: one row per cell, in long format, as CSV and Parquet."""

import csv
import datetime
import io
import json
from pathlib import Path

import pandas as pd
import pyarrow
import pyarrow.csv
import pyarrow.parquet

from ssljax.records import provenance, result
from ssljax.storage import files
from ssljax.studies import sweep

_TYPES = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64()}
SCHEMA = pyarrow.schema([(name, _TYPES[kind]) for name, kind in {
    'study': str, 'cell': str, 'point': str, 'way': str, 'pretrain': str, 'labels': str, 'labeled': int,
    'per_class': float, 'classes': int, 'seed': int, 'val_top1': float, 'test_top1': float, 'test_top5': float,
    'select': str, 'val_selected': float, 'test_balanced_accuracy': float, 'test_macro_f1': float, 'test_auroc': float,
    'val_mAP': float, 'test_mAP': float, 'test_majority': float,
    'best_on_test': float, 'steps': int, 'images': int, 'seconds': float, 'images_per_second': float,
    'together': int, 'pretrain_seconds': float, 'protocol': str, 'hash_train': str, 'hash_test': str,
    'test_images': int, 'hash_labeled': str, 'hash_val': str, 'hash_unlabeled': str, 'config': str, 'device': str,
    'versions': str, 'finished': str,
}.items()])  # fmt: skip
NEEDED = ('way', 'per_class', 'seed', 'test_top1')  # of a page
# Columns that differ when a cell is computed again.
TIMED = ('seconds', 'images_per_second', 'together', 'pretrain_seconds', 'versions', 'finished')


def row(cell, run, record: dict, pretrained: dict | None) -> dict:
    """What the table says about a cell, except the time that it took.

    Args:
      cell: the Cell.
      run: its stages.Context.
      record: the seed's record, from seeds.evaluate_seed.
      pretrained: the row of the pretraining that it needed.
    """
    way, parts, source = record['ways'][cell.way], record['partition'], run.source
    labeled, classes = parts['labeled']['count'], len(source.classes)
    return {
        'cell': cell.id,
        'point': sweep.title(cell.point),
        'way': cell.way,
        'pretrain': cell.pretrain,
        'labels': cell.labels,
        'labeled': labeled,
        'per_class': labeled / classes,
        'classes': classes,
        'seed': cell.seed,
        'val_top1': way['val'].get('top1'),
        'test_top1': way['test'].get('top1'),
        'val_mAP': way['val'].get('mAP'),
        'test_mAP': way['test'].get('mAP'),
        'test_top5': way['test'].get('top5'),
        'select': run.config.select,
        'val_selected': way['val'].get(run.config.select),
        **{f'test_{metric}': way['test'].get(metric) for metric in ('balanced_accuracy', 'macro_f1', 'auroc')},
        'test_majority': majority(way['test']),
        'best_on_test': way.get('best_on_test'),
        'steps': way['steps'],
        'images': way['images'],
        'images_per_second': way['images_per_second'],
        'together': way.get('together', 1),
        'pretrain_seconds': pretrained and pretrained['pretrain_seconds'],
        'protocol': result.protocol(cell.job.config, record, source, cell=True),
        'hash_train': source.train.digest(),
        'hash_test': source.test.digest(),
        'test_images': len(source.test),
        'hash_labeled': parts['labeled']['hash'],
        'hash_val': source.val.digest() if source.val is not None else parts['val']['hash'],
        'hash_unlabeled': parts['unlabeled']['hash'],
        'config': cell.id,
        'device': provenance.hardware()['device'],
        'versions': json.dumps(provenance.versions()),
        'finished': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds'),
    }


def majority(test: dict) -> float | None:
    """What guessing gives on the test images, from their scores: the top-1 of always predicting the majority class or,
    for multi-label images, the mAP of a random order."""
    if known := [share for share in test.get('prevalence') or () if share]:
        return sum(known) / len(known)
    counts = [sum(row) for row in test.get('confusion') or ()]
    return max(counts) / sum(counts) if counts else None


def main(row) -> str:
    """The main column: 'test_top1', or 'test_mAP' for multi-label images. row: a row, or a DataFrame."""
    found = row['test_mAP'] if 'test_mAP' in row else None
    has = found.notna().any() if isinstance(found, pd.Series) else found is not None
    return 'test_mAP' if has else 'test_top1'


def write(directory, planned) -> Path:
    """Writes rows.csv and rows.parquet from the finished ones of the planned cells, in their order; returns the CSV's
    path."""
    directory = Path(directory)
    name = (files.read_json(directory / 'study.json') or {})['name']
    found = [files.read_json(directory / cell.job.folder / 'row.json') for cell in planned]
    # An earlier study of this directory that computed a cell may have described it differently.
    said = [{'point': sweep.title(c.point), 'pretrain': c.pretrain, 'labels': c.labels} for c in planned]
    rows = [r | {'study': name} | s for r, s in zip(found, said) if r]
    text, buffer = io.StringIO(), io.BytesIO()
    writer = csv.DictWriter(text, SCHEMA.names, extrasaction='ignore', lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)
    files.write_atomically(directory / 'rows.csv', text.getvalue())
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, SCHEMA), buffer)
    files.write_atomically(directory / 'rows.parquet', buffer.getvalue())
    return directory / 'rows.csv'


def read(path) -> pd.DataFrame:
    """The rows of a study's rows.csv, one per cell, with all columns of SCHEMA; an empty number is NaN, a text ''.

    Raises:
      ValueError: no such file, no row in it, a column that is needed is missing, or a number cannot be read.
    """
    todo = 'Run the study until at least one cell is done, then write the page again.'
    if not Path(path).exists():
        raise ValueError(f'There is no table {path}. {todo}')
    how = pyarrow.csv.ConvertOptions(column_types=SCHEMA), pyarrow.csv.ParseOptions(newlines_in_values=True)
    try:
        rows = pyarrow.csv.read_csv(path, convert_options=how[0], parse_options=how[1])
        rows = rows.to_pandas(integer_object_nulls=True)
    except pyarrow.ArrowInvalid as error:
        raise ValueError(f'The table {path} cannot be read: {error}. Write it again from the cells.') from None
    if rows.empty:
        raise ValueError(f'The table {path} has no rows. {todo}')
    if missing := [name for name in NEEDED if name not in rows]:
        raise ValueError(
            f'The table {path} has no column {", ".join(missing)}; it needs {", ".join(NEEDED)}. '
            'Write it again from the cells of the study.'
        )
    for number, (seed, per_class) in enumerate(zip(rows.seed, rows.per_class), 1):
        if pd.isna(seed) or not per_class > 0:
            raise ValueError(
                f'{path}, row {number}: seed is {seed} and per_class is {per_class}; a row needs a seed and a number '
                'of labels per class above 0. Write the table again from the cells.'
            )
    rows, texts = rows.reindex(columns=SCHEMA.names), [f.name for f in SCHEMA if f.type == pyarrow.string()]
    return rows.assign(**rows[texts].astype(object).fillna(''))
