"""The benchmark beside other tools: what both sides get, when a side ends, the record and its table."""

import contextlib
import json
import os
import sys
import time
import zipfile

import numpy as np
import pytest
from PIL import Image

from benchmarks import cases, page, users

(CASE,) = cases.chosen(['simclr_example'])
SIDE = """
import json, subprocess, sys, time
child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])
open(sys.argv[1] + '.pid', 'w').write(str(child.pid))
for step in range(1, 200):
    with open(sys.argv[1], 'a') as f:
        f.write(json.dumps({'step': 10 * step, 'train/loss': 1.0}) + '\\n')
        if step == 5 and sys.argv[2]:
            f.write(json.dumps({'step': 50, 'val/knn': 0.25}) + '\\n')
    time.sleep(0.05)
"""


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / 'x.zip'
    with zipfile.ZipFile(path, 'w') as zipped:
        for split, count in (('train', 6), ('test', 5)):
            for i in range(2 * count):
                image = Image.fromarray(np.random.default_rng(i).integers(0, 256, (8, 8, 3), np.uint8))
                image.save(tmp_path / 'one.png')
                zipped.write(tmp_path / 'one.png', f'{split}/{"ab"[i % 2]}/{i}.png')
    return str(path)


def side(tmp_path, metric=''):
    command = [sys.executable, '-c', SIDE, str(tmp_path / 'rows'), metric]
    return users.Side(command, tmp_path / 'rows', tmp_path, {})


def gone(pid: int) -> bool:
    """Whether a process has ended, within a minute."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with open(f'/proc/{pid}/stat') as f:
                if f.read().rpartition(')')[2].split()[0] == 'Z':
                    return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


def test_both_sides_get_the_same_files_and_labels(archive, tmp_path):
    root = tmp_path / 'laid'
    users.lay(archive, root, 2)
    found = {split: len(list((root / split).rglob('*.png'))) for split in ('train', 'val', 'test')}
    assert found == {'train': 12, 'val': 5, 'test': 5}
    names = (root / 'labels.txt').read_text().split()
    assert len(names) == 4 and all((root / name).is_file() for name in names)
    assert {name.split('/')[1] for name in names} == {'a', 'b'}
    users.lay('/nowhere.zip', root, 2)  # what is there is taken


def test_images_without_a_split_to_evaluate_on_are_refused(archive, tmp_path):
    with zipfile.ZipFile(archive) as zipped:
        zipped.extractall(tmp_path / 'all')
    with pytest.raises(ValueError, match='val or test'):
        users.lay(str(tmp_path / 'all' / 'train'), tmp_path / 'laid', 2)


def test_a_rate_is_counted_from_the_first_row_and_all_processes_end(tmp_path):
    marks, value = side(tmp_path).follow('', 0.4)
    assert value is None and marks[0][1] == 10 and marks[-1][0] - marks[0][0] < 5
    rate = users.rate_of(CASE, [[7.0, 10], [8.0, 20], [9.0, 30]])
    assert rate == {'start': 7.0, 'images_s': 128 * 20 / 2.0, 'steps': 20, 'seconds': 2.0}
    assert gone(int((tmp_path / 'rows.pid').read_text()))


def test_a_run_ends_when_its_metric_is_there(tmp_path):
    marks, value = side(tmp_path, 'x').follow('val/knn')
    assert value == 0.25 and marks[-1][1] == 50
    assert users.reached(CASE, marks, value)['images'] == 50 * 128


def test_a_side_that_ends_says_why(tmp_path):
    command = [sys.executable, '-c', 'raise ValueError("no weights")']
    with pytest.raises(RuntimeError, match='no weights'):
        users.Side(command, tmp_path / 'rows', tmp_path, {}).follow('', 1.0)


def test_networks_of_another_size_are_refused():
    users.same_size(CASE, {'backbone': 10000, 'head': 100}, {'backbone': 10009, 'head': 100})
    for theirs in ({'backbone': 10011, 'head': 100}, {'backbone': 10000}, {'backbone': 10000, 'head': 100, 'more': 1}):
        with pytest.raises(RuntimeError, match='parameters'):
            users.same_size(CASE, {'backbone': 10000, 'head': 100}, theirs)


@pytest.mark.parametrize('case', cases.CASES, ids=lambda case: case.name)
def test_our_side_is_a_valid_run_of_the_published_network(case):
    """Counted by hand: torchvision's ResNet-18 without its last layer (lightly's stem has 3 x 3 x 3 x 64 weights in
    place of 7 x 7 x 3 x 64), WRN-28-2 without semilearn's bias."""
    known = {'simclr_cifar_stem': 11_176_512 - 64 * 3 * (49 - 9), 'fixmatch': 1_466_320}
    found = users.our_parameters(case)
    assert found.pop('backbone') == known.get(case.name, 11_176_512)
    head = {'simclr': 512 * 512 + 2 * 512 + 512 * 128, 'fixmatch': 1290, 'finetune': 5130}
    assert list(found.values()) == [head[case.name.split('_')[0]]]


@pytest.mark.parametrize(
    'arguments, says',
    [
        (['--part=speed'], "--part has 'speed'"),
        (['--rounds=0'], 'must be above 0'),
        (['fixmatsh'], "did you mean 'fixmatch'"),
        (['--images=/nowhere'], 'no such folder'),
        (['--peer=/nowhere/python'], 'cannot be started'),
        (['--peer=' + sys.executable, 'fixmatch'], 'does not have semilearn'),
    ],
)
def test_a_wrong_command_line_says_what_is_wrong(arguments, says, archive, capsys):
    with pytest.raises(SystemExit):
        users.main([f'--images={archive}', f'--peer={sys.executable}', *arguments])
    assert says in capsys.readouterr().err


def test_parts_are_measured_one_at_a_time_and_kept(archive, tmp_path, monkeypatch):
    """Ours is three times the tool, which is faster in channels_last by a half."""
    monkeypatch.setattr(users, 'lacks', lambda python, tool: '')
    monkeypatch.setattr(users, 'our_parameters', lambda case: {'backbone': 5})
    monkeypatch.setattr(users, 'begin', lambda name, argv: {'date': 'today', 'command': name})
    begun = []

    class Fake:
        def __init__(self, place, images_s, metric=None):
            self.rate, self.metric = images_s, metric
            about = {'parameters': {'backbone': 5}, 'threads': 2, 'lightly': '1'}
            (place / 'about.json').write_text(json.dumps(about))

        def follow(self, metric, seconds=0.0):
            each = 10 * CASE.batch / self.rate
            return [[1 + i * each, 10 * (i + 1)] for i in range(4)], self.metric

    def ours(case, root, place, steps=users.ENDLESS, plain=False):
        begun.append(steps)
        return Fake(place, 600.0 if plain else 300.0, 0.5)

    def peer(case, root, place, python, form, seconds=float('inf'), only=''):
        begun.append(seconds)
        alone = {'': 150.0 if form[1] else 100.0 if form[0] else 80.0, 'loader': 400.0, 'network': 200.0}
        return Fake(place, alone[only], 0.4)

    monkeypatch.setattr(users, 'ours', ours)
    monkeypatch.setattr(users, 'peer', peer)
    out = tmp_path / 'users.json'
    line = [f'--images={archive}', '--peer=x', f'--place={tmp_path}', f'--out={out}', 'simclr_example', '--rounds=2']
    with pytest.raises(SystemExit):
        users.main([*line, '--part=rate'])
    for part in users.PARTS:
        users.main([*line, f'--part={part}', '--minutes=1'])
    for part, minutes in (('peer', 3), ('ours', 2.5), ('peer', 2.5)):
        with pytest.raises(SystemExit) if minutes == 3 else contextlib.nullcontext():
            users.main([*line, f'--part={part}', f'--minutes={minutes}'])
    record = json.loads(out.read_text())
    (row,) = record['rows']
    dated = ('trial', 'rate', 'bounds', 'ours 1', 'peer 1', 'ours 2.5', 'peer 2.5')
    assert record['command'] == 'users' and row['dates'] == dict.fromkeys(dated, 'today')
    assert [form['images_s'] for form in row['trial']['forms']] == pytest.approx([80, 100, 150, 150])
    assert row['rate']['peer']['workers'] == 2 and row['rate']['ratio']['median'] == pytest.approx(3)
    assert row['rate']['tuned']['channels_last'] and row['rate']['ratio_tuned']['median'] == pytest.approx(2)
    assert begun[-4] == 5 * (1 + int(59 * 300 / 128 / 5))  # a minute of ours, in whole rows
    assert begun[-3] == row['ours']['1']['seconds'] and row['ours']['1']['value'] == 0.5
    assert row['peer']['1']['value'] == 0.4 and row['ours'].keys() == row['peer'].keys() == {'1', '2.5'}
    assert row['bounds'] == pytest.approx({'loader': 400, 'network': 200, 'plain': 600})
    table = page.users(record)
    assert '| simclr_example | 600 | 400 | 200 |' in table
    assert '300.0 (300.0 to 300.0)' in table and '3.00 (3.00 to 3.00)' in table
    assert table.count('| 50.00 | 40.00 |') == 2
    assert os.path.exists(tmp_path / 'x_400' / 'labels.txt')
