"""ssljax: image classifiers from few labels and many unlabelled images, in JAX and Flax."""

import sys
from types import ModuleType
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

    for other in __all__:
        globals().setdefault(other, getattr(api, other))
    return globals()[name]


def __dir__():
    return sorted([*globals(), *__all__])


class _Package(ModuleType):
    """This package. Its functions and the files of verbs have the same names: once a file is imported, its name is the
    module, which can be called like the function."""

    def __setattr__(self, name, value):
        if name in __all__ and isinstance(value, ModuleType):
            value.__class__ = _Verb
        super().__setattr__(name, value)


class _Verb(ModuleType):
    """The file of a verb, such as ssljax/export.py."""

    def __call__(self, *args, **kwargs):
        from ssljax import api

        return getattr(api, self.__name__.rpartition('.')[2])(*args, **kwargs)


sys.modules[__name__].__class__ = _Package
