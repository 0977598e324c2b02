"""The Python interface: what `import ssljax` offers, for scripts and notebooks. The commands do the same."""

from pathlib import Path

from ml_collections import ConfigDict

from ssljax import config as configs
from ssljax import experiment, fields, paths, platform, recipes, wording
from ssljax.data import sources
from ssljax.data.sources import Source
from ssljax.model import Model, load

__all__ = ['Model', 'Source', 'check', 'load', 'load_data', 'recipe', 'study', 'train']


def recipe(name: str = '', argument: str | None = None, **changes) -> ConfigDict:
    """A config to train with, or to change first.

    Args:
      name: of a recipe that comes with ssljax, such as 'quickstart'; '' has every field at its default.
      argument: what a recipe that takes one is given, such as the pretext task of 'pretext_cifar10'.
      **changes: values of fields; a dot in a field's name is written __, as in data__source='folder:~/pets'.

    Raises:
      ValueError: no such recipe or field, or a value that the field cannot have.
    """
    config = recipes.recipe(name, argument) if name else configs.base()
    known = configs.definitions()
    for given, value in changes.items():
        field = given.replace('__', '.')
        if field not in known:
            raise ValueError(f'there is no field {field!r}{wording.nearest(field, known)}.')
        fields.check(field, value, known[field])
        config.update_from_flattened_dict({field: value})
    return config


def check(path: str | Path, out: str | Path = '', run: str | Path = '') -> dict:
    """Looks at a data set before anything is trained on it: copies, damage, labels, shortcuts (`ssljax check`).

    Args:
      path: a folder, .zip, .tar or .npz, which is only read, or a source as config.data.source has it.
      out: where check.json, check.html and findings.png are written, by default runs/check_NAME.
      run: a finished run on these classes, whose model looks for labels that may be wrong.

    Returns:
      The content of check.json; 'findings' has the most important one first (audit/record.py).

    Raises:
      ValueError, OSError: it cannot be read, or `out` not be written to; the message says why.
    """
    from ssljax.audit import whole  # not at the top: the page draws

    platform.enter()
    return whole.check(str(path), out, str(run) if run else '')


def train(config: ConfigDict, workdir: str | Path = '') -> dict:
    """Trains what a config asks for, or goes on with it: the stages, the evaluation and the report of every seed.

    Args:
      config: of `recipe`.
      workdir: where the run is kept, by default runs/NAME; `load` opens it.

    Returns:
      The content of result.json: 'summary' has {way: {'top1': mean and spread over seeds}}.

    Raises:
      ValueError, OSError: something the user can mend; the message says what and how.
      ssljax.guard.Stopped: a guard stopped every way of every seed.
    """
    platform.enter()
    tuner = None
    if config.tune:
        from ssljax import tune  # not at the top: it imports a search library

        tuner = tune.tuned
    return experiment.run(config, paths.workdir(workdir, config), tuner)


def study(config: ConfigDict, workdir: str | Path = '', points=()) -> Path:
    """Computes what of a study is not done yet: label budgets x pretrainings x ways x seeds.

    Args:
      config: of `recipe`; config.study says what is varied.
      workdir: where the study is kept, by default runs/NAME.
      points: of an ablation, {field: value} of each setting.

    Returns:
      The table, rows.csv, one row a training; study.html lies beside it.

    Raises:
      ValueError, OSError: as for `train`.
    """
    from ssljax.studies import page, worker  # not at the top: the page draws

    platform.enter()
    return worker.run(config, paths.workdir(workdir, config), points, write=page.write)


def load_data(source: str, **fields) -> Source:
    """The images and labels of a source, split as a run splits them.

    Args:
      source: as config.data.source, such as 'folder:~/pets', 'npz:x.npz' or 'digits'.
      **fields: others of config.data, such as image_size=64 or labels='10/class'.

    Returns:
      A Source with `train`, `val`, `test`, `unlabeled` (Splits, or None), `classes` and `shape`.

    Raises:
      ValueError, OSError: it cannot be read; the message says why.
    """
    config = recipe(data__source=source, **{f'data__{k}': v for k, v in fields.items()})
    return sources.load(config.data)
