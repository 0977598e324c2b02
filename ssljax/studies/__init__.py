"""Studies: many cells, (label budget or setting) x label set x way of training, kept in one directory that any number
of workers can share; one table, one page."""

from ssljax.studies.cells import Cell, cells
from ssljax.studies.worker import run

__all__ = ['Cell', 'cells', 'run']
