"""What has a place in so many minutes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import PHOTOS, times

from ssljax.planning import budget, photographs, rules
from ssljax.planning.budget import LADDER, Speed
from ssljax.planning.trained import Trained

SETS = rules.sets(PHOTOS, {'data.val': '20%'})
BOTH = Trained(('joint', 'pretrain'), 'simclr', 'finetune', 'flexmatch')
LADDERS = ((LADDER, BOTH), (photographs.LADDER, Trained(('pretrain',), 'simclr', 'frozen', 'flexmatch', shared=True)))


def total(rung, found, trained=BOTH, figures=True):
    return sum(budget.seconds(rung, trained.first(rung.parts), found, SETS, 5, figures).values())


@pytest.mark.parametrize('ladder, trained', LADDERS)
def test_the_rungs_become_shorter(ladder, trained):
    for speed in (Speed(8.0, 0.02, 0.05), Speed(30.0, 0.5, 0.1)):
        found = [total(rung, times(speed=speed), trained) for rung in ladder]
        assert found == sorted(found, reverse=True)
    assert min(rung.seeds for rung in ladder) == 3 and min(rung.steps for rung in ladder) == budget.LEAST


@pytest.mark.parametrize('ladder, trained', LADDERS)
@given(st.floats(2, 1e4), st.floats(1e-3, 1.0), st.floats(0.1, 60))
def test_what_is_chosen_fits_and_the_next_better_does_not(ladder, trained, minutes, step, compile):
    found = times(speed=Speed(compile, step, 0.05))
    chosen = budget.choose(minutes, trained, found, SETS, 5, ladder=ladder)
    figures = minutes >= budget.WITHOUT_FIGURES
    fits = lambda rung: total(rung, found, trained, figures) <= 60 * budget.SHARE * minutes
    if chosen is None:
        assert not any(map(fits, ladder)) and budget.needed(trained, found, SETS, 5, ladder) > minutes
    else:
        least = next(rung for rung in ladder if fits(rung))
        assert chosen[0]._replace(pretrained=least.pretrained) == least and fits(chosen[0])
        longer = chosen[0]._replace(pretrained=chosen[0].pretraining + 100)
        assert not least.most or chosen[0].pretrained == least.most or not fits(longer)


def test_where_the_first_part_does_not_fit_the_second_does_alone():
    speeds = times().speeds | {'flexmatch': Speed(8.0, 5.0, 0.05)}
    rung, kept, _ = budget.choose(10, BOTH, times()._replace(speeds=speeds), SETS, 5)
    assert kept.parts == ('pretrain',) and rung.parts == 1
    assert kept.ways == ('scratch', 'finetune') and kept.kinds == ['scratch', 'pretrain']


def test_the_time_by_hand():
    rung = budget.Rung(3, 1000, 2, (0.5,))
    found = budget.seconds(rung, BOTH, times(), SETS, 5, False)
    assert found['loading and planning'] == budget.IMPORTS + 20 + 1
    assert found['compilation'] == pytest.approx(4 * 1.15 * 8)  # scratch, finetune, pretrain, flexmatch
    assert found['training'] == pytest.approx(3 * 3 * (1000 * 0.02 + 5 * 0.05 + budget.STAGE))
    assert found['pretraining'] == pytest.approx(3 * (1500 * 0.02 + 3 * (2 + 10) * 0.05 + budget.STAGE))
    again = 20 + 0.25 + budget.STAGE + 7 * 0.05  # scratch, and the longest of the other ways
    assert found['learning curve'] == pytest.approx(3 * (2 * again + 1))
    once = budget.seconds(rung, BOTH._replace(shared=True), times(), SETS, 5, False)
    assert 3 * once['pretraining'] == pytest.approx(found['pretraining'])
    assert found['report'] == budget.PAGE
    longer = budget.seconds(rung._replace(pretrained=4000), BOTH, times(), SETS, 5, False)
    assert longer['pretraining'] - found['pretraining'] == pytest.approx(3 * 2500 * 0.02)
    assert all(longer[what] == found[what] for what in found if what != 'pretraining')


def test_a_step_of_the_head_alone_is_shorter():
    frozen, tuned = (LADDERS[1][1]._replace(way=way) for way in ('frozen', 'finetune'))
    rung = photographs.LADDER[-1]
    found = [budget.seconds(rung, kept, times(), SETS, 5, False)['training'] for kept in (frozen, tuned)]
    assert found[1] - found[0] == pytest.approx(3 * rung.steps * (1 - budget.FROZEN) * 0.02)


def test_all_ways_that_are_given_have_their_time():
    rung, one = budget.Rung(3, 1000, 1, (0.5,)), BOTH._replace(given=('scratch', 'frozen'))
    more = one._replace(given=('random_frozen', 'scratch', 'frozen', 'finetune', 'two_stage', 'flexmatch', 'uda'))
    few, all_ = (budget.seconds(rung, trained, times(), SETS, 5, False) for trained in (one, more))
    halves, wholes = 1000 * 0.02 * budget.FROZEN, 1000 * 0.02
    assert all_['training'] - few['training'] == pytest.approx(3 * (halves + 4 * wholes + 5 * (0.25 + budget.STAGE)))
    assert more.kinds == ['scratch', 'pretrain', 'flexmatch', 'uda'] and more.first(1) == more
    own = budget.seconds(rung, more._replace(steps=(('transfer.finetune', 9000),)), times(), SETS, 5, False)
    assert own['training'] - all_['training'] == pytest.approx(3 * 8000 * 0.02)
    given = budget.seconds(rung, more._replace(pretrains=False), times(), SETS, 5, False)
    assert given['pretraining'] == 0 and given['training'] == all_['training']


def test_without_parts_or_labels_enough_the_rungs_have_none():
    rung, kept, _ = budget.choose(100, BOTH._replace(parts=()), times(), SETS, 5, able=())
    assert kept.ways == ('scratch',) and rung.parts == 0 and rung.curve == ()
