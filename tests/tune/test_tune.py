"""A whole tuning, and the run after it."""

import importlib.util
import json

import pytest

import ssljax
from ssljax import config as configs
from ssljax import tune
from ssljax.data import sources
from ssljax.processes import preempt
from ssljax.settings import checks
from ssljax.tune import phases


class Sealed:
    """A test split that may not be looked at."""

    def __getattr__(self, name):
        raise AssertionError(f'the test split was asked for {name}')

    def __len__(self):
        raise AssertionError('the test split was counted')


@pytest.fixture
def digits(config):
    """Digits, 100 labels, from scratch, in seconds."""
    config.data.update(source='digits', labels='100', val='200')
    config.pretrain.method = 'none'
    config.transfer.ways = ('scratch',)
    config.transfer.pool = 'flatten'
    config.transfer.scratch.update(steps=60, evals=5)
    config.backbone.update(name='mlp', width=32, depth=2, norm='none')
    config.evaluate.update(knn=0, probe=False)
    config.tune = True
    config.tuning.update(minutes=5.0, trials=4)  # however slow the machine is, all is tried, and no more
    return config


def recipe(path):
    spec = importlib.util.spec_from_file_location('tuned', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config()


def test_a_run_tunes_itself_once_and_the_recipe_repeats_it(digits, tmp_path, capsys, monkeypatch):
    result = ssljax.train(digits, tmp_path / 'a')
    record = json.loads((tmp_path / 'a/tuning/decisions.json').read_text())
    decisions = {d['field']: d for d in record['decisions']}
    assert {'transfer.batch_size', 'transfer.scratch.optim.lr', 'transfer.augment', 'transfer.scratch.steps',
            'transfer.scratch.patience', 'transfer.scratch.optim.weight_decay'} <= set(decisions)  # fmt: skip
    for d in decisions.values():
        assert d['why'] and d['seconds'] >= 0
        if d['plot']:
            sizes = {len(v) for v in d['plot']['series'].values()}
            assert sizes == {len(d['plot']['x'])}
    assert record['trials'] > 0
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith('tuning scratch: ')]
    assert {line.split()[2] for line in said} == set(decisions)
    assert not (tmp_path / 'a/tuning/trials').exists()

    again = recipe(tmp_path / 'a/tuning/tuned.py')
    assert not again.tune and configs.differences(
        {d['field']: d['value'] for d in record['decisions']},
        {field: tune.decision.get(again, field) for field in decisions},
    ) == []  # fmt: skip
    by_recipe = ssljax.train(again, tmp_path / 'b')
    assert by_recipe['seeds'][0]['ways']['scratch']['test'] == result['seeds'][0]['ways']['scratch']['test']

    monkeypatch.setattr(phases, 'decide', lambda *_: pytest.fail('tuned again'))
    assert ssljax.train(digits, tmp_path / 'a')['summary'] == result['summary']


def test_tuning_does_not_open_the_test_split(digits, tmp_path, monkeypatch):
    digits.transfer.ways = ('sgan',)
    digits.semi.update(epochs=2.0, batch_size=32, evals=5)
    digits.semi.sgan.update(noise=4, width=4)
    load = sources.load
    monkeypatch.setattr(sources, 'load', lambda config: load(config)._replace(test=Sealed()))
    tune.run(digits, tmp_path)
    record = json.loads((tmp_path / 'tuning/decisions.json').read_text())
    fields = [d['field'] for d in record['decisions']]
    assert len(fields) == len(set(fields))
    wanted = {'semi.optim.lr', 'semi.sgan.unlabeled', 'semi.labeled_batch_size', 'semi.steps', 'transfer.augment'}
    assert wanted <= set(fields)
    checks.check(recipe(tmp_path / 'tuning/tuned.py'))
    with pytest.raises(AssertionError, match='test split'):  # what follows tuning opens it
        ssljax.train(recipe(tmp_path / 'tuning/tuned.py'), tmp_path / 'after')


def test_a_signal_ends_tuning_and_leaves_nothing_behind(digits, tmp_path, monkeypatch):
    asked = iter([False] * 40 + [True] * 10**6)
    monkeypatch.setattr(preempt, 'asked', lambda: next(asked))
    with pytest.raises(preempt.Preempted):
        tune.run(digits, tmp_path)
    assert not (tmp_path / 'tuning/decisions.json').exists() and not (tmp_path / 'tuning/trials').exists()


@pytest.mark.parametrize('field, value', [('minutes', 0.0), ('eta', 1), ('decide', ('rte',))])
def test_what_check_refuses(digits, field, value):
    digits.tuning[field] = value
    with pytest.raises(ValueError, match='tuning.' + field):
        checks.check(digits)


def test_the_ways_as_they_were_given_run_beside_the_tuned_ones(digits):
    digits.transfer.ways = ('scratch', 'fixmatch', 'random_frozen')
    made = [
        {'field': 'transfer.augment', 'before': '', 'value': 'crop(1)'},
        {'field': 'transfer.scratch.optim.lr', 'before': 0.05, 'value': 0.2},
        {'field': 'transfer.batch_size', 'before': 64, 'value': 64},
        {'field': 'semi.fixmatch.threshold', 'before': 0.95, 'value': 0.8},
    ]
    new = tune.decided(digits, made)
    assert new.transfer.ways == ('scratch', 'scratch_untuned', 'fixmatch', 'fixmatch_untuned', 'random_frozen')
    assert new.variants == (
        ('scratch_untuned', 'scratch', (('transfer.augment', ''), ('transfer.scratch.optim.lr', 0.05))),
        ('fixmatch_untuned', 'fixmatch', (('transfer.augment', ''), ('semi.fixmatch.threshold', 0.95))),
    )
    checks.check(new)
    digits.tuning.compare = False
    assert tune.decided(digits, made).variants == () and tune.decided(digits, made).transfer.augment == 'crop(1)'
