"""One self-contained HTML page and a plain-text table from the files a run leaves on disk."""

from ssljax import preempt

preempt.early_for_command()  # before the imports, which take seconds

from ssljax.report.page import write  # noqa: E402
from ssljax.report.table import table  # noqa: E402

__all__ = ['table', 'write']
