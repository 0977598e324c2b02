"""Packages that a format needs, besides those that are always installed."""

import importlib.util


def need(names, what: str, extra: str = 'export') -> None:
    """Raises ImportError, with the extra that installs them, if one of the packages `names` is missing."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(f'{what} needs the package {" and ".join(missing)}: pip install "ssljax[{extra}]"')
