"""Tuning from a rate with which nothing trains, and with too little time."""

import time
from types import SimpleNamespace

import pytest

import ssljax
from ssljax import tune
from ssljax.data import sources
from ssljax.tune import batch_size, decision, duration, phases, progress, rate, search
from ssljax.tune.bench import Outcome
from ssljax.tune.decision import changed

LR = 'transfer.scratch.optim.lr'


@pytest.fixture
def digits(config):
    config.data.update(source='digits', labels='100', val='200')
    config.pretrain.method = 'none'
    config.transfer.ways = ('scratch',)
    config.transfer.pool = 'flatten'
    config.transfer.scratch.update(steps=60, evals=5, patience=4)
    config.backbone.update(name='mlp', width=32, depth=2, norm='none')
    config.evaluate.update(knn=0, probe=False, figures=False)
    config.tune = True
    return config


class Known:
    """A bench whose trials cost no time: what a rate gives is known."""

    def __init__(self, good, slow=0.0):
        self.good, self.slow, self.tried = good, slow, []

    def train(self, way, config, steps):
        lr = decision.get(config, LR)
        self.tried.append(lr)
        value = None if lr > self.good[1] else 0.8 if lr >= self.good[0] else 0.1
        return Outcome(value, '' if value else 'diverged', (), 1.0, 0.0)

    def chance(self):
        return 0.15

    def own_steps(self, way, config):
        return 60

    def steps_in(self, way, config, seconds):
        return 60

    def seconds_of(self, way, config, steps, *_):
        return self.slow

    def error(self, value):
        return 0.02


@pytest.mark.parametrize('given', [1e12, 100.0, 1e3, 1e-2, 1e-8, 1e-12])
@pytest.mark.parametrize('good', [(1e-3, 1e-2), (0.03, 0.5), (1.0, 5.0)])
def test_a_rate_that_trains_is_found_from_any_other(digits, given, good):
    bench = Known(good)
    (found,) = rate.decide(bench, 'scratch', changed(digits, {LR: given}), 'transfer.scratch', time.time() + 600)
    assert good[0] <= found.value <= good[1] and found.before == given
    assert len(bench.tried) <= 18


def test_where_no_rate_is_better_than_chance_the_given_one_stays(digits):
    bench = Known((50.0, 60.0))
    (found,) = rate.decide(bench, 'scratch', digits, 'transfer.scratch', time.time() + 600)
    assert found.value == found.before == 0.05 and 'better than chance' in found.why
    (found,) = rate.decide(Known((0.01, 0.1), 1e9), 'scratch', digits, 'transfer.scratch', time.time() + 600)
    assert found.value == 0.05 and found.why == 'not decided: no time'


@pytest.mark.parametrize('given', [100.0, 1e3, 1e-8])
def test_a_tuned_run_trains_from_a_bad_rate(digits, tmp_path, given, capsys, monkeypatch):
    monkeypatch.setattr(progress, 'EVERY', 0.0)
    digits.transfer.scratch.optim.lr = given
    digits.tuning.update(decide=('rate',), minutes=5.0, compare=False)
    tuned = tune.tuned(digits, tmp_path, sources.load(digits.data))
    assert tuned.transfer.scratch.patience == 4
    assert 1e-3 < tuned.transfer.scratch.optim.lr < 10
    tuned.tune = False
    result = ssljax.train(tuned, tmp_path / 'run')
    assert result['seeds'][0]['ways']['scratch']['val']['top1'] > 0.3
    said = capsys.readouterr().err.splitlines()
    assert any('trial' in line and ' of 5:00' in line and 'optim.lr=' in line for line in said)


def test_a_budget_in_which_nothing_can_be_tried_is_refused(digits, tmp_path):
    digits.tuning.minutes = 1e-6
    with pytest.raises(ValueError, match='too short to try anything.*tuning.minutes=[0-9.]+ or more'):
        tune.tuned(digits, tmp_path, sources.load(digits.data))
    assert not (tmp_path / 'tuning/decisions.json').exists() and not (tmp_path / 'tuning/trials').exists()


def test_what_there_was_no_time_for_stays_and_says_so(digits, tmp_path):
    digits.transfer.scratch.update(steps=0, epochs=7.0)
    bench = phases.make_bench(digits, tmp_path, sources.load(digits.data), tmp_path / 'trials', time.time() + 300)
    bench.fixed[True], now = 1e4, time.time()
    found = [
        *batch_size.decide(bench, 'scratch', digits, now + 60),
        *search.decide(bench, 'scratch', digits, 'transfer.scratch', now + 60)[0],
        *duration.without('transfer.scratch', digits.transfer.scratch, 60, 3, {}, bench),
    ]
    assert {'transfer.batch_size', 'transfer.augment', 'transfer.scratch.steps', 'transfer.scratch.patience'} <= {
        d.field for d in found
    }
    assert all(d.value == d.before and d.why.startswith('not decided: no time') for d in found) and not bench.trials
    assert tune.decided(digits, [d._asdict() for d in found]).transfer.scratch.epochs == 7.0


def test_a_trial_that_diverges_tells_the_speed(digits, tmp_path):
    bench = phases.make_bench(digits, tmp_path, sources.load(digits.data), tmp_path / 'trials', time.time() + 300)
    out = bench.train('scratch', changed(digits, {LR: 1e20}), 40)
    assert out.failed == 'diverged' and bench.speed('scratch', digits) > 0 and bench.fixed[True] > 0


def test_lines_of_progress(digits, capsys, monkeypatch):
    monkeypatch.setattr(progress, 'time', SimpleNamespace(time=lambda: 1000.0))
    bar = progress.Progress(1000.0 - 61, 600)
    other = changed(digits, {LR: 0.5, 'transfer.augment': 'flip'})
    assert progress.changes(digits, digits) == 'as it is'
    assert progress.changes(digits, other) == "augment='flip', scratch.optim.lr=0.5"
    bar.trial('scratch', 3, 'lr=1')
    bar.trial('scratch', 3, 'lr=1', '50.00%')
    bar.trial('scratch', 4, 'lr=2', '51.00%')  # too soon after it
    assert capsys.readouterr().err == 'tuning scratch, 1:01 of 10:00 · trial 3 · lr=1 · 50.00%\n'
    progress.Progress(0, 1, quiet=True).trial('scratch', 3, 'lr=1', '50.00%')
    assert capsys.readouterr().err == ''
