"""Studies: many cells, (label budget or setting) x label set x way of training, kept in one directory that any number
of workers can share; one table, one page."""

from ssljax.study.cells import Cell, cells
from ssljax.study.worker import run

__all__ = ['Cell', 'cells', 'run']
