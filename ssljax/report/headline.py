"""What was found, in a few sentences: who beat whom by how much, and how sure that is."""

from ssljax import metrics, stats
from ssljax.report.by_class import beside_top1, by_images, on_these_images
from ssljax.report.compare import (
    best_way,
    is_multilabel,
    main,
    main_title,
    of_way,
    origin,
    pick,
    selected,
    test_images,
    versus_scratch,
    ways_of,
)  # fmt: skip
from ssljax.report.words import NOT_PRETRAINED, count_of, interval, is_number, p_value, percent, way_title
from ssljax.stats import BASELINE

SCRATCH = 'training from scratch'
FEW = 'too few seeds to tell'


def headline(result):
    """The sentences on a run as one text."""
    return ' '.join(filter(None, sentences(result)))


def sentences(result):
    """What beat what by how much, over how many seeds, and the accuracies; it says so when the way lost."""
    ways = ways_of(result)
    known = [way for way in ways if origin(result, way) == way]
    way = best_way(result, [way for way in known if way not in NOT_PRETRAINED]) or best_way(result)
    way = way or next(iter(ways), None)
    first, title = main(result), main_title(result)
    ours = of_way(result, way, 'test', first)
    if ours is None:
        return ['This run has no test accuracy yet.']
    labeled = pick(result, 'data', 'counts', 'labeled')
    budget = f' with {count_of(labeled, "label")}' if is_number(labeled) else ''
    images = of_images(ours, test_images(result))
    if is_multilabel(result):
        images = of_interval(by_images(result, way), test_images(result))
    difference, select = versus_scratch(result).get(way), selected(result)
    if difference is None:
        seeds = count_of(len(ours['values']), 'seed')
        return [f'{way_title(way)} reached {percent(ours)} % {title} on the test set{budget}, over {seeds}{images}.']
    scratch = percent(of_way(result, BASELINE, 'test', first))
    named = title if first == 'mAP' else title.capitalize()
    said = [
        f'{verdict(way_title(way), difference)}.',
        f'{named} on the test set{budget}: {percent(ours)} % against {scratch} %{images}.',
    ]
    other = select if select != first else 'balanced_accuracy' if beside_top1(result) else ''
    if other and (differs := versus_scratch(result, other).get(way)):
        said.append(f'By {metrics.TITLES[other]} on the test set: {verdict(way_title(way), differs)}.')
    return said + ([on_these_images(result, way)] if not stats.enough(difference) else [])


def verdict(name, difference, other=SCRATCH, where=''):
    """'Fine-tuned beat training from scratch by 2.31 ± 0.72 points over 3 seeds (95% interval +0.51 to +4.11, p = 0.03;
    ahead on 3 of 3)'; for too few seeds, only which was ahead. `where`: ' with 4 labels per class'."""
    mean, values, p = difference['mean'], difference['values'], difference['p_holm']
    few = not stats.enough(difference)
    over = f'on each of {len(values)} seeds' if p is None else f'over {len(values)} seeds'
    over = over if len(values) > 1 else 'on one seed'
    told, proof = f': {FEW}' * few, f' ({evidence(difference)})' * (p is not None)
    if p is None and abs(mean) < 1e-12:
        return f'{name} matched {other}{where} {over}{told}'
    if p is not None and p >= 1 - stats.LEVEL:
        points = percent(difference, sign=True)
        return f'{name} and {other} did not differ clearly{where}: {points} points {over}{proof}{told}'
    words = ('was ahead of', 'was behind') if few else ('beat', 'lost to')
    points = percent(difference | {'mean': abs(mean)})
    return f'{name} {words[mean <= 0]} {other}{where} by {points} points {over}{proof}{told}'


def evidence(difference):
    """'95% interval +0.51 to +4.11, p = 0.03 after Holm; ahead on 3 of 3'; no p if seeds are too few for a test."""
    values, p = difference['values'], difference['p_holm'] if stats.enough(difference) else None
    parts = [f'95% interval {interval(difference, sign=True)}'] if difference['low'] is not None else []
    if p is not None:
        parts.append(f'p {"" if p < 0.001 else "= "}{p_value(p)}' + ' after Holm' * (p != difference['p']))
    ahead = [f'ahead on {sum(value > 0 for value in values)} of {len(values)}'] if len(values) > 1 else []
    return '; '.join([', '.join(parts)] * bool(parts) + ahead)


def of_interval(known, count):
    """' (1,000 test images: 95% interval of that mAP 80.56 to 85.22 %)'; '' if it is not known."""
    return (
        f' ({count_of(count, "test image")}: 95% interval of that mAP {interval(known)} %)' if known and count else ''
    )


def of_images(found, count):
    """' (1,000 test images: 95% interval of that accuracy 80.56 to 85.22 %)'; '' if the number is not known."""
    known = stats.of_images(found['mean'], count) if found and count else None
    if known is None:
        return ''
    return f' ({count_of(count, "test image")}: 95% interval of that accuracy {interval(known)} %)'
