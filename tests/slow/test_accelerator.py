"""launch/accelerator.py: a list of runs in pieces of seconds, each on a machine of which only what is carried stays."""

import shutil

from ssljax.storage import files
from tests.command import run
from tests.launch import test_accelerator

accelerator, places = test_accelerator.accelerator, test_accelerator.places


def test_items_go_on_where_they_were_stopped_and_end_as_one_that_was_not(places, tmp_path, monkeypatch, capsys):
    whole = tmp_path / 'whole'
    assert run(whole).returncode == 0
    codes, pieces = [], 0
    while 0 not in codes and pieces < 60:
        codes.append(accelerator.main([*places, f'--minutes={(2 + 4 * pieces) / 60}']))
        shutil.rmtree(tmp_path / 'work')  # another machine
        pieces += 1
    assert set(codes) == {0, 75} and codes[-1] == 0, codes
    accelerator.unpack(tmp_path / 'carry', tmp_path / 'work')
    measured = files.read_json(whole / 'result.json')['summary']['frozen']['top1']['mean']
    assert files.read_json(tmp_path / 'work/first/result.json')['summary']['frozen']['top1']['mean'] == measured
    said = capsys.readouterr().out
    assert 'first            begun' in said and f'first            frozen {100 * measured:.2f}%' in said
