import importlib
import json
import re
from pathlib import Path

import pytest

from ssljax import config as configs
from ssljax.settings import checks, resolve
from ssljax.text import wording

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize('path', sorted((ROOT / 'configs').glob('*.py')), ids=lambda p: p.stem)
def test_each_recipe_is_whole_and_checked(path):
    module = importlib.import_module(f'configs.{path.stem}')
    config = module.get_config()
    checks.check(config)
    assert configs.field_names(config) == configs.field_names(configs.base())
    assert re.search(rf'ssljax (train|study) --config={path.stem}\b', module.__doc__)
    assert config.name.startswith(path.stem)


def test_durations():
    stage = configs.stage(epochs=2.0)
    assert resolve.total_steps(stage, images=1000, batch_size=50) == 40
    stage.update(epochs=0.0, examples=500)
    assert resolve.total_steps(stage, images=1000, batch_size=50) == 10


@pytest.mark.parametrize(
    'field, value, said',
    [
        ('pretrain.steps', 5, 'exactly one of these'),
        ('pretrain.epochs', 0.0, 'exactly one of these'),
        ('transfer.ways', ('two_stage',), 'add frozen'),
        ('transfer.ways', ('frozn',), "'frozn' \\(did you mean frozen"),
        ('seeds', (), 'at least one'),
        ('seeds', (1, 1), 'without repetition'),
        ('data.path', 'fast', 'auto, resident, stream'),
    ],
)
def test_what_check_refuses(field, value, said):
    config = configs.base()
    with config.unlocked():
        config.update_from_flattened_dict({field: value})
    with pytest.raises(ValueError, match=said):
        checks.check(config)


def test_nearest_field():
    assert wording.nearest('pretrain.epoch', configs.field_names(configs.base())) == ' (did you mean pretrain.epochs?)'


def test_differences_name_the_field():
    a, b = (configs.to_dict(configs.base()) for _ in range(2))
    b['pretrain']['optim']['lr'] = 1.0
    assert configs.differences(a, b) == ['pretrain.optim.lr: 0.05 -> 1.0']
    assert configs.differences(a, json.loads(json.dumps(a))) == []
