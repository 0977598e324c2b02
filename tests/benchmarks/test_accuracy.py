"""Time to a stated accuracy: the goals are runs that exist; one is reached, one is not."""

import json
import runpy

import pytest

from benchmarks import accuracy, goals
from benchmarks.worker import ROOT
from ssljax import config as configs
from ssljax.settings import checks

TINY = goals.Goal(
    name='tiny', recipe='configs/quickstart.py', data='synthetic', stage='pretrain', section='pretrain',
    metric='val/knn', value=0.1, steps=8, evals=2, measure='', published='', source='',
    fields={'data.source': 'synthetic:8x8x1:3', 'data.val': '60', 'pretrain.batch_size': 16},
)  # fmt: skip


@pytest.mark.parametrize('name', goals.GOALS)
def test_a_goal_is_a_run_that_the_command_accepts(name):
    goal = goals.GOALS[name]
    path, _, argument = goal.recipe.partition(':')
    config = runpy.run_path(ROOT / path)['get_config'](*([argument] if argument else []))
    flags = dict(flag.removeprefix('--config.').split('=', 1) for flag in goal.flags(3)[1:])
    assert flags.keys() <= set(configs.field_names(config)) and flags['seeds'] == '(3,)'
    config.update_from_flattened_dict(goal.fields | {f'{goal.section}.epochs': 0.0, f'{goal.section}.steps': 1})
    checks.check(config)
    assert goal.steps == goal.every * goal.evals
    assert goal.every % (config.steps_per_call or 10) == 0  # else a line of training would not precede an evaluation


def test_time_runs_to_the_evaluation_that_reaches_the_goal(tmp_path, monkeypatch, capsys):
    shown = []

    def one_more(path, read=accuracy.log.read):
        """However many rows were written since, a look finds one: time passes between that of training and the next."""
        shown.extend(read(path)[len(shown) :][:1])
        return list(shown)

    monkeypatch.setattr(accuracy.log, 'read', one_more)
    monkeypatch.setitem(goals.GOALS, 'tiny', TINY)
    out = tmp_path / 'deep' / 'accuracy.json'
    accuracy.main(['tiny', f'--out={out}'])
    record = json.loads(out.read_text())
    (row,) = record['rows']
    (seed,) = row['seeds']
    assert seed['reached'] and seed['step'] == 4 and len(seed['curve']) == 1  # ended there
    assert 0 < seed['evaluations'] < seed['seconds'] == row['seconds']
    assert {'hardware', 'versions', 'date', 'command'} <= record.keys()
    assert 'tiny' in capsys.readouterr().out


def test_of_two_evaluations_that_are_found_together_the_first_that_reaches_the_goal_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(
        accuracy.log, 'read', lambda path, read=accuracy.log.read: rows if len(rows := read(path)) == 4 else []
    )
    seed = accuracy.reach(TINY, 0, workdir=tmp_path)
    assert seed['reached'] and seed['step'] == 4 and len(seed['curve']) == 1


def test_what_is_not_reached_says_so_with_the_best(tmp_path):
    goal = TINY._replace(value=1.01)
    seed = accuracy.reach(goal, 0, workdir=tmp_path)
    assert not seed['reached'] and [point[1] for point in seed['curve']] == [4, 8]
    assert seed['best'] == max(point[2] for point in seed['curve'])
    assert accuracy.row(goal, [seed])['seconds'] is None
    assert 'not reached in 8 steps; best' in accuracy.line(goal, seed)


def test_a_run_that_ends_is_named(tmp_path):
    with pytest.raises(RuntimeError, match='tiny ended with code 1'):
        accuracy.reach(TINY, 0, 'npz:/nowhere.npz', tmp_path)


@pytest.mark.parametrize(
    'names, source, says',
    ((['simclr_fashon'], '', "did you mean 'simclr_fashion'"), (['simclr_fashion', 'simclr_resnet18'], 'npz:x', 'one')),
)
def test_a_wrong_choice_is_told_what_to_do(names, source, says):
    with pytest.raises(ValueError, match=says):
        goals.chosen(names, False, source)
