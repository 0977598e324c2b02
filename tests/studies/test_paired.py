"""Paired comparisons, corrected over the whole table."""

import pytest
from scipy.stats import ttest_rel

from ssljax import stats
from ssljax.studies import curve
from ssljax.studies.curve import Series

SCRATCH, TUNED, FIXMATCH = Series('scratch'), Series('finetune', 'rotation'), Series('fixmatch')
BASE = [0.50, 0.52, 0.55, 0.49]


def seeds(values):
    return dict(enumerate(values))


def test_holm_counts_all_comparisons_of_the_table():
    ahead, level = [0.60, 0.63, 0.64, 0.60], [0.51, 0.51, 0.56, 0.48]
    curves = {
        SCRATCH: {4.0: seeds(BASE), 16.0: seeds(BASE)},
        TUNED: {4.0: seeds(ahead), 16.0: seeds(level)},
        FIXMATCH: {4.0: seeds(level), 64.0: seeds(ahead)},
    }
    found = curve.against_reference(curves)
    assert set(found) == {(TUNED, 4.0), (TUNED, 16.0), (FIXMATCH, 4.0)}, 'of both there must be a value'
    best = found[TUNED, 4.0]
    assert best['mean'] == pytest.approx((0.10 + 0.11 + 0.09 + 0.11) / 4)
    assert best['p'] == pytest.approx(ttest_rel(ahead, BASE).pvalue)
    assert best['p_holm'] == pytest.approx(3 * best['p']) and stats.is_clear(best)
    assert found[TUNED, 16.0]['p_holm'] == 1.0 and not stats.is_clear(found[TUNED, 16.0])
    against = curve.against_reference(curves, 'finetune')
    assert against[SCRATCH, 4.0]['mean'] == pytest.approx(-best['mean'])


def test_pairs_are_of_the_same_seed():
    curves = {SCRATCH: {4.0: {0: 0.5, 1: 0.1, 3: 0.4}}, FIXMATCH: {4.0: {3: 0.6, 0: 0.8, 2: 0.9}}}
    assert curve.against_reference(curves)[FIXMATCH, 4.0]['values'] == pytest.approx([0.2, 0.3])


def test_one_seed_has_no_test():
    (found,) = curve.against_reference({SCRATCH: {4.0: {0: 0.5}}, FIXMATCH: {4.0: {0: 0.9}}}).values()
    assert found['p'] is None and found['low'] is None and not stats.is_clear(found)


def test_points_against_their_base():
    points = {
        TUNED._replace(point='a=1'): {4.0: seeds([0.6, 0.7]), 16.0: seeds([0.9, 0.9])},
        Series('finetune', 'simclr', 'pretrain.method=simclr'): {4.0: seeds([0.5, 0.4])},
        Series('frozen', 'rotation', 'a=1'): {4.0: seeds([0.5, 0.4])},
    }
    curves = {SCRATCH: {4.0: seeds([0.1, 0.1])}, TUNED: {4.0: seeds([0.5, 0.5])}} | points
    changed, method, alone = points
    found = curve.against_base(curves)
    assert set(found) == {(changed, 4.0), (method, 4.0)}
    assert found[changed, 4.0]['values'] == pytest.approx([0.1, 0.2])
    assert found[method, 4.0]['values'] == pytest.approx([0.0, -0.1])
    assert found[changed, 4.0]['p_holm'] == pytest.approx(2 * found[changed, 4.0]['p'])
    assert curve.base(curves, alone) is None
