"""The table of a study, for several tests."""

import csv

from ssljax.studies import table


def read(directory, timed=False):
    """[{column: text}] of rows.csv, without the columns of times unless `timed`."""
    with open(directory / 'rows.csv') as f:
        return [{k: v for k, v in row.items() if timed or k not in table.TIMED} for row in csv.DictReader(f)]
