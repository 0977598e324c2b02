"""Studies: many cells, (label budget or setting) x label set x way of training, kept in one directory that any number
of workers can share; one table, one page."""

from ssljax import preempt

preempt.early_for_command()  # before the imports, which take seconds

from ssljax.study.cells import Cell, cells  # noqa: E402
from ssljax.study.worker import run  # noqa: E402

__all__ = ['Cell', 'cells', 'run']
