"""Metrics beside the main one: the floor of guessing, metrics over classes with their intervals, tests on the same
images: McNemar's or, for multi-label ones, the paired bootstrap."""

from ssljax import metrics, stats
from ssljax.report.compare import (
    is_multilabel,
    main,
    main_title,
    named_seeds,
    of_way,
    pick,
    seeds_of,
    selected,
    test_images,
    versus_scratch,
    ways_of,
)  # fmt: skip
from ssljax.report.markup import folded, grid, section
from ssljax.report.words import interval, number, p_value, percent, way_title

BY_CLASS = ('macro_f1', 'auroc', 'sensitivity', 'specificity')  # shown beside balanced accuracy
MULTILABEL = ('macro_f1', 'micro_f1', 'auroc', 'exact_match', 'hamming')  # beside mAP
MAJORITY = 'Always the majority class'
CHANCE = 'Chance (classes at their prevalence)'


def class_counts(result, split='test'):
    """Number of images of each class in a split: 'test', 'val' or, for the first seed, 'labeled'; [] if unknown."""
    seed = next(iter(seeds_of(result)), {})
    known = pick(result, 'data', 'per_class', split) or pick(seed, 'partition', split, 'per_class')
    if known or split != 'test':
        return known or []
    found = (pick(seed, 'ways', way, 'test', 'confusion') for way in ways_of(result))
    return [sum(row) for row in next(filter(None, found), ())]


def majority(result, split='test'):
    """What guessing gives, in [0, 1]; None if unknown: the top-1 of always predicting the majority class of a split or,
    for multi-label images, the mAP of a random order, the mean share of the images that have a class."""
    counts = class_counts(result, split)
    if is_multilabel(result):
        images, known = pick(result, 'data', 'counts', split), [n for n in counts if n]
        return sum(known) / len(known) / images if images and known else None
    return max(counts) / sum(counts) if sum(counts) else None


def floor_title(result):
    """What `majority` is called in a table."""
    return CHANCE if is_multilabel(result) else MAJORITY


def floored(result, share):
    """The sentence on the line at `majority` in a plot; '' if it is unknown."""
    if is_multilabel(result):
        return f'Dash-dotted: chance, {100 * share:.1f} %.' if share else ''
    return f'Dash-dotted: always the majority class, {100 * share:.1f} %.' if share else ''


def floor_meaning(result):
    """What the row of `floor_title` is, for a caption."""
    if is_multilabel(result):
        return f'{CHANCE}: the mAP of images in random order, the mean share of the images that have a class.'
    return f'{MAJORITY}: the top-1 of always predicting it.'


def imbalance(result):
    """The imbalance ratio of the labelled or the test images, whichever is larger; 1.0 if unknown."""
    found = [[n for n in class_counts(result, split) if n] for split in ('labeled', 'test')]
    return max([max(counts) / min(counts) for counts in found if counts], default=1.0)


def beside_top1(result):
    """Whether balanced accuracy is shown beside top-1: the classes are imbalanced, or another metric selected."""
    known = any(of_way(result, way, 'test', 'balanced_accuracy') for way in ways_of(result))
    return known and (imbalance(result) > metrics.IMBALANCED or selected(result) != 'top1')


def by_images(result, way, metric=''):
    """{'low', 'high'}: the 95% interval of the mean over seeds that the number of test images implies; None if unknown.
    Wilson's for top-1; for other metrics the ends of every seed's interval are averaged. '' is the main one."""
    metric = metric or main(result)
    if metric == 'top1':
        top1 = of_way(result, way, 'test', metric)
        return top1 and stats.of_images(top1['mean'], test_images(result))
    ends = [pick(seed, 'ways', way, 'test', 'intervals', metric) for seed in seeds_of(result)]
    ends = [pair for pair in ends if pair]
    low, high = ([pair[i] for pair in ends] for i in (0, 1))
    return {'low': sum(low) / len(low), 'high': sum(high) / len(high)} if ends else None


def balanced_rows(result, count):
    """A header and `count` rows of strings: each way's balanced accuracy with the interval by test images."""
    name, rows = 'balanced_accuracy', []
    for way in ways_of(result):
        rows.append([percent(of_way(result, way, 'test', name)), interval(by_images(result, way, name))])
    even = sum(n > 0 for n in class_counts(result))
    rows += [['–', '–']] * (count - len(rows) - 1) + [[f'{100 / even:.2f}', '–']]
    return [['Balanced accuracy %', 'By test images'], *rows[:count]]


def section_of(run):
    """The section on metrics by class or, for multi-label images, on metrics."""
    result = run.result
    if is_multilabel(result):
        return of_multilabel(result)
    ways = [way for way in ways_of(result) if of_way(result, way, 'test', 'balanced_accuracy')]
    if not ways:
        return None
    shown = [name for name in BY_CLASS if any(of_way(result, way, 'test', name) for way in ways)]
    header = ['Way', 'Balanced accuracy %', 'By test images', *(title(name) for name in shown)]
    rows = []
    for way in ways:
        row = [way_title(way), percent(of_way(result, way, 'test', 'balanced_accuracy'))]
        row.append(interval(by_images(result, way, 'balanced_accuracy')))
        rows.append(row + [with_interval(result, way, name) for name in shown])
    table = grid(header, rows, caption(result, shown))
    return section('Metrics by class', table, against_scratch(result), mcnemar(result))


def of_multilabel(result):
    """`section_of` for multi-label images."""
    ways = [way for way in ways_of(result) if of_way(result, way, 'test', 'mAP')]
    rows = [[way_title(way), *(with_interval(result, way, name) for name in MULTILABEL)] for way in ways]
    said = (
        'On the test images; in brackets: the 95% interval implied by their number (a bootstrap over images; Wilson '
        'for exact match). Macro AUROC: mean over classes; like mAP, the mean of the average precision, it needs '
        'no threshold; F1 (mean over classes; of all pairs of image and class), exact match (images of which every '
        'class is right) and Hamming accuracy (pairs that are right) are at the threshold of the best macro-F1 on '
        f'validation. Weights were selected by {metrics.TITLES[selected(result)]} on validation.'
    )
    table = grid(['Way', *map(title, MULTILABEL)], rows, said) if rows else ''
    return section('Metrics', table, bootstrap(result))


def bootstrap(result):
    """The table of the paired bootstrap of each seed."""
    rows = []
    for name, seed in named_seeds(result):
        for way, found in (seed.get('bootstrap') or {}).items():
            points = [f'{100 * found[key]:+.2f}'.replace('-', '−') for key in ('difference', 'low', 'high')]
            rows.append([way_title(way), name, points[0], f'{points[1]} to {points[2]}', p_value(found['p'])])
    said = (
        'Paired bootstrap: mAP minus that of training from scratch, in points, by seed, both measured on the same '
        'resampled test images. It compares two trained networks on these images; it says nothing about other label '
        'sets or seeds.'
    )
    table = grid(['Way', 'Seed', 'Against scratch', '95% interval', 'p'], rows, said) if rows else ''
    many = len(seeds_of(result)) >= stats.FEWEST  # which are compared by the paired test
    return folded('Paired bootstrap of each seed', table) if many else table


def title(name):
    """'Macro-F1 %'."""
    words = metrics.TITLES[name]
    return f'{words} %' if name == 'mAP' else f'{words[0].upper()}{words[1:]} %'


def with_interval(result, way, name):
    """'81.20 ± 0.43 (80.10 to 82.31)'."""
    found, ends = of_way(result, way, 'test', name), by_images(result, way, name)
    return percent(found) + (f' ({interval(ends)})' if ends else '')


def caption(result, shown):
    """What the table shows."""
    said = [
        'On the test images. Balanced accuracy: mean recall of the classes. "By test images" and in brackets: the 95% '
        'interval implied by their number (Wilson for recalls, a bootstrap within each class for macro-F1 and AUROC).'
    ]
    found = [pick(seed, 'ways', way, 'test', 'positive') for seed in seeds_of(result) for way in ways_of(result)]
    positive = next((place for place in found if place is not None), None)
    names = pick(result, 'data', 'classes') or []
    if 'sensitivity' in shown and positive is not None and positive < len(names):
        said.append(f'Sensitivity is the recall of the positive class, "{names[positive]}".')
    said.append(f'Weights were selected by {metrics.TITLES[selected(result)]} on validation.')
    return ' '.join(said)


def against_scratch(result):
    """The table of differences in balanced accuracy."""
    found, rows = versus_scratch(result, 'balanced_accuracy'), []
    tested = any(stats.enough(one) for one in found.values())
    for way, one in found.items():
        row = [way_title(way), percent(one, sign=True), interval(one, sign=True)]
        rows.append(row + [p_value(one['p_holm'])] * tested)
    said = 'Balanced accuracy minus that of training from scratch, in points, paired by seed'
    said += '; p of the paired t-test.' if tested else f'; too few seeds for a test, which needs {stats.FEWEST}.'
    return grid(['Way', 'Against scratch', '95% interval', *['p, Holm'] * tested], rows, said) if rows else ''


def mcnemar(result):
    """The table of the images that only one of two trained networks gets right."""
    rows = []
    for name, seed in named_seeds(result):
        for way, found in (seed.get('mcnemar') or {}).items():
            cells = [number(found['gained']), number(found['lost']), p_value(found['p'])]
            rows.append([way_title(way), name, *cells])
    said = (
        'McNemar: test images that only the way, or only training from scratch, gets right, by seed, with the p of the '
        'exact test. It compares two trained networks on these images; it says nothing about other label sets or seeds.'
    )
    table = grid(['Way', 'Seed', 'Only the way right', 'Only scratch right', 'p'], rows, said) if rows else ''
    many = len(seeds_of(result)) >= stats.FEWEST  # which are compared by the paired test
    return folded("McNemar's test of each seed", table) if many else table


def on_these_images(result, way):
    """A sentence for too few seeds: McNemar's test, or the paired bootstrap, of a way against scratch with the first
    seed; '' if unknown."""
    name, seed = next(iter(named_seeds(result)), ('', {}))
    if found := pick(seed, 'bootstrap', way):
        p = p_value(found['p'])
        return (
            f'On resampled test images of seed {name}, the difference in {main_title(result)} has a 95% interval of '
            f'{interval(found, sign=True)} points (paired bootstrap, p {"" if p[0] == "<" else "= "}{p}); this '
            'compares two trained networks, not two ways of training.'
        )
    found = pick(seed, 'mcnemar', way)
    if not found:
        return ''
    p = p_value(found['p'])
    return (
        f'Of the test images of seed {name}, {found["gained"]:,} are classified correctly by {way_title(way)} alone '
        f'and {found["lost"]:,} by training from scratch alone (McNemar, p {"" if p[0] == "<" else "= "}{p}); this '
        'compares two trained networks, not two ways of training.'
    )
