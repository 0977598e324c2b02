import pytest

from ssljax.config import base
from ssljax.studies import sweep


def test_a_grid_has_every_combination_in_order():
    points = sweep.parse('pretrain.rotation.count=2,4; backbone.blocks=3,4,5', base())
    assert len(points) == 6 and points[0] == {'pretrain.rotation.count': 2, 'backbone.blocks': 3}
    assert points[1]['backbone.blocks'] == 4


def test_values_have_the_type_of_their_field():
    text = (
        'transfer.augment=crop(4)|flip,\'\',"cutout(2, 0)"; transfer.mixup=0,0.5; evaluate.probe_l2=(1e-4, 1e-3),(0.1,)'
    )
    points = sweep.parse(text, base())
    assert {p['transfer.augment'] for p in points} == {'crop(4)|flip', '', 'cutout(2, 0)'}
    assert {p['transfer.mixup'] for p in points} == {0.0, 0.5} and type(points[0]['transfer.mixup']) is float
    assert {p['evaluate.probe_l2'] for p in points} == {(1e-4, 1e-3), (0.1,)}


def test_a_list_has_single_points():
    points = sweep.parse('list: backbone.blocks=3 transfer.mixup=0.2; backbone.blocks=5', base())
    assert points == [{'backbone.blocks': 3, 'transfer.mixup': 0.2}, {'backbone.blocks': 5}]


def test_random_points_lie_in_their_ranges_and_are_drawn_again_alike():
    text = 'random 40: transfer.scratch.optim.lr=log 1e-4..1e-1; backbone.blocks=3..5; transfer.augment=flip,crop(4)'
    points = sweep.parse(text, base())
    assert points == sweep.parse(text, base()) and len(points) == 40
    rates = sorted(p['transfer.scratch.optim.lr'] for p in points)
    assert 1e-4 <= rates[0] < 1e-3 < rates[20] < 2e-2 < rates[-1] <= 1e-1
    assert {p['backbone.blocks'] for p in points} == {3, 4, 5}


@pytest.mark.parametrize(
    'text, message',
    [
        ('backbone.block=3', r'did you mean backbone.blocks\?\)\.$'),
        ('backbone.blocks=three', 'a whole number from 3 to 5'),
        ('backbone.blocks', 'not part of a sweep'),
        ('backbone.blocks=3; backbone.blocks=4', 'a field twice'),
        ('seeds=(0,),(1,)', 'cannot change seeds'),
        ('random 3: transfer.mixup=log 0..1', 'is empty'),
        ('list:', 'empty'),
    ],
)
def test_what_is_no_sweep_is_explained(text, message):
    with pytest.raises(ValueError, match=message):
        sweep.parse(text, base())


def test_a_point_is_named_by_its_fields():
    assert sweep.title({'backbone.blocks': 3, 'transfer.mixup': 0.25, 'transfer.augment': ''}) == (
        "backbone.blocks=3 transfer.mixup=0.25 transfer.augment=''"
    )


def test_points_of_a_config_file_are_checked():
    assert sweep.check([{'backbone.blocks': 3}, {'backbone.blocks': 3}], base()) == [{'backbone.blocks': 3}]
    with pytest.raises(ValueError, match="backbone.blocks is 'three'; it must be a whole number"):
        sweep.check([{'backbone.blocks': 'three'}], base())
    with pytest.raises(ValueError, match='list of'):
        sweep.check(['backbone.blocks=3'], base())
