"""One self-contained HTML page and a plain-text table from the files a run leaves on disk."""

from ssljax.report.page import write
from ssljax.report.table import table

__all__ = ['table', 'write']
