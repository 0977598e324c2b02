"""Each field of the config against values of every type and size: accepted as they are, or one clear error."""

import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ssljax import config as configs
from ssljax.data import sources
from ssljax.settings import arguments, checks, fields, resolve

KNOWN = configs.definitions()
fast = settings(max_examples=60)

odd = st.sampled_from(
    [None, math.nan, math.inf, -math.inf, -1, -1.0, 0, 0.0, 1.5, 2**31, 2**70, -(2**63), 10**400, True, False, '', 'x',
     'a\0b', ' ', '../x', (), (0,), (-1,), (1.5,), ('a',), (2**70,), (None,), ((1,), (2,)), [1, [2]], {}, 5j, b'x',
     'crop(1e400)', 'crop(-1)', 'cutout(1e999)', '[', '=', 'x=y', '1e9', 'x' * 10**5]
)  # fmt: skip
anything = odd | st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.tuples)


def same_kind(value, default) -> bool:
    """Whether a value has a type that code which was written for the default can take."""
    if isinstance(default, bool):
        return isinstance(value, bool)
    if isinstance(default, (int, float)):
        kinds = (int, float) if isinstance(default, float) else int
        return isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value)
    return isinstance(value, (tuple, list) if isinstance(default, tuple) else type(default))


def test_every_field_has_a_definition_and_its_default_fits():
    assert set(KNOWN) == set(configs.field_names(configs.base()))
    for name, field in KNOWN.items():
        fields.check(name, field.default, field)


@pytest.mark.parametrize('name', sorted(KNOWN))
@settings(max_examples=12)
@given(value=anything)
@example(value=math.nan)
@example(value=2**70)
@example(value=-5)
@example(value='x' * 10**6)
def test_a_field_takes_a_value_of_its_kind_or_says_why_not(name, value):
    field = KNOWN[name]
    try:
        fields.check(name, value, field)
    except ValueError as error:
        assert name in str(error) and len(str(error)) < 1000
    else:
        assert same_kind(value, field.default)


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('seeds', (1.5,)), ('seeds', (2**70,)), ('seeds', ('a',)), ('seeds', (0, 0, 0)), ('seeds', (-1,)),
        ('seeds', (True,)), ('seeds', 0), ('pretrain.epochs', math.inf), ('pretrain.epochs', -1.0),
        ('pretrain.steps', -3), ('pretrain.steps', 1.5), ('pretrain.batch_size', 10**9), ('pretrain.batch_size', 0),
        ('evaluate.batch_size', -5), ('transfer.hidden', (0,)), ('pretrain.hidden', (10**9,)), ('variants', 5),
        ('variants', (5,)), ('pretrain.optim.gamma', -1.0), ('pretrain.optim.gamma', 0.0), ('evaluate.probe_l2', ()),
        ('evaluate.probe_l2', (-1.0,)), ('pretrain.augment', 'crop(1e400)'), ('backbone.width', 10**7),
        ('pretrain.optim.lr', 0.0), ('pretrain.optim.lr', -0.1), ('semi.optim.lr', math.nan),
        ('transfer.scratch.optim.clip', -1.0), ('pretrain.patience', -1), ('evaluate.knn', -3),
        ('transfer.frozen.label_smoothing', 5.0), ('pretrain.optim.momentum', 5.0), ('pretrain.optim.warmup', 5.0),
        ('pretrain.evals', 0), ('pretrain.evals', -3), ('name', '../x'), ('name', ''), ('name', 'a' * 300),
        ('transfer.ways', ('scratch', 'scratch')), ('transfer.dropout', 1.0), ('semi.ema', 2.0), ('log_every', 0),
        ('data.image_size', 10**6), ('data.channels', 2), ('data.pool', -1), ('data.val', '150%'), ('tune', 1),
        ('pretrain.simclr.temperature', 0.0), ('published', 5), ('study.labels', 5), ('study.pretrained', (5,)),
    ],
)  # fmt: skip
def test_values_that_are_refused(name, value):
    config = configs.base()
    with config.unlocked(), config.ignore_type():
        config.update_from_flattened_dict({name: value})
    with pytest.raises(ValueError, match=name):
        checks.check(config)


@pytest.mark.parametrize('field', ['transfer.augment', 'semi.ema', 'transfer.hidden', 'transfer.scratch.optim.lr'])
def test_what_a_variant_changes_is_checked_as_the_field_is(field):
    config = configs.base()
    config.variants = (('other', 'scratch', ((field, -1),)),)
    with pytest.raises(ValueError, match=f'variants: {field} of other is -1'):
        checks.check(config)


def test_what_a_pretraining_of_a_study_changes_is_checked_as_the_field_is():
    config = configs.base()
    config.study.pretrained = (('long', (('pretrain.epochs', -1.0),)),)
    with pytest.raises(ValueError, match='pretrain.epochs of long is -1.0'):
        checks.check(config)


texts = st.text(st.characters(exclude_characters='\0'), min_size=1, max_size=20)


@fast
@given(name=st.sampled_from(sorted(KNOWN)), written=texts | st.sampled_from(['-1', 'nan', '1e400', '(', '0,0', 'None']))
def test_any_text_on_the_command_line_is_a_value_or_one_error(name, written):
    try:
        _, values = arguments.separate([f'--config.{name}={written}'])
    except ValueError as error:
        assert name in str(error)
    else:
        fields.check(name, values[name], KNOWN[name])


@pytest.mark.parametrize('name', [n for n, f in sorted(KNOWN.items()) if isinstance(f.default, tuple) and f.default])
@pytest.mark.parametrize('form', ['{0}', '{0},', '({0},)', '[{0}]', '("{0}",)', "['{0}']", '( {0} , )'])
def test_a_list_of_one_in_any_usual_spelling(name, form):
    one = KNOWN[name].default[0]
    if not isinstance(one, str):
        form = form.replace('"', '').replace("'", '')
    _, values = arguments.separate([f'--config.{name}={form.format(one)}'])
    assert values == {name: (one,)}


@pytest.mark.parametrize(
    ('arg', 'said'),
    [
        ('config.seeds=0,1,2', 'did you mean --config.seeds=0,1,2'),
        ('seeds=0', 'did you mean --config.seeds=0'),
        ('workdir=x', 'did you mean --workdir=x'),
        ('configs/rotnet.py', 'did you mean --config=configs/rotnet.py'),
        ('foo', "'foo' is not understood"),
        ('--config.pretrain=5', 'set one of its fields'),
        ('--config.pretrain.epoch=5', 'did you mean pretrain.epochs'),
        ('--config.tune=maybe', 'tune is'),
        ('--noconfig.tune=True', 'write --config.tune=False'),
        ('-', "the argument '-' is not understood"),
        ('--', "the argument '--' is not understood"),
        ('--=', "the argument '--=' is not understood"),
        ('---config.name=x', "the argument '---config.name=x' is not understood"),
        ('--config.', '--config. does not name a field'),
        ('--config.=5', '--config. does not name a field'),
    ],
)
def test_arguments_that_are_not_understood(arg, said):
    with pytest.raises(ValueError) as error:
        arguments.separate(['--config=configs/rotnet.py', arg])
    assert said in str(error.value)


@pytest.mark.parametrize(
    'arg', ['x', 'x=', '--config.', '--config.pretrain.method=', '--config.pretrain.optim.rules=',
            '--config.data.source=', '--noconfig.tune=', '--config=', '--config.pretrain.augment=',
            '--config.transfer.ways=', '--config.data.val=', '--config.backbone.name=']
)  # fmt: skip
def test_no_message_is_as_long_as_what_was_given(arg):
    with pytest.raises(ValueError) as error:
        rest, values = arguments.separate([arg + 'a' * 3000])
        arguments.find_recipe(rest)
        config = configs.base()
        config.update_from_flattened_dict(values)
        checks.check(config)
        sources.load(config.data)
    assert len(str(error.value)) < 900


def test_flags_without_a_value_and_values_apart():
    rest, values = arguments.separate(['--config', '--config.tune', '--noconfig.evaluate.probe', '--config.name', 'x'])
    assert rest == ['--config'] and values == {'tune': True, 'evaluate.probe': False, 'name': 'x'}


def test_of_a_field_given_twice_the_last_counts_and_that_is_said(capsys):
    _, values = arguments.separate(['--config.seeds=0', '--config.seeds=1,2'])
    assert values == {'seeds': (1, 2)}
    assert '--config.seeds is given twice; using the last: (1, 2)' in capsys.readouterr().err


@fast
@given(epochs=st.floats(1e-6, 3.0), images=st.integers(1, 10_000), batch=st.integers(1, 5000))
def test_a_duration_is_at_least_one_step(epochs, images, batch):
    stage = configs.stage(epochs=epochs)
    assert resolve.total_steps(stage, images=images, batch_size=batch) == max(round(epochs * images / batch), 1)
