"""What is decided from given measurements, and the short runs that give them."""

import time

import jax
import pytest

from ssljax import config as configs
from ssljax import experiment, loop, stages
from ssljax.data import augment, sources
from ssljax.program import make_program
from ssljax.settings import resolve
from ssljax.tune import batch_size, duration, phases, rate, search
from ssljax.tune import bench as benches
from ssljax.tune.bench import Outcome
from ssljax.tune.decision import changed


@pytest.fixture
def digits(config):
    config.data.update(source='digits', labels='100', val='200')
    config.pretrain.method = 'none'
    config.transfer.ways = ('scratch',)
    config.transfer.scratch.update(steps=60, evals=5)
    config.backbone.update(name='mlp', width=32, depth=2, norm='none')
    return config


@pytest.fixture
def bench(digits, tmp_path):
    source = sources.load(digits.data)
    return phases.make_bench(digits, tmp_path, source, tmp_path / 'trials', time.time() + 300)


def test_a_short_run_is_the_run(bench, digits, tmp_path):
    """With rate, decay and steps as arguments of the program, the curve is that of the program that has them built
    in; and the second setting compiles nothing."""
    digits.transfer.scratch.optim.update(lr=0.1, weight_decay=1e-3, warmup=0.2, schedule='multistep')
    source = sources.load(digits.data)
    run = experiment.prepare(digits, tmp_path / 'whole', source)
    start = stages.initial(run, 'scratch', 0)
    cfg = digits.transfer.scratch
    other = changed(digits, {'transfer.scratch.optim.lr': 0.01, 'transfer.scratch.optim.schedule': 'constant'})
    for config in (digits, other):
        out = bench.train('scratch', config, 60, evals=5)
        step = bench.programs[bench._static('scratch', config)][2]
        assert step._cache_size() == 1 and len(bench.programs) == 1
        del step
        cfg = config.transfer.scratch
        given = resolve.stage(stages.settings(config, 'scratch'), bench.labeled, run.mesh).inputs
        feed = stages.make_feed(run, 'scratch', given, 0)
        program = make_program(run.methods['scratch'], cfg, steps=60, get=feed.get, mesh=run.mesh, steps_per_call=1)
        stage = loop.fit(loop.Task(
            program, start, feed=feed, val=bench.val, cfg=cfg,
            key=jax.random.key(0), mesh=run.mesh, directory=tmp_path / f'whole{config is other}', title='', meta={},
            select='best', log_every=15, save_every=1e9, eval_batch=digits.evaluate.batch_size,
        ))  # fmt: skip
        assert out.value == pytest.approx(stage.record['val']['top1'], abs=0.011)
        assert out.value > 0.3


def test_trials_are_rated_by_the_metric_that_selects(digits, tmp_path):
    digits.select = 'macro_f1'
    bench = phases.make_bench(digits, tmp_path, sources.load(digits.data), tmp_path / 'trials', time.time() + 300)
    out = bench.train('scratch', digits, 20)
    assert out.value == pytest.approx(max(value for _, value in out.curve)) and len(out.curve) == 2
    assert bench.train('scratch', digits, 8, images=1).value is not None, 'of one image, for its time alone'
    assert bench.chance() < 0.1 and bench.programs[bench._static('scratch', digits)][4]._cache_size() == 1


def test_divergence_and_lateness_are_failures(bench, digits):
    out = bench.train('scratch', changed(digits, {'transfer.scratch.optim.lr': 1e20}), 20)
    assert (out.value, out.failed) == (None, 'diverged')
    bench.train('scratch', digits, 20)
    bench.deadline, bench.fixed = time.time() + 2, {True: 0.0, False: 0.0}
    assert bench.train('scratch', digits, 10**5).failed == 'time' and time.time() < bench.deadline + 30
    trials = bench.trials
    assert bench.train('scratch', digits, 21).failed == 'time' and bench.trials == trials


def test_a_short_run_in_which_no_unlabelled_image_counts_is_no_failure(digits, tmp_path):
    digits.transfer.ways = ('fixmatch',)
    digits.semi.update(strong='cutout(3)', epochs=0.0, steps=16, batch_size=16, idle=0.25)
    digits.semi.fixmatch.threshold = 1.0
    bench = phases.make_bench(digits, tmp_path, sources.load(digits.data), tmp_path / 'trials', time.time() + 300)
    out = bench.train('fixmatch', digits, 16)
    assert out.failed == '' and out.value > 0


def test_memory_that_is_not_enough_is_stepped_back_from(bench, digits, monkeypatch):
    fit, seen = benches.loop.fit, []

    def full(task):
        seen.append(task.feed.batch_size)
        if task.feed.batch_size > 16:
            raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: out of memory allocating 17 bytes')
        return fit(task)

    monkeypatch.setattr(benches.loop, 'fit', full)
    monkeypatch.setattr(batch_size, 'FIRST', 8)
    digits.tuning.batch_max = 32
    (decided,) = batch_size.decide(bench, 'scratch', digits, time.time() + 60)
    assert decided.value in (8, 16) and seen == [8, 16, 32]
    assert '32 do not fit in memory' in decided.why and decided.plot['series']['scratch'][-1] is None
    monkeypatch.setattr(batch_size, 'FIRST', 64)
    (decided,) = batch_size.decide(bench, 'scratch', digits, time.time() + 60)
    assert decided.value == 16 and seen[3:] == [32, 16] and decided.plot['x'] == [16, 32]
    monkeypatch.setattr(benches.loop, 'fit', lambda *a, **k: (_ for _ in ()).throw(MemoryError()))
    assert bench.train('scratch', digits, 7).failed == 'memory'
    monkeypatch.setattr(benches.loop, 'fit', lambda *a, **k: (_ for _ in ()).throw(jax.errors.JaxRuntimeError('x')))
    with pytest.raises(jax.errors.JaxRuntimeError):
        bench.train('scratch', digits, 8)


def test_the_knee_of_throughput():
    assert batch_size.knee({16: 400.0, 32: 700.0, 64: 910.0, 128: 1000.0, 256: 950.0}) == 64


def test_the_rate_is_the_lowest_of_the_best_and_away_from_divergence():
    error = lambda value: 0.02
    assert rate.choose({0.01: 0.6, 0.1: 0.8, 1.0: 0.7}, error) == 0.1
    assert rate.choose({0.01: 0.6, 0.03: 0.79, 0.1: 0.8, 1.0: 0.7}, error) == 0.03
    assert rate.choose({0.01: 0.6, 0.03: 0.79, 0.1: 0.8, 1.0: None}, error) == 0.03
    assert rate.choose({0.01: 0.6, 0.03: 0.79, 0.1: None}, error) == 0.03
    assert rate.choose({0.01: 0.6, 0.03: 0.7, 0.1: 0.8, 1.0: None}, error) == 0.1
    assert rate.choose({0.01: 0.79, 0.03: 0.8, 0.1: None}, error) == 0.01
    assert rate.choose({0.01: None}, error) is None
    tied = {0.005: 0.9, 0.05: 0.9, 0.5: 0.7}
    assert rate.choose(tied, error, 0.05) == 0.05  # as good as any lower one: nothing speaks for a change
    assert rate.choose(tied, error, 0.5) == 0.005 and rate.choose(tied | {0.5: None}, error, 0.05) == 0.005


def test_settings_are_halved_and_the_best_is_found(digits):
    """Accuracy is a known function of setting and length: strong decay is best, and bad settings end early."""

    class Known:
        seed, runs, fixed = 0, [], {True: 0.0}

        def train(self, way, config, steps):
            decay = config.transfer.scratch.optim.weight_decay
            self.runs.append(steps)
            return Outcome(0.5 + 10 * decay + 1e-4 * steps, '', (), 1.0, 0.0)

        def seconds_of(self, way, config, steps):
            return 0.0

        def fresh(self, way, config):
            return False

    bench, digits.tuning.trials = Known(), 20
    space = {'transfer.scratch.optim.weight_decay': (0.0, 1e-4, 5e-4, 2e-3, 5e-3), 'transfer.augment': ('', 'flip')}
    tried = search.halving(bench, 'scratch', digits, space, [10, 30, 90], time.time() + 60)
    best, level = search.chosen(tried)
    assert best.setting['transfer.scratch.optim.weight_decay'] == 5e-3 and level == 2
    assert len(tried) == 20 and tried[0].setting == {
        'transfer.scratch.optim.weight_decay': 5e-4,
        'transfer.augment': '',
    }
    assert bench.runs.count(10) == 20 > 2 * bench.runs.count(90)


def test_the_space_has_the_present_values():
    assert search.with_present((0.0, 0.1, 1.0), 0.3) == (0.0, 0.1, 0.3, 1.0)
    assert search.with_present(('', 'flip'), 'crop(2)') == ('crop(2)', '', 'flip')
    assert search.pipelines((1, 1, 2)) == ('',)
    assert all(augment.parse(p) for p in search.pipelines((28, 28, 1)))


def test_the_duration_follows_the_curves():
    assert duration.longest_wait([(1, 0.5), (2, 0.4), (3, 0.4), (4, 0.6), (5, 0.6)]) == 2
    assert duration.per_doubling({100: 0.5, 300: 0.6, 400: 0.7}) == pytest.approx(0.1)
    settled, why = duration.length({100: 0.80, 400: 0.801}, 'cosine', 1000, 3, 0.01)
    assert settled == 400 and 'settled' in why
    noisy, why = duration.length({100: 0.60, 250: 0.81, 400: 0.80}, 'cosine', 1000, 3, 0.01)
    assert noisy == 250 and 'settled' in why
    rising, why = duration.length({100: 0.60, 390: 0.801, 400: 0.80}, 'cosine', 1000, 3, 0.01)
    assert rising == 1200 and 'still rises' in why
    assert duration.length({400: 0.8}, 'constant', 2000, 3, 0.01)[0] == 2000
    assert duration.length({300: 0.7, 400: 0.8}, 'cosine', 100, 3, 0.01)[0] == 400


def test_every_tuned_option_exists_and_has_choices():
    from ssljax import methods

    for name in methods.SEMI:
        options = methods.tuned_options(name)
        assert set(options) <= set(configs.base().semi[name]) and all(len(c) > 1 for c in options.values())


def test_the_best_of_many_evaluations_is_not_held_against_that_of_few():
    values = [0.6, 0.8, 0.8, 0.75, 0.75, 0.8, 0.7, 0.65, 0.7, 0.65, 0.65, 0.7, 0.7, 0.65, *[0.5] * 6]
    curve = [(2 * i + 2, value) for i, value in enumerate(values)]
    assert duration.of_few(curve) == 0.65  # of those after 20 and 40 steps
    assert duration.falls(curve, 0.09) and not duration.falls(curve, 0.31)
    assert not duration.falls([(i, i / 10) for i in range(10)], 0.05)
