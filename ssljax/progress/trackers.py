"""Experiment trackers of other libraries: what goes to metrics.jsonl also goes to one, if config.tracker asks for it.

A tracker never ends a run: if it fails, a warning says so, and it receives nothing more.
"""

import functools
import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ssljax.storage import files

NAME = 'tracker.json'  # in the workdir: the id by which the tracker knows the run


class Tracker(NamedTuple):
    """log: (stage, step, {metric: float}), end: ({metric: float}, of the whole run)."""

    log: Callable[[str, int, dict], None]
    end: Callable[[dict], None]


def check(config) -> None:
    """Raises ImportError if the library of config.tracker is not installed."""
    if config.tracker:
        _library(config.tracker)


def begin(config, workdir: Path, plain: dict) -> Tracker | None:
    """The Tracker of a run, continuing what it already has of it; None if none is asked for, or it cannot begin.

    Args:
      config: the run's.
      workdir: the run's.
      plain: {field: value}, to be shown.
    """
    if not config.tracker:
        return None
    library = _library(config.tracker)
    try:
        return _careful(MAKERS[config.tracker](library, config, workdir, plain), config.tracker)
    except Exception as error:  # of the network, the account, the disk
        _warn(config.tracker, error)
        return None


def _library(name: str):
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f'tracker={name!r} needs the package {name}, which cannot be imported ({error}): pip install {name}, or '
            "leave tracker at ''."
        ) from error


def _careful(tracker: Tracker, name: str) -> Tracker:
    failed: list = []

    def careful(function):
        @functools.wraps(function)
        def call(*args):
            if failed:
                return
            try:
                function(*args)
            except Exception as error:
                failed.append(error)
                _warn(name, error)

        return call

    return Tracker(careful(tracker.log), careful(tracker.end))


def _warn(name: str, error: Exception) -> None:
    print(f'warning: {name} receives nothing more from this run ({type(error).__name__}: {error})', file=sys.stderr)


def _known(workdir: Path, make: Callable[[], str]) -> str:
    """The id of the run, made once."""
    kept = files.read_json(workdir / NAME, {'id': str})
    if kept is None:
        kept = {'id': make()}
        files.write_json(workdir / NAME, kept)
    return kept['id']


def _wandb(wandb, config, workdir: Path, plain: dict) -> Tracker:
    identity = _known(workdir, lambda: os.urandom(8).hex())
    run = wandb.init(
        project=os.environ.get('WANDB_PROJECT', 'ssljax'), name=workdir.name, id=identity, resume='allow',
        dir=str(workdir), config=plain,
    )  # fmt: skip
    known: set = set()

    def log(stage: str, step: int, metrics: dict) -> None:
        if stage not in known:  # each stage counts its own steps
            known.add(stage)
            run.define_metric(f'{stage}/step')
            run.define_metric(f'{stage}/*', step_metric=f'{stage}/step')
        run.log({f'{stage}/{name}': value for name, value in metrics.items()} | {f'{stage}/step': step})

    def end(metrics: dict) -> None:
        run.summary.update(metrics)
        run.finish()

    return Tracker(log, end)


def _mlflow(mlflow, config, workdir: Path, plain: dict) -> Tracker:
    client = mlflow.MlflowClient()

    def make() -> str:
        name = os.environ.get('MLFLOW_EXPERIMENT_NAME', 'ssljax')
        experiment = client.get_experiment_by_name(name)
        number = experiment.experiment_id if experiment else client.create_experiment(name)
        run = client.create_run(number, run_name=workdir.name).info.run_id
        for field, value in plain.items():
            client.log_param(run, field, str(value)[:500])
        return run

    run = _known(workdir, make)
    client.update_run(run, status='RUNNING')

    def log(stage: str, step: int, metrics: dict) -> None:
        for name, value in metrics.items():
            client.log_metric(run, f'{stage}/{name}', value, step=step)

    def end(metrics: dict) -> None:
        for name, value in metrics.items():
            client.log_metric(run, name, value)
        client.set_terminated(run)

    return Tracker(log, end)


MAKERS = {'wandb': _wandb, 'mlflow': _mlflow}
