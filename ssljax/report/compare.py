"""The numbers of a result: ways in order, their spread over seeds, paired differences, the headline."""

from ssljax import stats
from ssljax.data import toy
from ssljax.report.words import NOT_PRETRAINED, count_of, interval, is_number, known_ways, p_value, percent, way_title
from ssljax.stats import BASELINE


def seeds_of(result):
    return result.get('seeds') or []


def ways_of(result):
    """Names of the ways in any seed: the known ones in the order of words.known_ways, then the others; a variant stands
    behind the way that it derives from."""
    found = [way for seed in seeds_of(result) for way, entry in (seed.get('ways') or {}).items() if entry]
    known = known_ways()
    found = [way for way in known if way in found] + [way for way in dict.fromkeys(found) if way not in known]
    origins = {name: way for name, way, _ in variants_of(result) if way in found}
    own = [way for way in found if way not in origins]
    return [way for first in own for way in [first, *(name for name in found if origins.get(name) == first)]]


def stopped_of(result):
    """[(seed, name, entry of guard), ...] of what has no result because a guard stopped it or what it starts from; the
    name is that of a way, or 'pretrain'."""
    return [
        (seed.get('seed', index), name, entry)
        for index, seed in enumerate(seeds_of(result))
        for name, entry in (seed.get('stopped') or {}).items()
    ]


def untrained_of(result):
    """{way: kind of guard's entry} of the ways without a result in any seed."""
    trained = ways_of(result)
    return {name: entry['kind'] for _, name, entry in stopped_of(result) if name not in ('pretrain', *trained)}


def variants_of(result):
    """[(name, the way that it derives from, {field: value}), ...] of the config."""
    return [(name, way, dict(changed)) for name, way, changed in pick(result, 'config', 'variants') or []]


def origin(result, way):
    """The way that a variant derives from; of any other way itself."""
    return next((base for name, base, _ in variants_of(result) if name == way), way)


def pick(tree, *path):
    """tree[path[0]][path[1]]..., None where a part is missing."""
    for name in path:
        if not isinstance(tree, dict):
            return None
        tree = tree.get(name)
    return tree


def is_points(result):
    """Whether the images are points in the plane."""
    return toy.is_plane(pick(result, 'data', 'shape') or ())


def of_seed(run):
    """', seed0' where there are several; figures.npz is one seed's."""
    return f', {run.figures_from.parent.name}' if len(seeds_of(run.result)) > 1 else ''


def across(result, *path):
    """The spread over seeds of the number at seed[path...]; None where no seed has it."""
    return stats.spread([pick(seed, *path) for seed in seeds_of(result)])


def of_way(result, way, split, metric):
    """The spread over seeds of a way's metric on a split; the values of the result's own summary first."""
    stored = pick(result, 'summary', way, metric, 'values') if split == 'test' else None
    return stats.spread(stored) if stored else across(result, 'ways', way, split, metric)


def top1_of(result):
    """{way: its test top-1 on every seed, None where it has none}."""
    return {way: [pick(seed, 'ways', way, 'test', 'top1') for seed in seeds_of(result)] for way in ways_of(result)}


def versus_scratch(result):
    """{way: stats.difference of top-1(way) - top-1(scratch), paired by seed, with 'p_holm'}; the values of the result's
    own summary first."""
    stored = pick(result, 'summary', 'versus_scratch') or pick(result, 'versus_scratch') or {}
    found = {way: stats.difference([(v, 0.0) for v in d['values']]) for way, d in stored.items() if d.get('values')}
    return stats.correct(found) if found else stats.against(top1_of(result))


def versus_unchanged(result):
    """{variant: stats.difference to the way that it derives from, with 'p_holm'}."""
    return stats.against_origin(top1_of(result), variants_of(result))


def best_way(result, among=None):
    """The way with the highest mean validation top-1; None where no way has any."""
    scored = [(way, of_way(result, way, 'val', 'top1')) for way in (ways_of(result) if among is None else among)]
    scored = [(found['mean'], way) for way, found in scored if found]
    return max(scored, key=lambda pair: pair[0])[1] if scored else None


def headline(result):
    """One sentence: what beat what by how much, over how many seeds; it says so when the way lost."""
    ways = ways_of(result)
    known = [way for way in ways if origin(result, way) == way]
    way = best_way(result, [way for way in known if way not in NOT_PRETRAINED]) or best_way(result)
    if way is None:
        way = ways[0] if ways else None
    ours = of_way(result, way, 'test', 'top1') if way else None
    if ours is None:
        return 'This run holds no test accuracy yet.'
    labeled = pick(result, 'data', 'counts', 'labeled')
    budget = f' with {count_of(labeled, "label")}' if is_number(labeled) else ''
    budget += by_images(ours, test_images(result))
    difference = versus_scratch(result).get(way)
    if difference is None:
        seeds = count_of(len(ours['values']), 'seed')
        return f'{way_title(way)} reached {percent(ours)} % top-1 on the test set{budget}, over {seeds}.'
    scratch = percent(of_way(result, BASELINE, 'test', 'top1'))
    return (
        f'{way_title(way)} {verdict(difference)}: {percent(ours)} % against {scratch} % top-1 on the test set{budget}.'
    )


def test_images(result):
    """How many test images there are; None where the result does not say."""
    count = pick(result, 'data', 'counts', 'test')
    return count if is_number(count) else None


def by_images(found, count):
    """' (on 1,000 test images, whose number alone leaves 80.56 to 85.22 %)'; '' where the number is not known."""
    known = stats.of_images(found['mean'], count) if found and count else None
    if known is None:
        return ''
    return f' (on {count_of(count, "test image")}, whose number alone leaves {interval(known)} %)'


def verdict(difference):
    """'beat training from scratch by 2.31 ± 0.72 points (95% interval +0.51 to +4.11, p = 0.03; ahead on 3 of 3)'; of
    too few seeds no more than which was ahead."""
    mean, values, p = difference['mean'], difference['values'], difference['p_holm']
    points, over = percent(difference | {'mean': abs(mean)}), f'over {len(values)} seeds'
    few, told = not stats.enough(difference), 'too few seeds to tell'
    word = ('beat', 'lost to') if not few else ('was ahead of', 'was behind')
    word = word[0] if mean > 0 else word[1]
    if len(values) == 1:
        if mean == 0:
            return f'equalled training from scratch on the one seed run ({told})'
        return f'{word} training from scratch by {points} points on one seed, so the spread is not known ({told})'
    seeds = f'ahead on {sum(value > 0 for value in values)} of {len(values)}'
    if p is None:
        same = f'on each of {len(values)} seeds'
        if abs(mean) < 1e-12:
            return f'equalled training from scratch {same}' + f' ({told})' * few
        return f'{word} training from scratch by {points} points {same}' + f' ({told})' * few
    corrected = ' after Holm' if p != difference['p'] else ''
    said = p_value(p) if p < 0.001 else f'= {p_value(p)}'
    found = f'(95% interval {interval(difference, sign=True)}, p {said}{corrected}; {seeds})'
    if p >= 1 - stats.LEVEL:
        tie = 'and training from scratch did not differ clearly'
        return f'{tie}: {percent(difference, sign=True)} points {over} {found}' + f', {told}' * few
    if few:
        return f'{word} training from scratch by {points} points {over} ({seeds}), {told}'
    return f'{word} training from scratch by {points} points {over} {found}'
