"""The Python interface: what `import ssljax` offers, for scripts and notebooks. The commands are equivalent."""

from pathlib import Path

from ml_collections import ConfigDict

from ssljax import config as configs
from ssljax.buckets import mirror
from ssljax.data import sources
from ssljax.data.sources import Source
from ssljax.devices import platform
from ssljax.labeling import label
from ssljax.model import Model
from ssljax.prediction import Predictions, predict
from ssljax.settings import fields, recipes
from ssljax.text import wording
from ssljax.trained import load

__all__ = ['Model', 'Predictions', 'Source', 'check', 'export', 'label', 'load', 'load_data', 'plan', 'predict']
__all__ += ['recipe', 'study', 'train']


def recipe(name: str = '', argument: str | None = None, **changes) -> ConfigDict:
    """A config to train with, or to modify first.

    Args:
      name: of a bundled recipe, such as 'quickstart'; '' leaves every field at its default.
      argument: of a recipe that takes one, such as the pretext task of 'pretext_cifar10'.
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
        if config.plan.minutes and not field.startswith('plan.'):
            config.plan.given = tuple(dict.fromkeys((*config.plan.given, field)))
    return config


def check(path: str | Path, out: str | Path = '', run: str | Path = '', **given) -> dict:
    """Looks at a data set before anything is trained on it: copies, damage, labels, shortcuts (`ssljax check`).

    Args:
      path: a folder, .zip, .tar or .npz, which is only read, or a source as config.data.source has it.
      out: where check.json, check.html and findings.png are written, by default runs/check_NAME.
      run: a finished run on these classes, whose model looks for labels that may be wrong.
      **given: fields that say how the data is read, as in data__pattern='{label}.{}.jpg'.

    Returns:
      The content of check.json; 'findings' has the most important one first (audit/record.py).

    Raises:
      ValueError, OSError: it cannot be read, or `out` cannot be written to; the message says why.
    """
    from ssljax.audit import whole  # not at the top: the page draws

    platform.enter()
    return whole.check(str(path), out, str(run) if run else '', **given)


def plan(source: str, minutes: float = 30.0, out: str | Path = '', *, flips: str = 'auto', **given):
    """A recipe for a source, each field with its reason, from its fingerprint, the project's measurements and speeds
    measured on this machine; nothing is trained. `ssljax.recipe('auto', data__source=...)` plans and trains.

    Args:
      source: the path of a folder, .zip, .tar or .npz, or any source as config.data.source has it.
      minutes: for the whole command that trains with the plan.
      out: the recipe to write, such as 'plan.py'; '' writes none.
      flips: whether a mirrored image keeps its class, 'yes' or 'no'; 'auto' judges by the class names.
      **given: fields that stay as they are; a dot in a field's name is written __, as in data__labels='50'.

    Returns:
      planning.make.Plan; its `config()` can be trained.

    Raises:
      FileExistsError, ValueError, OSError: something the user can fix; the message says what and how.
    """
    from ssljax import planning  # not at the top: it imports what draws

    platform.enter()
    return planning.plan(source, minutes, out, flips=flips, **given)


def train(config: ConfigDict, workdir: str | Path = '') -> dict:
    """Trains what a config specifies, or resumes it: stages, evaluation and report of every seed.

    Args:
      config: from `recipe`.
      workdir: where to keep the run, by default runs/NAME, or a place on a bucket; `load` opens it.

    Returns:
      The content of result.json: 'summary' has {way: {'top1': mean and spread over seeds}}.

    Raises:
      ValueError, OSError: something the user can fix; the message says what and how.
      ssljax.guard.Stopped: a guard stopped every way of every seed.
    """
    from ssljax import planning  # not at the top: it imports what draws

    platform.enter()
    with mirror.opened(workdir, config) as place:
        if config.plan.minutes:
            return planning.auto(config, place)
        tuner = None
        if config.tune:
            from ssljax import tune  # not at the top: it imports a search library

            tuner = tune.tuned
        return planning.train(config, place, tuner)


def study(config: ConfigDict, workdir: str | Path = '', points=()) -> Path:
    """Computes what is missing from a study: label budgets x pretrainings x ways x seeds.

    Args:
      config: from `recipe`; config.study says what is varied.
      workdir: where to keep the study, by default runs/NAME.
      points: the settings of an ablation, each {field: value}.

    Returns:
      The path of the table, rows.csv, one row per training; study.html is next to it.

    Raises:
      ValueError, OSError: as for `train`; or some cells cannot be trained: the table has the others.
    """
    from ssljax.studies import page, sweep, worker  # not at the top: the page draws

    platform.enter()
    points = sweep.check(points, config) if points else ()
    with mirror.opened(workdir, config) as place:
        return worker.run(config, place, points, write=page.write)


def export(
    run: str | Path,
    path: str | Path,
    format: str = '',
    *,
    way: str = '',
    seed: int | None = None,
    images=None,
    features: bool = False,
) -> Path:
    """Writes a run's trained model to a file for other programs; the same as `load` and then `Model.export`."""
    return load(run, way, seed).export(path, format, images, features)


def load_data(source: str, **fields) -> Source:
    """The images and labels of a source, split as a run splits them.

    Args:
      source: as config.data.source, such as 'folder:~/pets', 'npz:x.npz' or 'digits'.
      **fields: other fields of config.data, such as image_size=64 or labels='10/class'.

    Returns:
      A Source with `train`, `val`, `test`, `unlabeled` (Splits, or None), `classes` and `shape`.

    Raises:
      ValueError, OSError: it cannot be read; the message says why.
    """
    config = recipe(data__source=source, **{f'data__{k}': v for k, v in fields.items()})
    return sources.load(config.data)
