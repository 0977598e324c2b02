"""Figures beside top-1: what always naming one class gives, figures by class, and what the test images alone say of
two ways."""

from ssljax import metrics, stats
from ssljax.report.compare import named_seeds, of_way, pick, seeds_of, selected, test_images, versus_scratch, ways_of
from ssljax.report.markup import grid, section
from ssljax.report.words import count_of, interval, number, p_value, percent, way_title

BY_CLASS = ('macro_f1', 'auroc', 'sensitivity', 'specificity')  # what stands beside the balanced accuracy


def class_counts(result, split='test'):
    """How many images of each class a split has: 'test', 'val', or 'labeled', that of the first seed; [] where the
    result does not say."""
    seed = next(iter(seeds_of(result)), {})
    known = pick(result, 'data', 'per_class', split) or pick(seed, 'partition', split, 'per_class')
    if known or split != 'test':
        return known or []
    found = (pick(seed, 'ways', way, 'test', 'confusion') for way in ways_of(result))
    return [sum(row) for row in next(filter(None, found), ())]


def majority(result, split='test'):
    """The share of the most frequent class among the images of a split: the top-1 of always naming it; None where the
    result does not say."""
    counts = class_counts(result, split)
    return max(counts) / sum(counts) if sum(counts) else None


def imbalance(result):
    """How many times as many images as the rarest class the most frequent one has, where the labelled or the test
    images have it by more; 1.0 where the result does not say."""
    found = [[n for n in class_counts(result, split) if n] for split in ('labeled', 'test')]
    return max([max(counts) / min(counts) for counts in found if counts], default=1.0)


def beside_top1(result):
    """Whether the balanced accuracy stands beside top-1: the classes are not about equally frequent, or another figure
    than top-1 selected."""
    known = any(of_way(result, way, 'test', 'balanced_accuracy') for way in ways_of(result))
    return known and (imbalance(result) > metrics.IMBALANCED or selected(result) != 'top1')


def by_images(result, way, metric='top1'):
    """{'low', 'high'}: the 95% interval that the number of test images leaves of the mean over seeds; None where it is
    not known. Of accuracies Wilson's, of other figures the mean of the ends of every seed's."""
    if metric == 'top1':
        top1 = of_way(result, way, 'test', metric)
        return top1 and stats.of_images(top1['mean'], test_images(result))
    ends = [pick(seed, 'ways', way, 'test', 'intervals', metric) for seed in seeds_of(result)]
    ends = [pair for pair in ends if pair]
    low, high = ([pair[i] for pair in ends] for i in (0, 1))
    return {'low': sum(low) / len(low), 'high': sum(high) / len(high)} if ends else None


def balanced_rows(result, count):
    """A header and `count` rows of strings: the balanced accuracy of each way, and what the test images leave open."""
    name, rows = 'balanced_accuracy', []
    for way in ways_of(result):
        rows.append([percent(of_way(result, way, 'test', name)), interval(by_images(result, way, name))])
    even = sum(n > 0 for n in class_counts(result))
    rows += [['–', '–']] * (count - len(rows) - 1) + [[f'{100 / even:.2f}', '–']]
    return [['Balanced accuracy %', 'By test images'], *rows[:count]]


def figures(run):
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
    return section('Figures by class', table, against_scratch(result), mcnemar(result))


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
        'On the test images. Balanced accuracy: the mean of the recall of every class. "By test images" and in '
        'brackets: the 95% interval that their number leaves (of recalls by Wilson, of macro-F1 and AUROC by a '
        'bootstrap within each class).'
    ]
    found = [pick(seed, 'ways', way, 'test', 'positive') for seed in seeds_of(result) for way in ways_of(result)]
    positive = next((place for place in found if place is not None), None)
    names = pick(result, 'data', 'classes') or []
    if 'sensitivity' in shown and positive is not None and positive < len(names):
        said.append(f'Positive, of which the sensitivity is the recall: "{names[positive]}".')
    said.append(f'Validation selected by {metrics.TITLES[selected(result)]}.')
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
        'McNemar: test images that the way alone, or training from scratch alone, has right, by seed, and the p of the '
        'exact test. It compares two trained networks on these images, and says nothing of other label sets or seeds.'
    )
    return grid(['Way', 'Seed', 'It alone is right', 'Scratch alone is right', 'p'], rows, said) if rows else ''


def on_these_images(result, way):
    """The sentence on a way and scratch with too few seeds for a test: what the test images say of the networks of the
    first seed; '' where the result does not."""
    name, seed = next(iter(named_seeds(result)), ('', {}))
    found = pick(seed, 'mcnemar', way)
    if not found:
        return ''
    p = p_value(found['p'])
    return (
        f'Of the test images alone, seed {name}: {count_of(found["gained"], "image")} that {way_title(way)} alone has '
        f'right, {found["lost"]:,} that training from scratch alone has (McNemar, p {"" if p[0] == "<" else "= "}{p}); '
        'this compares two trained networks, not two ways of training.'
    )
