"""launch/accelerator.py: items in pieces, on machines of which only what is carried stays."""

import importlib.util
import random

import pytest

from tests.command import ROOT, TINY

_spec = importlib.util.spec_from_file_location('accelerator', ROOT / 'launch/accelerator.py')
accelerator = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(accelerator)


@pytest.fixture
def places(tmp_path, monkeypatch):
    """--data, --work and --carry, two small items, and no time that is set aside."""
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data/cifar10.zip').write_bytes(b'')
    flags = tuple(flag for flag in TINY if 'data.source' not in flag)
    made = lambda name, *more: accelerator.Item(
        name, ('ssljax.main', '--config=quickstart', f'--workdir={{work}}/{name}', *flags, *more,
               '--config.data.source=synthetic:8x8x1:3'),
        f'{name}/result.json', '99%', accelerator._way('frozen'),
    )  # fmt: skip
    monkeypatch.setattr(accelerator, 'ITEMS', (made('first'), made('second', '--config.seeds=(3,)')))
    monkeypatch.setattr(accelerator, 'SAVING', 0.0)
    monkeypatch.setattr(accelerator, 'LEAST', 0.0)
    monkeypatch.setenv('JAX_PLATFORMS', 'cpu')
    return [f'--{name}={tmp_path / name}' for name in ('data', 'work', 'carry')]


def test_what_is_carried_has_a_limit_and_comes_in_parts(tmp_path, monkeypatch, capsys):
    work, carry = tmp_path / 'work', tmp_path / 'carry'
    for name, size in (('a/seed0/pretrain/model/0/params/x', 3000), ('a/seed0/frozen/checkpoints/4/x', 2000),
                       ('a/seed0/frozen/checkpoints/9/x', 2000), ('b/seed0/pretrain/model/0/x', 500),
                       ('a/seed0/evaluation.json', 100)):  # fmt: skip
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_bytes(random.Random(name).randbytes(size))
    monkeypatch.setattr(accelerator, 'MOST', 4000)
    monkeypatch.setattr(accelerator, 'PART', 1000)
    accelerator.pack(work, carry, ['a'])
    said = capsys.readouterr().out
    assert 'does not fit and is left behind' in said and said.count('left behind') == 1
    assert all(path.stat().st_size <= 1000 for path in carry.iterdir()) and len(list(carry.iterdir())) > 1
    accelerator.unpack(carry, tmp_path / 'again')
    found = {str(p.relative_to(tmp_path / 'again')) for p in (tmp_path / 'again').rglob('*') if p.is_file()}
    assert 'a/seed0/evaluation.json' in found and not any('checkpoints/4' in name or name[0] == 'b' for name in found)
    assert len(found) == 2
    accelerator.pack(work, carry, [])
    assert len(list(carry.iterdir())) == 1  # older parts are gone


@pytest.mark.parametrize(
    'flags, told',
    [
        ([], 'give --data=DIR and --work=DIR'),
        (['--data={}', '--work={}/w'], 'has no cifar10.zip'),
        (['--data={}', '--work={}/w', '--minutes=0'], 'give more than 0'),
        (['--only=rotnt'], "invalid choice: 'rotnt'"),
    ],
)
def test_mistakes(flags, told, tmp_path, capsys):
    with pytest.raises(SystemExit) as error:
        accelerator.main([flag.format(tmp_path) for flag in flags])
    assert error.value.code == 2 and told in capsys.readouterr().err


def test_the_list_and_its_recipes(tmp_path, capsys):
    assert accelerator.main(['--list', f'--work={tmp_path}']) == 75
    said = capsys.readouterr().out
    assert said.splitlines()[0].startswith('rotnet           not begun') and said.count('published: ') == 7
    for item in accelerator.ITEMS:
        assert (ROOT / item.arguments[0].replace('.', '/')).with_suffix('.py').exists()
    from ssljax.settings import recipes

    for item in accelerator.ITEMS:
        if config := next((a.split('=')[1] for a in item.arguments if a.startswith('--config=')), ''):
            assert recipes.recipe(config).name
