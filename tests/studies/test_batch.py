"""Seeds of a cell at once: who is in a group, what is measured once, and what the rows say."""

import csv

import pytest

from ssljax import vmapped
from ssljax.storage import files
from ssljax.studies import batch, cells, worker


@pytest.fixture
def study(config):
    config.seeds = (0, 1, 2)
    config.transfer.ways = ('scratch', 'finetune')
    config.study.labels = ('2/class', '10/class')
    return config


@pytest.fixture
def speedup(monkeypatch):
    """Says that together is twice as fast; the list of how many it was asked for."""
    asked = []
    monkeypatch.setattr(vmapped, 'speedup', lambda runs: asked.append(len(runs)) or 2.0)
    return asked


def rows(directory):
    with open(directory / 'rows.csv') as f:
        return list(csv.DictReader(f))


def test_groups_differ_in_the_seed_alone(study, tmp_path):
    study.transfer.ways = ('scratch', 'frozen', 'two_stage', 'fixmatch')
    study.semi.strong = 'crop(2)'
    points = [{'transfer.mixup': 0.2}]
    planned = cells(study, points)
    found = list(batch.groups(planned, 0, tmp_path))
    assert [cell for group in found for cell in group] == planned
    sizes = {(g[0].way, len(g)) for g in found}
    assert sizes == {('scratch', 3), ('frozen', 3), ('two_stage', 1), ('fixmatch', 1)}
    assert all(len({(c.way, c.labels, str(c.point)) for c in g}) == 1 for g in found)
    assert [len(g) for g in batch.groups(planned[:3], 2, tmp_path)] == [2, 1]
    assert [len(g) for g in batch.groups(planned[:3], 1, tmp_path)] == [1, 1, 1]


def test_rows_are_those_of_one_after_the_other(study, tmp_path, speedup):
    worker.run(study, tmp_path / 'together')
    assert speedup == [3, 3]  # once for scratch and for finetune, not for each budget
    assert set((files.read_json(tmp_path / 'together/together.json')).values()) == {2.0}
    study.study.together = 1
    worker.run(study, tmp_path / 'alone')
    assert len(speedup) == 2 and not (tmp_path / 'alone/together.json').exists()
    one, other = rows(tmp_path / 'alone'), rows(tmp_path / 'together')
    assert len(one) == len(other) == 12
    assert {r['together'] for r in one} == {'1'} and {r['together'] for r in other} == {'3'}
    for a, b in zip(one, other):
        assert {k: a[k] for k in ('cell', 'seed', 'way', 'steps', 'hash_labeled')} == {
            k: b[k] for k in ('cell', 'seed', 'way', 'steps', 'hash_labeled')
        }
        assert float(a['test_top1']) == pytest.approx(float(b['test_top1']), abs=0.011)  # an image or two
    assert not list(tmp_path.glob('*/cells/*/seed*/*/model'))


def test_what_is_slower_together_is_not_done(study, tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(vmapped, 'speedup', lambda runs: asked.append(len(runs)) or 0.4)
    monkeypatch.setattr(vmapped, 'fit', None)
    study.transfer.ways = ('scratch',)
    worker.run(study, tmp_path)
    assert asked == [3] and {r['together'] for r in rows(tmp_path)} == {'1'}
    assert '3 seeds together: 0.4 times as fast as one after the other' in capsys.readouterr().err


def test_cells_of_other_workers_are_left_out(study, tmp_path, speedup, monkeypatch):
    study.transfer.ways, study.study.labels = ('scratch',), ('2/class',)
    theirs = cells(study)[1]
    other = worker.Claims(tmp_path / 'claims')
    fit, trained = vmapped.fit, []

    def then_let_go(runs):
        trained.append([run.meta['seed'] for run in runs])
        held.__exit__(None, None, None)
        return fit(runs)

    monkeypatch.setattr(vmapped, 'fit', then_let_go)
    held = other.hold(theirs.id)
    assert held.__enter__()
    worker.run(study, tmp_path)
    assert trained == [[0, 2]] and [r['together'] for r in rows(tmp_path)] == ['2', '1', '2']


def test_a_cell_that_stops_does_not_stop_its_group(study, tmp_path, speedup):
    study.transfer.ways, study.study.labels = ('scratch',), ('2/class',)
    with pytest.raises(ValueError, match='3 of 6 cells stopped'):
        worker.run(study, tmp_path, [{'transfer.scratch.optim.lr': 1e30}])
    assert [r['together'] for r in rows(tmp_path)] == ['3'] * 3


def test_a_number_below_zero_is_refused(study):
    study.study.together = -1
    with pytest.raises(ValueError, match='study.together is -1'):
        cells(study)
