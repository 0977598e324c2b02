import csv
import os
import random
import signal
import subprocess
import sys
import time

import pyarrow.parquet
import pytest

from ssljax import files
from ssljax.studies import table, worker

RUN = """
import sys
from ssljax.config import base
from ssljax.studies import worker
c = base()
c.update_from_flattened_dict(eval(sys.argv[2]))
worker.run(c, sys.argv[1])
"""


@pytest.fixture
def study(config):
    config.seeds = (0, 1)
    config.transfer.ways = ('scratch', 'finetune')
    config.study.labels = ('2/class', '10/class')
    config.study.together = 1  # which is faster, and so the rounding, may differ from run to run
    return config


def rows(directory, timed=False):
    with open(directory / 'rows.csv') as f:
        return [{k: v for k, v in row.items() if timed or k not in table.TIMED} for row in csv.DictReader(f)]


def test_rows_programs_and_what_is_new(study, tmp_path, monkeypatch):
    study.evaluate.best_on_test = True
    path = worker.run(study, tmp_path)
    found = rows(tmp_path, timed=True)
    assert path == tmp_path / 'rows.csv' and len(found) == 8
    one = found[0]
    assert (one['way'], one['labels'], one['labeled'], one['classes'], one['pretrain']) == (
        'scratch', '2/class', '6', '3', '',
    )  # fmt: skip
    assert {r['pretrain'] for r in found if r['way'] == 'finetune'} == {'rotation'}
    assert all(float(r['best_on_test']) >= float(r['test_top1']) for r in found)
    assert len({r['hash_test'] for r in found}) == 1 and len({r['hash_labeled'] for r in found}) == 4
    assert pyarrow.parquet.read_table(tmp_path / 'rows.parquet').num_rows == 8
    assert not list(tmp_path.glob('cells/*/seed*/*/model')) and list(tmp_path.glob('pretrained/*/seed*/pretrain/model'))

    computed, compute = [], worker._compute
    monkeypatch.setattr(worker, '_compute', lambda cell, job, *rest: computed.append(job) or compute(cell, job, *rest))
    study.study.labels = ('2/class', '5/class', '10/class')
    study.study.keep = True
    worker.run(study, tmp_path)
    assert len(list(tmp_path.glob('cells/*/seed*/*/model'))) == 4
    assert len(computed) == 4 and len(rows(tmp_path)) == 12
    assert [r for r in rows(tmp_path) if r['labels'] != '5/class'] == rows_without(found)


def rows_without(found):
    return [{k: v for k, v in row.items() if k not in table.TIMED} for row in found]


def test_label_sets_of_any_size_share_their_programs(study, tmp_path):
    study.transfer.ways = ('scratch',)
    shared = worker.Shared()
    sizes = []
    for cell in worker.cells(study):
        run = shared.prepare(cell.job.config, tmp_path / cell.id)
        worker.seeds.train_seed(run, cell.seed)
        (program,) = (p for name, p in run.programs.items() if name[:2] == ('train', 'scratch'))
        sizes.append(program.run._cache_size())
    assert sizes == [1, 1, 1, 1] and len(shared.programs) == 1


def test_killing_a_study_changes_no_row(study, tmp_path):
    worker.run(study, tmp_path / 'whole')
    changes = {k: v for k, v in flat(study).items() if k != 'name'} | {'name': study.name}
    command = [sys.executable, '-c', RUN, str(tmp_path / 'killed'), repr(changes)]
    environment = dict(os.environ, JAX_PLATFORMS='cpu', PYTHONPATH=os.getcwd())
    chance, done = random.Random(0), 1
    for _ in range(3):
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        deadline = time.time() + 120
        while len(list((tmp_path / 'killed').glob('cells/*/row.json'))) < done and time.time() < deadline:
            time.sleep(0.05)
        time.sleep(chance.uniform(0, 0.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
        done = min(len(list((tmp_path / 'killed').glob('cells/*/row.json'))) + 1, 8)
    subprocess.run(command, env=environment, check=True, capture_output=True)
    assert rows(tmp_path / 'killed') == rows(tmp_path / 'whole')


def flat(config, prefix=''):
    out = {}
    for key, value in config.items():
        out |= flat(value, f'{prefix}{key}.') if hasattr(value, 'items') else {prefix + key: value}
    return out


def test_a_cell_that_stops_does_not_stop_the_others(study, tmp_path):
    study.transfer.ways = ('scratch',)
    points = [{'transfer.scratch.optim.lr': 1e30}]
    with pytest.raises(ValueError, match='4 of 8 cells stopped'):
        worker.run(study, tmp_path, points)
    assert len(rows(tmp_path)) == 4 and files.read_json(tmp_path / 'study.json')['planned'] == 8
