"""One self-contained HTML page and a plain-text table from the files a run leaves on disk."""

from ssljax import verbs

verbs.begin_package('report')  # before the imports, which take seconds

from ssljax.report.table import table  # noqa: E402

__all__ = ['table', 'write']


def write(workdir):
    """`page.write`, imported at the first call: the table needs nothing that draws."""
    from ssljax.report import page

    return page.write(workdir)
