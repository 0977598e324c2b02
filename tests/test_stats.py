"""Statistics over seeds, against scipy's tests and values worked by hand."""

import json

import pytest
import scipy.stats

from ssljax import stats
from ssljax.records.result import summarise

OURS, BASE = [0.7209, 0.7202, 0.7261], [0.6756, 0.6605, 0.6590]


def test_interval_and_p_are_students():
    expected = scipy.stats.ttest_rel(OURS, BASE)
    found = stats.difference(zip(OURS, BASE))
    interval = expected.confidence_interval(0.95)
    assert found['p'] == pytest.approx(expected.pvalue)
    assert (found['low'], found['high']) == pytest.approx((interval.low, interval.high))
    assert found['std'] == pytest.approx(0.0110857, abs=1e-6)


def test_one_seed_has_no_interval():
    found = stats.difference([(0.7, 0.6)])
    assert found['mean'] == pytest.approx(0.1)
    assert [found[k] for k in ('std', 'low', 'high', 'p')] == [None] * 4
    assert stats.difference([(None, 0.5)]) is None and stats.spread([]) is None


def test_identical_differences_have_no_p():
    pairs = [(0.8, 0.7), (0.9, 0.8), (0.4, 0.3)]  # the same up to rounding
    found = stats.correct({'a': stats.difference(pairs), 'b': stats.difference(zip(OURS, BASE))})
    assert found['a']['p'] is None and found['a']['p_holm'] is None
    assert found['b']['p_holm'] == found['b']['p'], 'what has no p does not count'


def test_holm():
    assert stats.holm([0.01, 0.04, 0.03, None]) == pytest.approx([0.03, 0.06, 0.06, None])
    assert stats.holm([0.6, 0.7]) == [1.0, 1.0] and stats.holm([]) == []


def test_a_missing_seed_leaves_its_pair_out():
    found = stats.against({'scratch': [0.5, 0.6, 0.7], 'x': [0.6, None, 0.9]})
    assert found['x']['values'] == pytest.approx([0.1, 0.2])


def test_summary_holds_variants():
    tops = {'scratch': (0.5, 0.6, 0.5), 'wide': (0.6, 0.8, 0.7), 'sgan': (0.7, 0.8, 0.8), 'plain': (0.6, 0.5, 0.7)}
    seeds = [{'ways': {w: {'test': {'top1': v[i]}} for w, v in tops.items()}} for i in range(3)]
    variants = (('wide', 'scratch', (('backbone.width', 32),)), ('plain', 'sgan', (('transfer.augment', ''),)))
    found = summarise(seeds, variants)
    assert found['versus_unchanged']['wide'] == found['versus_scratch']['wide']
    plain = found['versus_unchanged']['plain']
    assert plain['mean'] == pytest.approx(-1 / 6) and plain['p_holm'] == plain['p']
    assert set(found['versus_scratch']) == {'wide', 'sgan', 'plain'}
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert 'versus_unchanged' not in summarise(seeds)


@pytest.mark.parametrize('share, count', [(0.83, 1000), (0.5, 20), (1.0, 10), (0.0, 10)])
def test_the_number_of_test_images_leaves_an_interval(share, count):
    found = stats.of_images(share, count)
    low, high = scipy.stats.binomtest(round(share * count), count).proportion_ci(method='wilson')
    assert (found['low'], found['high']) == pytest.approx((low, high), abs=1e-12)
    assert found['error'] == pytest.approx((share * (1 - share) / count) ** 0.5)
    assert stats.of_images(share, 0) is None and stats.of_images(None, 5) is None


def test_mcnemar_is_the_exact_binomial_test():
    ours, others = [1] * 12 + [0] * 3 + [1] * 20, [0] * 12 + [1] * 3 + [1] * 20
    found = stats.mcnemar(ours, others)
    assert (found['gained'], found['lost']) == (12, 3)
    assert found['p'] == pytest.approx(scipy.stats.binomtest(12, 15).pvalue)
    assert stats.mcnemar(ours, ours) == {'gained': 0, 'lost': 0, 'p': 1.0}
    assert stats.mcnemar([1, 0], [0, 1])['p'] == 1.0


def test_two_seeds_are_too_few():
    two = stats.correct({'a': stats.difference([(0.8, 0.7), (0.9, 0.7999)])})['a']
    assert two['p_holm'] < 0.05 and not stats.is_clear(two)
    three = stats.correct({'a': stats.difference([(0.8, 0.7), (0.9, 0.7999), (0.8, 0.7)])})['a']
    assert stats.is_clear(three)
