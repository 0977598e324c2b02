"""Plans from fingerprints and speeds that are made up, and the recipes that they become."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import DIGITS, GRAY, PHOTOS, SCANS, times

from ssljax import config as configs
from ssljax.planning import kept, make, recipe
from ssljax.settings import checks, recipes, suits

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def plan(monkeypatch):
    def made(fp, minutes=30.0, flips='auto', timed=times, **given):
        monkeypatch.setattr(make.fingerprint, 'take', lambda config: fp)
        fields = {'data.source': fp.source} | {k.replace('__', '.'): v for k, v in given.items()}
        return make.make(kept.asked(fields, minutes, flips), timed)

    return made


@pytest.mark.parametrize('fp', [PHOTOS, GRAY, SCANS, DIGITS, PHOTOS._replace(device='gpu', devices=2)])
@pytest.mark.parametrize('minutes', [6.0, 30.0, 600.0])
def test_every_field_is_one_that_can_be_and_has_a_reason(plan, fp, minutes):
    made = plan(fp, minutes)
    checks.check(made.config())
    assert all(d.why for d in made.decisions) and sum(made.seconds.values()) <= 60 * minutes
    fields = [d.field for d in made.decisions]
    assert len(fields) == len(set(fields)) and fields == [f for f in configs.definitions() if f in fields]
    config = made.config()
    assert config.transfer.ways[0] == 'scratch' and len(config.seeds) >= 3 and config.answer.minutes == minutes
    steps = {config.transfer[w].steps if w in config.transfer else config.semi.steps for w in config.transfer.ways}
    assert len(steps) == 1  # all ways are equally long


@st.composite
def fingerprints(draw):
    """Of any data and machine."""
    number = lambda low, high: draw(st.integers(low, high))
    classes = number(2, 30)
    counts = tuple(number(1, 400) for _ in range(classes))
    low, channels = number(8, 300), number(1, 4)
    held = {name: draw(st.sampled_from([0, 40, 5000])) for name in ('unlabeled', 'val', 'test')}
    return PHOTOS._replace(
        classes=tuple(f'class {i}' for i in range(classes)), counts=counts, low=low, side=low + number(0, 200),
        high=low + 200 + number(0, 3000), channels=channels, gray=channels > 2 and draw(st.booleans()), **held,
        memory=draw(st.none() | st.just(2**30)), device=draw(st.sampled_from(['cpu', 'gpu', 'tpu'])),
        devices=draw(st.sampled_from([1, 3, 8])),
    )  # fmt: skip


@settings(max_examples=40)
@given(fingerprints(), st.floats(1, 2000), st.floats(1e-4, 3), st.floats(0.1, 60))
def test_any_data_and_time_have_a_plan_that_can_be_trained_or_are_told_what_it_takes(fp, minutes, step, compile):
    given = {'data.source': 'folder:x'} | ({'data.labels': '1/class'} if min(fp.counts) > 20 else {})
    timed = lambda config, kinds, began: times(kinds=kinds, speed=make.budget.Speed(compile, step, 0.02))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(make.fingerprint, 'take', lambda config: fp)
        try:
            made = make.make(kept.asked(given, minutes, 'auto'), timed)
        except ValueError as error:
            least = float(re.search(r'Give --minutes=(\d+) or more', str(error))[1])
            assert least > minutes
            assert make.make(kept.asked(given, least, 'auto'), timed)
            return
    config = made.config()
    checks.check(config)
    side = config.data.image_size or fp.side
    channels = config.data.channels or fp.channels
    suits.check_pipelines(config, (side, side, channels))
    assert sum(made.seconds.values()) <= 60 * minutes
    images = fp.images
    assert config.transfer.batch_size >= 1 and (
        config.pretrain.method == 'none' or config.pretrain.batch_size <= images
    )


def test_the_same_measurements_give_the_same_recipe_and_ruff_has_nothing_to_say(plan, tmp_path):
    made, path = plan(PHOTOS), tmp_path / 'plan.py'
    text = recipe.text(made, path)
    assert text == recipe.text(plan(PHOTOS), path)
    path.write_text(text)
    assert recipes.module_of(str(path)).get_config().to_dict() == made.config().to_dict()
    for command in (['check'], ['format', '--check']):
        found = subprocess.run(
            [sys.executable, '-m', 'ruff', command[0], *command[1:], '--config', ROOT / 'pyproject.toml', path],
            capture_output=True, text=True,
        )  # fmt: skip
        assert found.returncode == 0, found.stdout
    said = recipe.table(made)
    assert 'Planned time: ' in said and all(d.field in said for d in made.decisions)
    assert max(map(len, text.splitlines())) <= 120


@settings(max_examples=8)
@given(st.text(max_size=30) | st.lists(st.text(max_size=40), min_size=4, max_size=8).map('|'.join))
def test_any_name_of_a_source_makes_a_python_file(name):
    given = {'name': 'x', 'data.source': f'folder:{name}x'}
    found = [make.Decision(field, value, f'given {name}') for field, value in given.items()]
    text = recipe.text(make.Plan(PHOTOS, found, [name], {'report': 4.0}, times()), f'{name}.py')
    scope: dict = {}
    exec(compile(text, 'plan.py', 'exec'), scope)
    assert scope['get_config']().data.source == f'folder:{name}x'


def test_what_is_given_stays_and_what_has_no_time_is_named(plan):
    made = plan(GRAY, data__image_size=24, seeds=(7, 8), pretrain__method='none', backbone__name='mlp')
    config = made.config()
    assert (config.data.image_size, config.seeds, config.backbone.name) == (24, (7, 8), 'mlp')
    assert config.backbone.width == configs.base().backbone.width  # that of the network a plan would take is not for it
    assert config.transfer.ways == ('scratch', 'flexmatch')
    slow = lambda config, kinds, began: times(speed=make.budget.Speed(8.0, 0.2, 0.05))
    made = plan(GRAY, 30.0, timed=slow)
    assert made.config().transfer.ways == ('scratch', 'flexmatch') and 'no simclr pretraining: no time' in made.notes


@pytest.mark.parametrize(
    'ways', [('scratch', 'flexmatch'), ('scratch', 'finetune'), ('finetune', 'mixmatch', 'scratch')]
)
@pytest.mark.parametrize('fp', [PHOTOS, GRAY, DIGITS])
def test_ways_that_are_given_are_trained_in_every_case(plan, fp, ways):
    made = plan(fp, 60.0, data__labels='10', transfer__ways=ways)
    assert made.config().transfer.ways == ways and made.config().pretrain.method != 'none' * ('finetune' in ways)
    fields = {d.field for d in made.decisions}
    assert ('semi.steps' in fields) == any(way.endswith('match') for way in ways)
    assert ('transfer.finetune.steps' in fields) == ('pretrain.steps' in fields) == ('finetune' in ways)


def test_what_is_given_for_the_weights_and_the_network_goes_before_what_was_measured(plan):
    made = plan(PHOTOS, 60.0, transfer__checkpoint='runs/other')
    assert made.seconds['pretraining'] == 0 and made.config().pretrain.method == 'none'
    assert made.config().transfer.ways == ('scratch', 'frozen')
    ways = ('scratch', 'fixmatch')
    assert plan(GRAY, 60.0, transfer__ways=ways, semi__start='pretrained').config().pretrain.method == 'simclr'
    for field in ({'backbone__name': 'alexnet'}, {'pretrain__method': 'colorization'}, {'data__channels': 1}):
        config = plan(PHOTOS, 60.0, **field).config()
        assert 'size=' not in config.pretrain.augment and config.pretrain.optim.name == 'sgd', field
    ways = ('random_frozen', 'scratch', 'frozen', 'finetune', 'two_stage', 'uda', 'freematch')
    config = plan(PHOTOS, 600.0, transfer__ways=ways).config()
    of = [config.semi, *(config.transfer[stage] for stage in ('scratch', 'frozen', 'finetune', 'second'))]
    assert len({(c.steps, c.evals) for c in of}) == 1 and config.transfer.ways == ways


@pytest.mark.parametrize('fp, pretrainings', [(PHOTOS, 1), (DIGITS, 5)])
def test_steps_of_pretraining_that_are_given_have_their_time(plan, fp, pretrainings):
    given = dict(data__labels='5/class', transfer__ways=('scratch', 'finetune'))
    few, more = (plan(fp, 600.0, pretrain__steps=steps, **given) for steps in (100, 1100))
    assert (few.config().pretrain.steps, more.config().pretrain.steps) == (100, 1100)
    assert len(few.config().seeds) == len(more.config().seeds) == 5
    assert more.seconds['pretraining'] - few.seconds['pretraining'] == pytest.approx(pretrainings * 1000 * 0.02)
    with pytest.raises(ValueError, match='too short'):
        plan(fp, 600.0, pretrain__steps=10**7, **given)


def test_validation_images_that_are_given_are_those_that_count(plan):
    evals = lambda **given: plan(DIGITS, 30.0, data__labels='5/class', **given).config().transfer.scratch.evals
    assert evals(data__val='20') == make.FEW_EVALS and evals(data__val='200') == make.EVALS


def test_too_short_a_time_tries_smaller_images_and_then_says_what_it_takes(plan):
    sizes = []

    def timed(config, kinds, began):
        sizes.append(config.data.image_size)
        return times(speed=make.budget.Speed(8.0, 10.0, 0.05))

    with pytest.raises(ValueError, match=r'90 minutes are too short: .* Give --minutes=\d+') as error:
        plan(PHOTOS, 90.0, timed=timed)
    assert sizes == [48, 32]
    said = [float(n) for n in re.findall(r'about ([\d.]+) minutes here. Give --minutes=(\d+) or', str(error.value))[0]]
    assert '3 seeds of training from scratch and with simclr' in str(error.value)
    assert said[1] >= 1.2 * said[0]  # a second measurement, on a busier machine, still fits


@pytest.mark.parametrize(
    'fields, minutes, flips, said',
    [
        ({}, 30, 'auto', 'say which images'),
        ({'data.source': 'digits'}, 0, 'auto', 'minutes is 0'),
        ({'data.source': 'digits'}, float('nan'), 'auto', 'minutes is nan'),
        ({'data.source': 'digits'}, 30, 'maybe', 'it must be auto, yes or no'),
        ({'data.source': 'digits', 'plan.minutes': 3}, 30, 'auto', "does not take the field 'plan.minutes'"),
        ({'data.source': 'digits', 'lables': '3'}, 30, 'auto', "does not take the field 'lables'"),
        ({'data.source': 'digits', 'pretrain.epochs': 3.0}, 30, 'auto', 'give pretrain.steps in place of pretrain.ep'),
        ({'data.source': 'digits', 'semi.examples': 3}, 30, 'auto', 'give semi.steps in place of semi.examples'),
        ({'data.source': 'digits', 'tune': True}, 30, 'auto', 'a plan does not tune'),
    ],
)
def test_what_cannot_be_asked_for_is_refused(fields, minutes, flips, said):
    with pytest.raises(ValueError, match=said):
        make.make(kept.asked(fields, minutes, flips), times)


@pytest.mark.parametrize(
    'path, source',
    [('photos', 'folder:photos'), ('digits', 'digits'), ('a/b.npz', 'npz:a/b.npz'), ('tfds:mnist', 'tfds:mnist')],
)
def test_a_path_is_a_source(path, source):
    assert make.source_of(path) == source


def test_a_run_is_named_after_its_source():
    assert [make.name_of(s) for s in ('folder:~/My Photos.tar.gz', 'digits', 'folder:/')] == [
        'my_photos',
        'digits',
        'plan',
    ]
