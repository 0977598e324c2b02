"""Memory over the seeds of a run: its rows, and that memory which is kept is seen."""

import json
import mmap
import time

import pytest

from benchmarks import growth_seeds, page
from ssljax.settings import checks


def test_rows_are_at_round_numbers_of_seeds():
    assert growth_seeds.marks(20) == [1, 2, 5, 10, 20]
    assert growth_seeds.marks(7) == [1, 2, 5, 7] and growth_seeds.marks(1) == [1]


def test_memory_that_is_kept_is_seen_at_the_next_file(tmp_path, monkeypatch):
    held = []
    monkeypatch.setattr(growth_seeds, 'resident', lambda: sum(held))
    watch = growth_seeds.Watch(tmp_path, '*.json')
    watch.start()
    for number, memory in enumerate((7, 5, -3, 4)):
        wait(watch, number)
        held.append(memory)
        (tmp_path / f'{number}.json').touch()
    wait(watch, 4)
    watch.end()
    assert watch.most == {0: 0, 1: 7, 2: 12, 3: 12, 4: 13}


def wait(watch, number):
    """Until the watch has seen so many files."""
    while number not in watch.most:
        assert watch.is_alive()
        time.sleep(0.001)


def test_memory_of_this_process_has_what_it_writes_to():
    before = growth_seeds.resident()
    with mmap.mmap(-1, 2**28) as held:  # new pages: what an allocator gives may have been in this process before
        for at in range(0, len(held), mmap.PAGESIZE):
            held[at] = 1
        # Earlier tests' memory may be given back meanwhile, but hardly half as much.
        assert growth_seeds.resident() - before >= len(held) // 2


def test_rows_of_a_run_and_a_study_are_in_the_file_and_on_the_page(tmp_path, monkeypatch, capsys):
    rows = lambda what, seeds: [{'what': what, 'seeds': n, 'memory': 2**30 + n * 2**20} for n in (1, seeds)]
    monkeypatch.setattr(growth_seeds, 'measure', rows)
    monkeypatch.setattr(growth_seeds, 'begin', lambda *_: {})
    growth_seeds.main(['--seeds=5', f'--out={tmp_path}/deep/growth_seeds.json'])
    record = json.loads((tmp_path / 'deep/growth_seeds.json').read_text())
    assert record['rows'] == rows('run', 5) + rows('study', 5)
    assert '5 seeds   1,029 MiB' in capsys.readouterr().out
    assert '| study | 5 | 1,029 |' in page.TABLES['growth_seeds'](record)


@pytest.mark.parametrize('what', growth_seeds.DONE)
def test_what_is_trained_can_be(what):
    config = growth_seeds.config_of(what, 3)
    checks.check(config)
    assert config.seeds == (0, 1, 2) and 'finetune' in config.transfer.ways


def test_no_seed_is_refused(capsys):
    with pytest.raises(SystemExit):
        growth_seeds.main(['--seeds=0'])
    assert '1 or more' in capsys.readouterr().err
