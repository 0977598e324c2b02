"""The section on where the time went."""

import pytest

from ssljax.progress.goodput import LOST
from ssljax.report import goodput
from ssljax.report.read import Run


def spent(**seconds):
    found = dict.fromkeys(LOST, 0.0) | seconds
    return {'total': sum(found.values()), **found}


def shown(result):
    fields = dict.fromkeys(Run._fields) | {'result': result}
    section = goodput.goodput(Run(**fields))
    return section and str(section.body)


def seed(pretrain, scratch):
    return {'pretrain': {'spent': pretrain}, 'ways': {'scratch': {'spent': scratch, 'test': {'top1': 0.5}}}}


def test_the_shares_of_stages_are_summed_over_seeds():
    first = seed(spent(steps=60.0, compile=30.0, evaluate=10.0), spent(steps=5.0, save=5.0))
    second = seed(spent(steps=100.0), spent(steps=5.0, save=5.0))
    text = shown({'seconds': 260.0, 'seeds': [first, second]})
    for cell in '80.0', '15.0', '5.0', '50.0':  # of 200 s pretraining, of 20 s from scratch
        assert f'>{cell}<' in text
    assert 'All stages' in text and 'The other 40.0 s of the run' in text


@pytest.mark.parametrize('broken', [None, {}, {'steps': 1.0}, 'x', {'total': 'x'}])
def test_a_stage_that_has_not_measured_it_is_left_out(broken):
    text = shown({'seeds': [seed(broken, spent(steps=1.0))]})
    assert 'From scratch' in text and 'Pretraining' not in text and 'All stages' not in text
    assert shown({'seeds': [seed(broken, broken)]}) is None
