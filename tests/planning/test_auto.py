"""`--config=auto` from end to end, with speeds that are made up and few steps."""

import json
import math
from pathlib import Path

import pytest
from made_up import times

import ssljax
from ssljax import main
from ssljax.planning import again, budget, measure
from ssljax.processes import preempt
from ssljax.progress import minutes
from ssljax.settings import recipes


@pytest.fixture
def short(monkeypatch):
    """Plans of two seeds and a few steps, for which there is time, however slow the machine is."""
    monkeypatch.setattr(measure, 'times', times)
    monkeypatch.setattr(minutes, 'left', lambda *_: math.inf)
    monkeypatch.setattr(budget, 'LADDER', (budget.Rung(2, 4, 1, (0.5,)),))


def asked(minutes=4.0, **fields):
    given = dict(data__source='synthetic:8x8x1:3', data__labels='8/class') | fields
    config = ssljax.recipe('auto', **given)
    config.plan.minutes = minutes
    return config


def test_auto_plans_trains_and_answers_and_goes_on_with_its_plan(short, tmp_path, capsys, monkeypatch):
    train, trained = again._train, []

    def interrupted(*args):
        trained.append(args)
        if len(trained) == 2:
            raise preempt.Preempted
        return train(*args)

    monkeypatch.setattr(again, '_train', interrupted)
    with pytest.raises(preempt.Preempted):  # in the second training of the learning curve
        ssljax.train(asked(), tmp_path / 'run')
    found = ssljax.train(asked(), tmp_path / 'run')
    assert len(trained) == 3  # the first one is not done again
    said = found['answer']
    assert list(said['ways']) == ['finetune'] and said['ways']['finetune']['verdict'] == 'too few'
    assert [p['labels'] for p in said['curve']['points']] == [12, 24] and len(said['curve']['more']) == 2
    out = capsys.readouterr().out
    assert all(sentence in out for sentence in said['sentences']) and 'data.image_size' in out
    planned = json.loads((tmp_path / 'run/plan.json').read_text())
    assert planned['asked']['data.source'] == 'synthetic:8x8x1:3' and planned['config']['data']['labels'] == '8/class'
    config = recipes.module_of(str(tmp_path / 'run/plan.py')).get_config()
    assert config.seeds == (0, 1) and config.plan.minutes == 0 and config.transfer.ways == ('scratch', 'finetune')

    stage = tmp_path / 'run/curve/12/seed0/seed0/scratch/done.json'
    before = stage.stat().st_mtime_ns
    repeated = ssljax.train(asked(), tmp_path / 'run')
    assert stage.stat().st_mtime_ns == before and repeated['answer'] == said
    page = (tmp_path / 'run/report.html').read_text()
    assert said['sentences'][0].split(':')[0] in page
    for other, why in ((asked(9.0), 'minutes: 4.0 -> 9.0'), (asked(data__labels='5/class'), "'8/class' -> '5/class'")):
        with pytest.raises(ValueError, match='holds a plan for something else .*' + why):
            ssljax.train(other, tmp_path / 'run')


def test_a_run_without_a_plan_is_not_taken_for_one(short, tmp_path):
    (tmp_path / 'seed0/scratch/model/0').mkdir(parents=True)
    with pytest.raises(ValueError, match='holds a run that was not planned'):
        ssljax.train(asked(), tmp_path)


def test_the_command_line_gives_minutes_flips_and_fields(monkeypatch):
    config = ssljax.recipe('auto')
    monkeypatch.setattr(main, '_CONFIG', type('Flag', (), {'value': config}))
    rest, values = main.arguments.separate(
        main.arguments.spelled(['--config=auto', '--minutes=2.5', '--flips=no', '--config.data.source=digits'])
    )
    main._set(config, values, 'auto')
    assert rest == ['--config=auto'] and (config.plan.minutes, config.plan.flips) == (2.5, 'no')
    assert config.plan.given == ('data.source',)
    with pytest.raises(SystemExit):
        main._set(ssljax.recipe('quickstart'), values, 'quickstart')


def verb():
    """The module ssljax.plan, whose name in the package is that of a function."""
    return recipes.module_of(str(Path(ssljax.__file__).with_name('plan.py')))


def test_the_verb_writes_a_recipe_and_never_over_another_file(short, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = verb().main
    assert command(['digits', '--minutes=4', '--config.data.labels=50', '--out=mine.py']) == 0
    out = capsys.readouterr().out
    assert 'Recipe: mine.py (ssljax train --config=mine.py)' in out and 'Planned time' in out
    config = recipes.module_of('mine.py').get_config()
    assert (config.data.source, config.data.labels, config.name) == ('digits', '50', 'digits')
    assert 'flip' not in config.transfer.augment
    with pytest.raises(FileExistsError, match='a plan overwrites nothing'):
        command(['digits', '--out=mine.py'])
    with pytest.raises(ValueError, match='is not a Python file'):
        command(['digits', '--out=mine.txt'])
