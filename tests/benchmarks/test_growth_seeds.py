"""Memory over the seeds of a run: its rows, and that memory which is kept is seen."""

import json

import pytest

from benchmarks import growth_seeds, page


def test_rows_are_at_round_numbers_of_seeds():
    assert growth_seeds.marks(20) == [1, 2, 5, 10, 20]
    assert growth_seeds.marks(7) == [1, 2, 5, 7] and growth_seeds.marks(1) == [1]


def test_memory_that_is_kept_is_seen_at_the_next_file(tmp_path):
    watch = growth_seeds.Watch(tmp_path, '*.json')
    watch.start()
    held = []
    for number in range(3):
        held.append(bytearray(b'x') * 2**26)
        (tmp_path / f'{number}.json').touch()
        while number + 1 not in watch.most:
            assert watch.is_alive()
    watch.end()
    assert sorted(watch.most) == [0, 1, 2, 3]
    assert watch.most[3] - watch.most[1] >= 2 * 2**26 - 2**22 and len(held) == 3


def test_a_run_has_rows_in_the_file_and_on_the_page(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(growth_seeds, 'DONE', {'run': growth_seeds.DONE['run']})
    growth_seeds.main(['--seeds=1', f'--out={tmp_path}/deep/growth_seeds.json'])
    record = json.loads((tmp_path / 'deep/growth_seeds.json').read_text())
    (row,) = record['rows']
    assert (row['what'], row['seeds']) == ('run', 1) and row['memory'] > 2**26
    assert '1 seeds' in capsys.readouterr().out
    assert f'| run | 1 | {row["memory"] / 2**20:,.0f} |' in page.TABLES['growth_seeds'](record)


def test_no_seed_is_refused(capsys):
    with pytest.raises(SystemExit):
        growth_seeds.main(['--seeds=0'])
    assert '1 or more' in capsys.readouterr().err
