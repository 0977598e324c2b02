"""Learning curves: what is extrapolated, and how often its interval holds the truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssljax.planning import curve

BUDGETS = (12, 24, 48)


def accuracy(n, limit=0.0, b=0.5):
    return 1 - limit - (0.5 - limit) * (n / 12) ** -b


def test_the_error_of_a_pure_power_law_lies_within_its_interval_and_never_above_no_gain():
    found = curve.extrapolate({n: [accuracy(n)] * 3 for n in BUDGETS})
    assert [p.labels for p in found] == [96, 192]
    for point in found:
        assert point.low - 1e-3 <= accuracy(point.labels) <= point.high + 0.01
        assert accuracy(48) - 0.01 <= point.low <= point.value <= point.high


@pytest.mark.parametrize('limit, b', [(0.0, 0.4), (0.1, 0.7), (0.2, 1.0)])
def test_the_interval_holds_the_truth_as_often_as_it_says(limit, b):
    random, held = np.random.default_rng(1), 0
    for _ in range(60):
        points = {n: list(accuracy(n, limit, b) + 0.02 * random.standard_normal(3)) for n in BUDGETS}
        (point,) = curve.extrapolate(points, factors=(2,), draws=400)
        held += point.low <= accuracy(96, limit, b) <= point.high
    assert held >= 54


@settings(max_examples=30)
@given(st.lists(st.lists(st.floats(0, 1), min_size=2, max_size=4), min_size=2, max_size=4))
def test_any_accuracies_give_an_interval_within_0_and_1(values):
    found = curve.extrapolate({10 * 2**i: v for i, v in enumerate(values)}, draws=50)
    for point in found:
        assert 0 <= point.low <= point.value <= point.high <= 1


def test_more_seeds_that_differ_less_leave_less_open():
    wide, narrow = (
        curve.extrapolate({n: [accuracy(n) + s * d for s in (-1, 0, 1)] for n in BUDGETS})[0] for d in (0.06, 0.005)
    )
    assert narrow.high - narrow.low < wide.high - wide.low


@pytest.mark.parametrize('points', [{}, {48: [0.7, 0.8, 0.9]}, {24: [0.7], 48: [0.8]}])
def test_one_seed_or_one_number_of_labels_tells_nothing(points):
    assert curve.extrapolate(points) == []
