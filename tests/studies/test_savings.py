"""Label savings against hand-worked curves."""

import numpy as np
import pytest

from ssljax.studies.curve import Series
from ssljax.studies.savings import Ratio, savings

SCRATCH, OTHER = Series('scratch'), Series('fixmatch')


def curve(budgets, means, offsets=(0.0,)):
    """Every seed's accuracies are the means plus its offset."""
    return {b: {seed: mean + offset for seed, offset in enumerate(offsets)} for b, mean in zip(budgets, means)}


def ratios(reference, other):
    return {found.budget: found.ratio for found in savings({SCRATCH: reference, OTHER: other})}


def test_a_curve_shifted_by_a_factor_needs_that_share():
    budgets, means, offsets = [2, 4, 8, 16, 32], [0.2, 0.35, 0.5, 0.6, 0.65], [0.03, -0.05, 0.0, 0.04, 0.01]
    reference = curve(budgets, means, offsets)
    other = curve([b / 2 for b in budgets], means, offsets)
    for found in savings({SCRATCH: reference, OTHER: other}):
        assert found.series == OTHER and found.seeds == 5
        # The same seeds are drawn for both, so what they share is no uncertainty.
        for ratio in (found.ratio, found.low, found.high):
            assert ratio.sign == '' and ratio.value == pytest.approx(0.5, abs=1e-6)
    back = savings({SCRATCH: other, OTHER: reference})
    assert [found.ratio.value for found in back] == pytest.approx([2.0] * 5)
    assert [found.accuracy for found in back] == pytest.approx([mean + 0.006 for mean in means])


def test_between_budgets_it_is_linear_in_log2_of_the_labels():
    # 0.5 lies a quarter of the way from 0.4 to 0.8, so log2(labels) a quarter of the way from 0 to 4: 2 labels.
    assert ratios(curve([8], [0.5]), curve([1, 16], [0.4, 0.8]))[8].value == pytest.approx(0.25)


def test_a_fall_is_pooled_and_the_fewest_labels_count():
    other = curve([1, 2, 4, 8], [0.2, 0.6, 0.5, 0.9])  # isotonic: 0.2, 0.55, 0.55, 0.9
    found = ratios(curve([2, 4], [0.55, 0.725]), other)
    assert found[2].value == pytest.approx(1.0)
    assert found[4].value == pytest.approx(2**2.5 / 4), 'halfway between 4 and 8'


def test_what_lies_beyond_the_curve_is_a_bound():
    found = ratios(curve([2, 64], [0.1, 0.9]), curve([4, 512], [0.3, 0.8]))
    assert found == {2: Ratio(2.0, '<'), 64: Ratio(8.0, '>')}
    assert [str(ratio) for ratio in found.values()] == ['< 2', '> 8']
    assert str(Ratio(1 / 16, '<')) == '< 0.063' and str(Ratio(4096 / 3, '>')) == '> 1,360'
    assert str(Ratio(0.3, '<')) == '< 0.3' and str(Ratio(1.239, '>')) == '> 1.23'
    assert str(Ratio(0.3123)) == '0.31' and str(Ratio(1.234)) == '1.23'


def test_interval_is_that_of_the_bootstrap_over_seeds():
    # log2(labels) for 0.5 is 2, and 3, 2, 1 of the single seeds. Of three seeds the same one is drawn three times with
    # p = 1/27 > 2.5%, so the interval ends at the single seeds.
    reference = curve([4], [0.5], [0, 0, 0])
    other = curve([1, 16], [0.3, 0.7], [-0.1, 0.0, 0.1])
    (found,) = savings({SCRATCH: reference, OTHER: other})
    assert [found.ratio.value, found.low.value, found.high.value] == pytest.approx([1.0, 0.5, 2.0])
    (cut,) = savings({SCRATCH: curve([4], [0.65], [0, 0, 0]), OTHER: other})  # of the lowest seed never reached
    assert cut.ratio.sign == cut.low.sign == '' and cut.high == Ratio(4.0, '>')
    assert savings({SCRATCH: reference, OTHER: other}) == [found], 'the same every time'
    two = savings({SCRATCH: reference, OTHER: curve([1, 16], [0.3, 0.7], [-0.1, 0.1])})
    assert two[0].low is None and two[0].high is None and two[0].seeds == 2


def test_only_seeds_of_both_count():
    reference = curve([4], [0.5]) | {8: {0: 0.6, 7: 0.0}}
    found = ratios(reference, curve([1, 16], [0.3, 0.7]))
    assert [found[4].value, found[8].value] == pytest.approx([1.0, 1.0])


def test_a_point_is_compared_with_the_reference_of_its_point():
    changed = OTHER._replace(point='x=1')
    curves = {SCRATCH: curve([4], [0.5]), changed: curve([1, 16], [0.3, 0.7])}
    assert savings(curves) == []
    curves[SCRATCH._replace(point='x=1')] = curve([8], [0.5])
    (found,) = savings(curves)
    assert (found.series, found.budget) == (changed, 8) and found.ratio.value == pytest.approx(0.5)


def test_a_whole_study_has_a_saving_for_every_way_and_budget_within_reach():
    rng, budgets = np.random.default_rng(0), [1, 4, 16, 64, 256, 1024, 4096]
    means = np.linspace(0.2, 0.9, 7)
    curves = {
        Series(way): {b: dict(enumerate(mean + rng.normal(0, 0.02, 10))) for b, mean in zip(budgets, means)}
        for way in ('scratch', 'finetune', 'frozen', 'fixmatch', 'mixmatch')
    }
    found = savings(curves)
    assert len(found) == 28 and all(one.low.value <= one.ratio.value <= one.high.value for one in found)
