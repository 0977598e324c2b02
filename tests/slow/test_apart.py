"""Processes on hosts that share no disk: the first reads and writes for all, in its folder or its copy of a bucket."""

import csv
import shutil
import signal

import pytest

from tests.command import outcome, same
from tests.hosts.processes import SMALL, Processes, completed
from tests.store import bucket

EVERY = '--config.save_every=1'
OFTEN = ['--config.pretrain.steps=30', '--config.pretrain.evals=2', "--config.transfer.ways=('frozen',)"]


def written(place) -> list:
    """The files in a folder, but for locks."""
    return [path for path in place.rglob('*') if path.is_file() and path.name != '.lock']


@pytest.mark.parametrize('kind', ['folder', 's3'])
def test_a_run_is_stopped_and_goes_on_to_the_same_bits(kind, tmp_path, monkeypatch):
    completed(tmp_path / 'shared', *SMALL, EVERY)
    with bucket('file' if kind == 'folder' else 's3', tmp_path, monkeypatch) as url:
        place, apart = tmp_path / 'run', True if kind == 'folder' else f'{url}/run'
        with Processes(place, *SMALL, EVERY, apart=apart) as run:
            run.until(lambda: 'scratch' in run.texts()[0] and 'val/top1' in run.texts()[0])
            run.all[1].send_signal(signal.SIGTERM)
            assert run.ended() == [75, 75], run.texts()
            assert 'is not on a disk that process 1 of 2' in run.texts()[0]
        assert not written(place.with_name('run.host1'))
        if kind != 'folder':
            shutil.rmtree(place)  # another host is the first one now
        first, _ = completed(place, *SMALL, EVERY, apart=apart)
        assert 'Report: ' in first
        folder = place if kind == 'folder' else next(place.rglob('result.json')).parent
        same(outcome(tmp_path / 'shared'), outcome(folder))
        assert not written(place.with_name('run.host1'))


def test_a_study(tmp_path):
    flags = [*SMALL, "--config.study.labels=('10/class',)", '--config.seeds=(0, 1)']
    for place, apart in (('apart', True), ('shared', None)):
        completed(tmp_path / place, *flags, verb='ssljax.study', apart=apart)
    assert (tmp_path / 'apart/rows.csv').read_text().count('\n') == 3 and not written(tmp_path / 'apart.host1')
    apart, shared = (list(csv.DictReader(open(tmp_path / p / 'rows.csv'))) for p in ('apart', 'shared'))
    assert [row['test_top1'] for row in apart] == [row['test_top1'] for row in shared]


def test_a_pretrained_backbone_reaches_all(tmp_path):
    for place, apart in (('shared', None), ('apart', True)):
        completed(tmp_path / place, *OFTEN, apart=apart)
    same(outcome(tmp_path / 'shared'), outcome(tmp_path / 'apart'))
    shutil.rmtree(tmp_path / 'apart/seed0/frozen')
    (tmp_path / 'apart/seed0/evaluation.json').unlink()
    completed(tmp_path / 'apart', *OFTEN, apart=True)  # the pretraining is read
    same(outcome(tmp_path / 'shared'), outcome(tmp_path / 'apart'))
