"""The answer in words and figures, from results that are made up."""

import pytest

from ssljax import stats
from ssljax.planning import answer
from ssljax.records.result import summarise


def outcome(ways, test=700):
    """A result.json of {way: accuracies}."""
    seeds = [
        {'seed': i, 'ways': {w: {'test': {'top1': v[i]}, 'val': {'top1': v[i]}} for w, v in ways.items()}}
        for i in range(len(ways['scratch']))
    ]
    return {'seeds': seeds, 'data': {'counts': {'test': test}}} | summarise(seeds)


CLEAR = {'scratch': [0.60, 0.62, 0.61, 0.60], 'finetune': [0.70, 0.73, 0.71, 0.705]}
POINTS = {
    'scratch': {12: {0: 0.50, 1: 0.52, 2: 0.51, 3: 0.5}, 24: {0: 0.55, 1: 0.57, 2: 0.56, 3: 0.55}},
    'finetune': {12: {0: 0.56, 1: 0.57, 2: 0.58, 3: 0.57}, 24: {0: 0.63, 1: 0.65, 2: 0.64, 3: 0.64}},
}


def full(ways, points=POINTS):
    return {w: points.get(w, {}) | {48: dict(enumerate(ways[w]))} for w in ways}


def test_a_clear_lead_helps_and_is_worth_labels():
    found = answer.of_points(outcome(CLEAR), 'finetune', 48, full(CLEAR))
    assert found['ways']['finetune']['verdict'] == 'helps' and found['curve']['way'] == 'finetune'
    first, labels, more = found['sentences']
    assert first.startswith('Fine-tuned (self-supervised) helps here: +10.3') and '95% interval' in first
    ratio = float(found['worth']['ratio'])
    assert 0.25 < ratio < 0.5 and f'needs {found["worth"]["ratio"]} times the labels' in labels
    assert [p['labels'] for p in found['curve']['more']] == [96, 192] and 'with 96 labels' in more
    assert [p['labels'] for p in found['curve']['points']] == [12, 24, 48]


def test_without_scratch_nothing_is_compared():
    alone = {'finetune': CLEAR['finetune']}
    seeds = [{**record, 'ways': {'finetune': record['ways']['finetune']}} for record in outcome(CLEAR)['seeds']]
    found = {'seeds': seeds, 'data': {'counts': {'test': 700}}} | summarise(seeds)
    points = {'finetune': full(alone)['finetune'], 'scratch': POINTS['scratch']}
    said = answer.of_points(found, 'finetune', 48, points)['sentences']
    assert said[0].startswith('Training from scratch was not run') and said[1].startswith('More labels, Fine-tuned:')
    assert len(said) == 2


def test_one_pretraining_for_all_seeds_is_said():
    shared = outcome(CLEAR)
    for record in shared['seeds'][1:]:
        record['pretrain'] = {'method': 'simclr', 'shared': 0}
    said = answer.of_points(shared, 'finetune', 48, full(CLEAR))['sentences']
    assert len(said) == 4 and said[1].startswith('One pretraining served all seeds')


def test_a_loss_harms_and_noise_is_no_clear_difference():
    worse = {'scratch': CLEAR['finetune'], 'finetune': CLEAR['scratch']}
    assert answer.of_points(outcome(worse), 'finetune', 48, full(worse, {}))['ways']['finetune']['verdict'] == 'harms'
    noise = {'scratch': [0.6, 0.7, 0.65], 'flexmatch': [0.66, 0.67, 0.66]}
    found = answer.of_points(outcome(noise), 'flexmatch', 48, full(noise, {}))
    assert found['ways']['flexmatch']['verdict'] == 'unclear'
    assert 'FlexMatch (semi-supervised) makes no clear difference here' in found['sentences'][0]
    assert found['worth'] is None and 'cannot be told' in found['sentences'][-1]


@pytest.mark.parametrize(
    'seeds, test, why',
    [(2, 700, '2 seeds are too few'), (1, 700, '1 seed is too few'), (4, 40, '40 test images are too few')],
)
def test_two_seeds_or_few_test_images_tell_nothing(seeds, test, why):
    ways = {way: values[:seeds] for way, values in CLEAR.items()}
    found = answer.of_points(outcome(ways, test), 'finetune', 48, full(ways, {}))
    assert found['ways']['finetune']['verdict'] == 'too few'
    assert 'cannot be told' in found['sentences'][0] and why in found['sentences'][0]
    assert ' helps here:' not in ' '.join(found['sentences'])
    told = answer.of_points(outcome(CLEAR, test), 'finetune', 48, full(CLEAR))['sentences'][-1]
    assert (told == f'With only {test} test images, this is less certain still.') == (test == 40)


def test_less_than_the_fewest_labels_is_a_bound():
    points = full(CLEAR, {'scratch': POINTS['scratch'], 'finetune': {24: dict(enumerate([0.68, 0.69, 0.68, 0.67]))}})
    said = answer.of_points(outcome(CLEAR), 'finetune', 48, points)['sentences'][1]
    assert 'needs less than 0.5 times the labels (fewer than 24 of 48)' in said and 'interval' not in said


def test_another_metric_is_the_one_that_is_compared():
    ways = {way: {'balanced_accuracy': values, 'top1': [0.9] * 4} for way, values in CLEAR.items()}
    seeds = [
        {
            'seed': i,
            'ways': {w: {s: {m: v[i] for m, v in found.items()} for s in ('test', 'val')} for w, found in ways.items()},
        }
        for i in range(4)
    ]
    result = {'seeds': seeds, 'data': {'counts': {'test': 700}}, 'config': {'select': 'balanced_accuracy'}}
    found = answer.of_points(result | summarise(seeds), 'finetune', 48, full(CLEAR))
    assert found['metric'] == 'balanced_accuracy' and found['ways']['finetune']['verdict'] == 'helps'
    assert 'points of balanced accuracy against' in found['sentences'][0]


def test_scratch_alone_compares_nothing_and_has_its_curve():
    ways = {'scratch': CLEAR['scratch']}
    found = answer.of_points(outcome(ways), '', 48, full(ways))
    assert found['ways'] == {} and found['worth'] is None and found['curve']['way'] == 'scratch'
    assert found['sentences'][0].startswith('Only training from scratch was run, so whether')
    assert found['curve']['more'][0]['low'] <= stats.spread(CLEAR['scratch'])['mean'] + 0.03


def test_a_way_that_never_reaches_scratch_is_not_worth_any():
    ways = {'scratch': CLEAR['finetune'], 'finetune': CLEAR['scratch']}
    found = answer.of_points(outcome(ways), 'finetune', 48, full(ways))
    assert found['worth']['ratio'].startswith('>') and 'needs more than 48 to reach' in found['sentences'][1]
