"""matplotlib, for drawing into files only: without a display, and without the backend that MPLBACKEND may name."""

import contextlib
import os


@contextlib.contextmanager
def _without(variable):
    """Takes a variable out of the environment while a module that reads it is imported."""
    kept = os.environ.pop(variable, None)
    try:
        yield
    finally:
        if kept is not None:
            os.environ[variable] = kept


with _without('MPLBACKEND'):  # a name that is not installed would be an error already here
    import matplotlib  # noqa: E402

from matplotlib import colors, ticker  # noqa: E402
from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: E402
from matplotlib.colors import PowerNorm, to_rgb  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.lines import Line2D  # noqa: E402
from matplotlib.text import Text  # noqa: E402

__all__ = ['Figure', 'FigureCanvasAgg', 'Line2D', 'PowerNorm', 'Text', 'colors', 'matplotlib', 'ticker', 'to_rgb']
