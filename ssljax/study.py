"""Train label budgets x label sets x ways, or an ablation.

usage: ssljax study --config=RECIPE [--workdir=DIR] [--sweep=TEXT]
                    [--workers=N] [--config.FIELD=VALUE ...]

  --config=RECIPE         a bundled recipe, such as label_efficiency, or a
                          Python file; its sweep(config) lists settings
  --workdir=DIR           where to keep the study (default: runs/NAME)
  --sweep=TEXT            settings that replace the recipe's: a grid
                          (A=1,2; B=3,4), single ones (list: A=1 B=2; A=3), or
                          drawn ones (random 20: A=log 1e-3..1e-1)
  --workers=N             number of processes, each with its own device (1)
  --config.FIELD=VALUE    sets a field of the recipe; study.labels lists the
                          budgets, study.pretrained pretrainings

DIR then has rows.csv, rows.parquet and study.html. Rerunning, also with more
budgets, seeds, ways or settings, computes only what is missing.

example: ssljax study --config=quickstart --sweep="backbone.depth=2,3"
"""

import sys

from ssljax import verbs

if __name__ == '__main__':
    verbs.begin('study')  # before the imports, which take seconds

from absl import app, flags  # noqa: E402
from ml_collections import config_flags  # noqa: E402

from ssljax import api, main  # noqa: E402
from ssljax.settings import recipes  # noqa: E402
from ssljax.storage import paths  # noqa: E402
from ssljax.studies import processes, sweep, worker  # noqa: E402

_SWEEP = flags.DEFINE_string('sweep', '', 'Settings of an ablation: FIELD=VALUE,VALUE; FIELD=VALUE,VALUE.')
_WORKERS = flags.DEFINE_integer('workers', 1, 'Processes on this machine, one device each.', lower_bound=1)


def points(config, filename: str) -> list[dict]:
    """The settings of the study: from --sweep or study.sweep, or from `sweep(config)` in the config's file."""
    if text := _SWEEP.value or config.study.sweep:
        return sweep.parse(text, config)
    module = recipes.module_of(filename.split(':')[0])
    return sweep.check(list(module.sweep(config)), config) if hasattr(module, 'sweep') else []


def study(config, directory) -> None:
    """One worker, or `--workers` of them."""
    processes.follow()
    settings = points(config, config_flags.get_config_filename(flags.FLAGS['config']))
    if _WORKERS.value > 1:
        if paths.is_url(flags.FLAGS.workdir):
            raise ValueError(
                f'--workers={_WORKERS.value} with --workdir={flags.FLAGS.workdir}: a study on a bucket can have only '
                'one worker. Leave --workers out, or give a --workdir on a disk.'
            )
        worker.cells(config, settings)  # reports a mistake once, not in each worker
        processes.run(_WORKERS.value, [arg for arg in sys.argv[1:] if not arg.startswith('--workers')])
    path = api.study(config, directory, settings)
    print(f'Table: {path}\nPage: {path.with_name("study.html")}')


def command(_) -> int:
    if _WORKERS.value > 1 and (flags.FLAGS.processes or flags.FLAGS.coordinator):
        print(
            f'error: --workers={_WORKERS.value} with --processes or --coordinator: each worker is a run of its own, '
            'with other cells; leave one of them out.',
            file=sys.stderr,
        )
        return 2
    return main.command(study, detect=False)  # tasks of SLURM are workers


if __name__ == '__main__':
    app.run(command, flags_parser=main.parse)
