from pathlib import Path

import pyarrow.parquet
import pytest

import ssljax
from ssljax.storage import files
from ssljax.studies import table, worker
from tests import rows


def test_rows_programs_and_what_is_new(study, tmp_path, monkeypatch):
    study.evaluate.best_on_test = True
    path = worker.run(study, tmp_path)
    found = rows.read(tmp_path, timed=True)
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
    assert len(computed) == 4 and len(rows.read(tmp_path)) == 12
    assert [r for r in rows.read(tmp_path) if r['labels'] != '5/class'] == rows_without(found)


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


def test_a_worker_that_dies_in_a_cell_changes_no_row(study, tmp_path, monkeypatch):
    """Processes that are killed are in tests/slow."""
    study.seeds, study.study.labels = (0,), ('2/class',)
    worker.run(study, tmp_path / 'whole')
    row, calls = table.row, iter(range(9))

    def dies(*args):
        if next(calls):
            raise KeyboardInterrupt
        return row(*args)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(table, 'row', dies)
        worker.run(study, tmp_path / 'died')
    assert len(list(tmp_path.glob('died/cells/*/row.json'))) == 1
    worker.run(study, tmp_path / 'died')
    assert rows.read(tmp_path / 'died') == rows.read(tmp_path / 'whole')


def test_a_cell_that_stops_does_not_stop_the_others(study, tmp_path):
    study.transfer.ways = ('scratch',)
    points = [{'transfer.scratch.optim.lr': 1e30}]
    with pytest.raises(ValueError, match='4 of 8 cells stopped'):
        worker.run(study, tmp_path, points)
    assert len(rows.read(tmp_path)) == 4 and files.read_json(tmp_path / 'study.json')['planned'] == 8


@pytest.mark.parametrize(
    'budgets, points, said',
    [
        (('2/class', '99999999'), (), 'scratch · 99999999 · seed 0: config.data.labels=.99999999., but only'),
        (('2/class', 'all', '100%'), (), 'scratch · 100% · seed 0: config.data.labels=.100%'),
        (('2/class',), [{'transfer.layer': 'nope'}], 'transfer.layer=nope'),
        (('2/class',), [{'backbone.depth': 9}], 'backbone.depth=9'),
        (('2/class',), [{'data.val': '1999'}], 'data.val=1999'),
        (('2/class',), [{'transfer.pool': 'grid9'}], 'transfer.pool is grid9'),
    ],
)
@pytest.mark.parametrize('together', [0, 1])
def test_a_cell_that_cannot_be_trained_is_named_and_the_others_are(study, tmp_path, budgets, points, said, together):
    study.transfer.ways, study.study.labels, study.study.together = ('scratch',), budgets, together
    written = []
    with pytest.raises(ValueError, match=said) as error:
        worker.run(study, tmp_path, points, write=written.append)
    assert str(tmp_path / 'rows.csv') in str(error.value) and written == [tmp_path]
    found = rows.read(tmp_path)
    assert len(found) == 2 * (len(budgets) + len(points) - 1) and {r['labels'] for r in found} <= {'2/class', 'all'}


@pytest.mark.parametrize('budgets', [('15', '5/class'), ('100', '0100'), ('1%', '1.0%'), ('10%', '5/class', '15 ')])
def test_one_budget_in_two_spellings_is_refused(study, tmp_path, budgets):
    study.study.labels = budgets
    with pytest.raises(ValueError, match='are both .* labelled images of synthetic.*: leave one out'):
        worker.run(study, tmp_path)
    assert not list(tmp_path.glob('cells/*/seed*'))


def test_a_reference_that_is_no_way_of_the_study(study, tmp_path):
    study.study.reference = 'finetun'
    with pytest.raises(ValueError, match="study.reference is 'finetun'.*did you mean finetune"):
        worker.run(study, tmp_path)
    study.study.reference = 'finetune:rotation'
    assert worker.cells(study)


@pytest.mark.parametrize('points', [[{'data.labels': 9}], [None], ['a=1'], [{'no.field': 1}], [{'seeds': (1,)}]])
def test_settings_that_are_none(study, tmp_path, points):
    with pytest.raises(ValueError, match='sweep'):
        ssljax.study(study, tmp_path, points)


def test_a_workdir_that_cannot_be(study, tmp_path):
    (tmp_path / 'file').write_text('')
    for place in (tmp_path / 'file', tmp_path / 'file/below', Path('/proc/nope/x'), tmp_path / ('x' * 300)):
        with pytest.raises((ValueError, OSError), match='--workdir'):
            worker.run(study, place)
