"""A tracker of another library gets what metrics.jsonl has, and never ends a run."""

import importlib
import json
import types

import pytest

from ssljax import experiment
from ssljax.progress import log, trackers


class Wandb(types.ModuleType):
    """What of wandb is used, recorded."""

    def __init__(self, fails_at=None):
        super().__init__('wandb')
        self.rows, self.summary, self.given, self.finished, self.fails_at = [], {}, [], 0, fails_at

    def init(self, **given):
        self.given.append(given)
        return self

    def define_metric(self, *_, **__):
        pass

    def log(self, row):
        if len(self.rows) == self.fails_at:
            raise ConnectionError('no network')
        self.rows.append(row)

    def finish(self):
        self.finished += 1


@pytest.fixture
def wandb(monkeypatch):
    def install(module):
        real = importlib.import_module
        find = lambda name, *rest: module if name == 'wandb' else real(name, *rest)
        monkeypatch.setattr(trackers.importlib, 'import_module', find)
        return module

    return install


def test_all_metrics_of_every_stage_arrive_and_a_run_that_goes_on_keeps_its_id(config, tmp_path, wandb):
    found = wandb(Wandb())
    config.transfer.ways, config.tracker = ('scratch',), 'wandb'
    result = experiment.run(config, tmp_path)
    rows = [r for r in log.read(tmp_path / 'seed0/scratch/metrics.jsonl')]
    sent = [r for r in found.rows if any(k.startswith('seed0/scratch/') for k in r)]
    assert len(sent) == len(rows) and rows
    for row, got in zip(rows, sent):
        assert got == {f'seed0/scratch/{k}': v for k, v in row.items()}
    assert found.summary == {'scratch/test_top1': result['summary']['scratch']['top1']['mean']} and found.finished == 1
    assert found.given[0]['config']['pretrain.method'] == 'rotation' and found.given[0]['name'] == tmp_path.name
    config.tracker = ''  # no number depends on it
    config.seeds = (0, 1)
    experiment.run(config, tmp_path)
    config.tracker = 'wandb'
    experiment.run(config, tmp_path)
    assert found.given[1]['id'] == found.given[0]['id'] == json.loads((tmp_path / trackers.NAME).read_text())['id']


@pytest.mark.parametrize('fails_at', [0, 2])
def test_a_tracker_that_fails_is_told_once_and_changes_nothing(config, tmp_path, wandb, capsys, fails_at):
    found = wandb(Wandb(fails_at))
    config.transfer.ways, config.tracker = ('scratch',), 'wandb'
    assert experiment.run(config, tmp_path)['summary']
    told = [line for line in capsys.readouterr().err.splitlines() if 'wandb' in line]
    assert len(told) == 1 and 'ConnectionError: no network' in told[0] and len(found.rows) == fails_at


def test_a_tracker_that_is_not_installed_is_refused_before_anything_is_done(config, tmp_path, monkeypatch):
    def missing(name, *_):
        raise ImportError(f'No module named {name!r}')

    monkeypatch.setattr(trackers.importlib, 'import_module', missing)
    config.tracker = 'mlflow'
    with pytest.raises(ImportError, match="tracker='mlflow' needs the package mlflow.*pip install mlflow"):
        experiment.run(config, tmp_path)
    assert not list(tmp_path.iterdir())


def test_mlflow_itself(config, tmp_path, monkeypatch):
    mlflow = pytest.importorskip('mlflow')
    monkeypatch.setenv('MLFLOW_TRACKING_URI', f'sqlite:///{tmp_path}/mlflow.db')
    config.transfer.ways, config.tracker = ('scratch',), 'mlflow'
    experiment.run(config, tmp_path / 'run')
    client = mlflow.MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name('ssljax').experiment_id])
    rows = log.read(tmp_path / 'run/seed0/scratch/metrics.jsonl')
    sent = client.get_metric_history(run.info.run_id, 'seed0/scratch/train/loss')
    assert [m.step for m in sent] == [r['step'] for r in rows if 'train/loss' in r]
    assert run.data.params['pretrain.method'] == 'rotation' and 'scratch/test_top1' in run.data.metrics
