"""Metrics beside top-1: the majority class, metrics over classes with their intervals, McNemar's test."""

from ssljax import metrics, stats
from ssljax.report.compare import named_seeds, of_way, pick, seeds_of, selected, test_images, versus_scratch, ways_of
from ssljax.report.markup import folded, grid, section
from ssljax.report.words import interval, number, p_value, percent, way_title

BY_CLASS = ('macro_f1', 'auroc', 'sensitivity', 'specificity')  # shown beside balanced accuracy


def class_counts(result, split='test'):
    """Number of images of each class in a split: 'test', 'val' or, of the first seed, 'labeled'; [] if unknown."""
    seed = next(iter(seeds_of(result)), {})
    known = pick(result, 'data', 'per_class', split) or pick(seed, 'partition', split, 'per_class')
    if known or split != 'test':
        return known or []
    found = (pick(seed, 'ways', way, 'test', 'confusion') for way in ways_of(result))
    return [sum(row) for row in next(filter(None, found), ())]


def majority(result, split='test'):
    """The top-1 of always predicting the majority class of a split, in [0, 1]; None if unknown."""
    counts = class_counts(result, split)
    return max(counts) / sum(counts) if sum(counts) else None


def imbalance(result):
    """The imbalance ratio of the labelled or the test images, whichever is larger; 1.0 if unknown."""
    found = [[n for n in class_counts(result, split) if n] for split in ('labeled', 'test')]
    return max([max(counts) / min(counts) for counts in found if counts], default=1.0)


def beside_top1(result):
    """Whether balanced accuracy is shown beside top-1: the classes are imbalanced, or another metric selected."""
    known = any(of_way(result, way, 'test', 'balanced_accuracy') for way in ways_of(result))
    return known and (imbalance(result) > metrics.IMBALANCED or selected(result) != 'top1')


def by_images(result, way, metric='top1'):
    """{'low', 'high'}: the 95% interval of the mean over seeds that the number of test images implies; None if unknown.
    Wilson's for top-1; for other metrics the ends of every seed's interval are averaged."""
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
    """The section of the page."""
    result = run.result
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


def title(name):
    """'Macro-F1 %'."""
    return f'{metrics.TITLES[name][0].upper()}{metrics.TITLES[name][1:]} %'


def with_interval(result, way, name):
    """'81.20 ± 0.43 (80.10 to 82.31)'."""
    found, ends = of_way(result, way, 'test', name), by_images(result, way, name)
    return percent(found) + (f' ({interval(ends)})' if ends else '')


def caption(result, shown):
    """What the table says, and of what."""
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
    said = 'Differences in balanced accuracy to training from scratch, in points, paired by seed'
    said += '; p of the paired t-test.' if tested else f'; too few seeds for a test, which needs {stats.FEWEST}.'
    return grid(['Way', 'Against scratch', '95% interval', *['p, Holm'] * tested], rows, said) if rows else ''


def mcnemar(result):
    """The table of the images that one of two trained networks alone has right."""
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
    """A sentence for too few seeds: McNemar's test of a way against scratch with the first seed; '' if unknown."""
    name, seed = next(iter(named_seeds(result)), ('', {}))
    found = pick(seed, 'mcnemar', way)
    if not found:
        return ''
    p = p_value(found['p'])
    return (
        f'Of the test images of seed {name}, {found["gained"]:,} are classified correctly by {way_title(way)} alone '
        f'and {found["lost"]:,} by training from scratch alone (McNemar, p {"" if p[0] == "<" else "= "}{p}); this '
        'compares two trained networks, not two ways of training.'
    )
