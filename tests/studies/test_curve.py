"""Rows become series; rows that cannot stand in one figure are refused."""

import math

import pandas as pd
import pytest

from ssljax.studies import curve, table
from ssljax.studies.curve import Series

TABLE = """study,cell,point,way,pretrain,labels,labeled,per_class,classes,seed,test_top1,hash_train,hash_test,config
a,c1,,fixmatch,,4/class,40,4.0,10,0,0.5,tr,te,f1
a,c2,,scratch,,4/class,40,4.0,10,1,0.3,tr,te,f2
a,c3,,scratch,,4/class,40,4.0,10,0,0.2,tr,te,f2
a,c4,,scratch,,1/class,10,1.0,10,0,,tr,te,f2
a,c5,semi.threshold=0.8,fixmatch,,4/class,40,4.0,10,0,0.6,tr,te,f3
a,c6,,finetune,rotation,4/class,40,4.0,10,0,0.4,tr,te,f4
"""


def table_of(*changes):
    """A table with a row for each of the changes."""
    return pd.DataFrame([{
        'study': 'a', 'cell': 'c', 'point': '', 'way': 'scratch', 'pretrain': '', 'per_class': 4.0, 'classes': 10,
        'seed': 0, 'test_top1': 0.5, 'hash_train': 'tr', 'hash_test': 'te', 'hash_labeled': 'h', 'hash_val': '',
        'config': 'f',
    } | changed for changed in changes])  # fmt: skip


def test_a_table_becomes_series(tmp_path):
    (tmp_path / 'rows.csv').write_text(TABLE)
    rows = table.read(tmp_path / 'rows.csv')
    curve.check(rows)
    assert math.isnan(rows.test_top1[3]) and rows.seed[0] == 0 and rows.per_class[0] == 4.0
    assert rows.hash_val[0] == '' and rows.columns.tolist() == table.SCHEMA.names
    found = curve.curves(rows)
    assert found == {
        Series('scratch'): {4.0: {0: 0.2, 1: 0.3}},
        Series('finetune', 'rotation'): {4.0: {0: 0.4}},
        Series('fixmatch'): {4.0: {0: 0.5}},
        Series('fixmatch', '', 'semi.threshold=0.8'): {4.0: {0: 0.6}},
    }
    titles = ['From scratch', 'Fine-tuned (rotation)', 'FixMatch', 'FixMatch, semi.threshold=0.8']
    assert [curve.title(series) for series in found] == titles
    assert list(found[Series('scratch')][4.0]) == [0, 1]
    assert curve.pairs(found[Series('fixmatch')], found[Series('scratch')], 4.0) == [(0.5, 0.2)]


@pytest.mark.parametrize(
    'text, said',
    [
        (None, 'Run the study until'),
        (TABLE.splitlines()[0] + '\n', 'has no rows'),
        ('way,seed\nscratch,0\n', 'no column per_class, test_top1'),
        (TABLE.replace('0.5', 'half'), "invalid value 'half'"),
        (TABLE.replace('40,4.0', '40,0.0'), 'row 1: seed is 0 and per_class is 0.0'),
    ],
)
def test_a_bad_table_is_refused(tmp_path, text, said):
    if text is not None:
        (tmp_path / 'rows.csv').write_text(text)
    with pytest.raises(ValueError, match=said):
        table.read(tmp_path / 'rows.csv')


@pytest.mark.parametrize('other', [{'hash_test': 'zz'}, {'hash_train': 'zz'}, {'classes': 20}])
def test_two_data_sets_do_not_mix(other):
    rows = table_of(*[{'seed': i, 'cell': f'c{i}'} for i in range(5)], {'cell': 'd', **other})
    with pytest.raises(ValueError) as error:
        curve.check(rows)
    said = str(error.value)
    assert '5 rows (cells/c0, cells/c1, cells/c2, cells/c3, cells/c4) with' in said
    assert '1 row (cells/d) with' in said and 'Delete the folders of the cells' in said
    assert str(*other.values()) in said


def test_two_cells_of_one_place_are_refused():
    with pytest.raises(ValueError, match=r'cell c \(config f\) and cell d \(config g\)'):
        curve.check(table_of({}, {'cell': 'd', 'config': 'g'}))
    curve.check(table_of({}, {'seed': 1}, {'point': 'x=1'}, {'per_class': 8.0}, {'pretrain': 'rotation'}))


def test_reference_is_one_series():
    found = {Series('finetune', 'rotation'): {}, Series('finetune', 'simclr'): {}, Series('scratch', '', 'x=1'): {}}
    assert curve.reference(found, 'finetune:simclr') == Series('finetune', 'simclr')
    assert curve.reference(found) is None, 'there is none without a point'
    assert curve.reference(found, point='x=1') == Series('scratch', '', 'x=1')
    with pytest.raises(ValueError, match='finetune:rotation, finetune:simclr'):
        curve.reference(found, 'finetune')


def test_what_is_not_finite_is_left_out():
    assert curve.curves(table_of({'test_top1': math.nan}, {'seed': 1})) == {Series('scratch'): {4.0: {1: 0.5}}}


def test_other_labelled_images_are_found():
    rows = table_of({}, {'way': 'frozen'}, {'seed': 1}, {'seed': 1, 'way': 'frozen', 'hash_labeled': 'other'})
    assert curve.unpaired(rows) == [(4.0, 1)]


def test_a_change_of_pretraining_alone_has_the_reference_of_the_rest():
    one = Series('scratch', '', 'backbone.depth=3')
    curves = {Series('scratch'): {}, one: {}, Series('finetune', 'rotation'): {}}
    point = "pretrain.rotation.count=2 backbone.depth=3 pretrain.augment='a b=c'"
    assert curve.reference(curves, point=point) == one
    assert curve.reference(curves, point='pretrain.rotation.count=2') == Series('scratch')
    assert curve.reference(curves, point='transfer.checkpoint=runs/a b backbone.depth=3') == one
    assert curve.reference(curves, point='backbone.depth=2') is None
