"""python -m ssljax.study --config=configs/label_efficiency.py [--workdir=DIR] [--sweep=TEXT] [--workers=N]
[--config.FIELD=VALUE ...]: computes what of a study is not done yet; DIR gets rows.csv, rows.parquet and study.html."""

import importlib.util
import sys

from ssljax import preempt

if __name__ == '__main__':
    preempt.early()  # before the imports, which take seconds

from absl import app, flags  # noqa: E402
from ml_collections import config_flags  # noqa: E402

from ssljax import main  # noqa: E402
from ssljax.studies import page, processes, sweep, worker  # noqa: E402

_SWEEP = flags.DEFINE_string('sweep', '', 'Settings of an ablation: FIELD=VALUE,VALUE; FIELD=VALUE,VALUE.')
_WORKERS = flags.DEFINE_integer('workers', 1, 'Processes on this machine, one device each.', lower_bound=1)


def points(config, filename: str) -> list[dict]:
    """The settings of the study: of --sweep or study.sweep, or of `sweep(config)` in the config's file."""
    if text := _SWEEP.value or config.study.sweep:
        return sweep.parse(text, config)
    spec = importlib.util.spec_from_file_location('recipe', filename.split(':')[0])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return sweep.check(list(module.sweep(config)), config) if hasattr(module, 'sweep') else []


def study(config, directory) -> None:
    """One worker, or `--workers` of them."""
    settings = points(config, config_flags.get_config_filename(flags.FLAGS['config']))
    if _WORKERS.value > 1:
        worker.cells(config, settings)  # a mistake is told once, not by each worker
        processes.run(_WORKERS.value, [arg for arg in sys.argv[1:] if not arg.startswith('--workers')])
    path = worker.run(config, directory, settings, write=page.write)
    print(f'Table: {path}\nPage: {path.with_name("study.html")}')


if __name__ == '__main__':
    app.run(lambda _: main.command(study), flags_parser=main.parse)
