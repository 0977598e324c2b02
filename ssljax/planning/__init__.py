"""Plans: from a data set and a number of minutes to a recipe with a reason for every field, and to an answer on whether
unlabelled images help there. Each choice is fixed, follows from rules (rules.py) that rest on what the project has
measured (evidence.py), or is measured on the spot (measure.py)."""

import time
from pathlib import Path

from ssljax import experiment
from ssljax.planning import answer, kept, make, recipe
from ssljax.processes import hosts
from ssljax.progress import elapsed
from ssljax.storage import files, paths

__all__ = ['auto', 'plan', 'train']


def plan(source: str, minutes: float = 30.0, out: str | Path = '', *, flips: str = 'auto', **given) -> make.Plan:
    """Plans the training on a source, and trains nothing.

    Args:
      source: the path of a folder, .zip, .tar or .npz, or any source as config.data.source has it.
      minutes: for the whole command that trains with the plan.
      out: the recipe to write; '' writes none.
      flips: whether an image and its mirror image may be of one class, 'yes' or 'no'; 'auto' goes by the names of the
        classes.
      **given: fields that stay as they are; a dot in a name is written __, as in data__labels='50'.

    Returns:
      make.Plan; its `config()` can be trained.

    Raises:
      FileExistsError: `out` exists.
      ValueError, OSError: something the user can fix; the message says what and how.
    """
    began = time.time()
    values = {field.replace('__', '.'): value for field, value in given.items()}
    if out:
        out = Path(paths.expand(out))
        check_free(out)
    asked = kept.asked({'data.source': make.source_of(source), **values}, minutes, flips)
    found = make.make(asked, began=began)
    if out:
        files.write_atomically(out, recipe.text(found, out))
    return found


def check_free(out: Path) -> None:
    """Raises FileExistsError if the file exists, ValueError if it would not be a recipe."""
    if out.suffix != '.py':
        raise ValueError(f'--out={out} is not a Python file: give a name such as plan.py.')
    if out.exists():
        raise FileExistsError(f'{out} exists, and a plan overwrites nothing: give another --out, or move it away.')


def auto(config, workdir: Path) -> dict:
    """Plans, trains with the plan and answers whether unlabelled images helped; or resumes.

    The plan is kept in the work directory, as plan.json and, to be edited and trained elsewhere, plan.py.

    Args:
      config: with plan.minutes, and in plan.given the fields that are not to be planned.
      workdir: the run's folder.

    Raises:
      ValueError, OSError: as `plan`; or `workdir` was begun with another source, time or field.
    """
    began, workdir = time.time(), Path(workdir)
    with files.lock(workdir):
        planned = hosts.told(kept.stored, config, workdir)
        if planned is None:
            elapsed.begin(workdir, began)
            try:
                planned = kept.keep(config, workdir, make.make(kept.of_config(config), began=began))
            finally:
                elapsed.end(workdir)
    return train(planned, workdir)


def train(config, workdir: Path, tuner=None) -> dict:
    """experiment.run, with the answer at its end if the config asks for one."""
    wanted = config.answer.curve or config.answer.minutes
    return experiment.run(config, workdir, tuner, answer.answered if wanted else None)
