"""The quick benchmark: what has fallen by a fifth is told, of made-up records; nothing is timed here."""

import importlib.machinery
import importlib.util

import numpy as np
import pytest
from PIL import Image

from benchmarks import quick
from ssljax.storage import files

ABOUT = {'hardware': {'device': 'a', 'host_cores': 2}}


@pytest.fixture
def results(tmp_path):
    """Records with the ratios 1.0 of two steps and 40 and 4 of two paths, and rows that do not count."""
    ratio = lambda median: {'median': median, 'least': 0.1, 'largest': 99.0}
    both = lambda later: {'first_epoch': ratio(7.0), 'later': ratio(later)}
    rows = [{'name': name, 'dtype': 'float32', 'ratio': ratio(1.0)} for name in ('mae_vit', 'rotation_nin')]
    rows += [{'name': 'mae_vit', 'dtype': 'bfloat16', 'ratio': ratio(5.0)}, {'name': 'x', 'dtype': 'float32'}]
    files.write_json(tmp_path / 'steps.json', ABOUT | {'rows': rows})
    rows = [{'data': 'cifar', 'path': path, 'ratio': both(at)} for path, at in (('resident', 40.0), ('zip', 4.0))]
    rows += [{'data': 'photos', 'path': 'zip', 'ratio': both(1.2)}, {'data': 'cifar', 'path': 'torch, 2 workers'}]
    files.write_json(tmp_path / 'input.json', ABOUT | {'rows': rows})
    return tmp_path


@pytest.fixture
def main(results, monkeypatch):
    """(argv, *what each measurement finds) -> the exit code."""
    monkeypatch.setattr(quick, 'begin', lambda *_: dict(ABOUT))
    monkeypatch.setattr(quick, 'recorded', lambda read=quick.recorded: read(results))
    spec = importlib.machinery.ModuleSpec('torch', None)
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: spec)

    def run(argv, *found):
        found = iter(found)
        monkeypatch.setattr(quick, 'measured', lambda names, **_: {name: next(found)[name] for name in names})
        return quick.main(argv)

    return run


def test_records_give_the_ratios_that_the_readme_states(results):
    found, machine = quick.recorded(results)
    assert found == {'step mae_vit': 1.0, 'step rotation_nin': 1.0, 'input resident': 40.0, 'input zip': 4.0}
    assert machine == 'a, 2 cores'


def test_the_records_of_this_repository_have_a_ratio_for_each_name():
    found, _ = quick.recorded()
    assert len(found) == 8 + len(quick.PATHS) and all(ratio > 0 for ratio in found.values())


def test_records_without_ratios_are_told(tmp_path):
    with pytest.raises(ValueError, match='benchmarks.steps --peer=torch'):
        quick.recorded(tmp_path)


@pytest.mark.parametrize('here, fallen', ((0.79, True), (0.81, False), (1.3, False)))
@pytest.mark.parametrize('unit', (1.0, 40.0))
def test_fallen_is_a_fifth_and_more(here, fallen, unit):
    assert quick.Row('x', here * unit, unit).fallen == fallen
    assert not quick.Row('x', here, None).fallen


def test_a_ratio_that_fell_twice_is_told_with_both_figures(main, capsys):
    argv = ['--only=step mae_vit,step rotation_nin']
    first = {'step mae_vit': 0.7, 'step rotation_nin': 0.9}
    assert main(argv, first, first, {'step mae_vit': 0.75}) == 1
    said = capsys.readouterr()
    assert '1 of 2' in said.err and 'step mae_vit from 1.00 to 0.75' in said.err and 'rotation_nin from' not in said.err
    assert said.out.count('FALLEN') == 1


def test_a_disturbance_is_measured_again_and_forgiven(main, capsys):
    assert main(['--only=input zip'], {'input zip': 1.0}, {'input zip': 3.9}) == 0
    said = capsys.readouterr()
    assert 'measured once more, for it was slow: input zip' in said.err and 'FALLEN' not in said.out


def test_what_has_no_record_fails_nothing(main, capsys, tmp_path):
    out = tmp_path / 'quick.json'
    assert main(['--only=input folder', f'--out={out}'], {'input folder': 0.01}) == 0
    assert files.read_json(out)['rows'] == [{'name': 'input folder', 'here': 0.01, 'record': None, 'fallen': False}]


@pytest.mark.parametrize(
    'argv, says',
    (
        (['--only=step mae_vi'], "did you mean 'step mae_vit'"),
        (['--rounds=0'], '1 or more'),
        (['--cifar=nowhere.zip'], 'no such folder or archive'),
    ),
)
def test_a_wrong_command_line_is_told_what_to_do(main, argv, says, capsys):
    with pytest.raises(SystemExit):
        main(argv)
    assert says in capsys.readouterr().err


def test_without_pytorch_it_says_how_to_get_it(main, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(SystemExit):
        main([])
    assert 'make bench-quick' in capsys.readouterr().err


def test_pieces_of_photographs_are_training_images_of_two_classes(tmp_path):
    found = sorted(quick.pieces(tmp_path / 'p', 8).rglob('*.jpg'))
    assert len(found) == 8 and {path.parent.name for path in found} == {'photo0', 'photo1'}
    pictures = [np.asarray(Image.open(path)) for path in found]
    assert {picture.shape for picture in pictures} == {(32, 32, 3)} and min(map(np.ptp, pictures)) > 0
