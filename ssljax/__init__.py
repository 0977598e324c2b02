"""ssljax: image classifiers from few labels and many unlabelled images, in JAX and Flax."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ssljax.api import (
        Model,
        Predictions,
        Source,
        check,
        export,
        label,
        load,
        load_data,
        plan,
        predict,
        recipe,
        study,
        train,
    )

__all__ = ['Model', 'Predictions', 'Source', 'check', 'export', 'label', 'load', 'load_data', 'plan', 'predict']
__all__ += ['recipe', 'study', 'train']


def __getattr__(name: str):
    """What `ssljax.api` has, imported when it is first asked for: that takes seconds, and a command need not wait."""
    if name not in __all__:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    from ssljax import api

    globals().update({n: getattr(api, n) for n in __all__})
    return globals()[name]


def __dir__():
    return sorted([*globals(), *__all__])
