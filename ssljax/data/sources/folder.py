"""A folder, .zip or .tar of class folders, with or without train, val and test above (layout.py)."""

import numpy as np

from ssljax import paths
from ssljax.data import folder, layout
from ssljax.data.sources.asked import Encoded

FORM = 'folder:PATH'


def read(asked, config):
    """As sources.__init__ says; raises FileNotFoundError, or ValueError for folders that cannot be understood."""
    path = paths.expand(asked.rest)
    files = folder.listing(path)
    classes, splits = layout.layout(files, path)
    return classes, {name: Encoded(files, *rest) for name, rest in splits.items()}


def unlabeled(asked, config):
    """As sources.__init__ says: all images, whatever folders they lie in."""
    files = folder.listing(paths.expand(asked.rest))
    n = len(files.names)
    return Encoded(files, np.arange(n), np.full(n, -1, np.int32))
