"""The numbers of a result: ways in order, their spread over seeds, paired differences, the headline."""

from ssljax.data import toy
from ssljax.report.words import NOT_PRETRAINED, WAYS, count_of, is_number, percent, spread, way_title


def seeds_of(result):
    return result.get('seeds') or []


def ways_of(result):
    """Names of the ways in any seed: the known ones in the order of words.WAYS, then the others."""
    found = [way for seed in seeds_of(result) for way, entry in (seed.get('ways') or {}).items() if entry]
    return [way for way in WAYS if way in found] + [way for way in dict.fromkeys(found) if way not in WAYS]


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
    return spread([pick(seed, *path) for seed in seeds_of(result)])


def of_way(result, way, split, metric):
    """The spread over seeds of a way's metric on a split; the result's own summary first."""
    stored = pick(result, 'summary', way, metric) if split == 'test' else None
    return stored or across(result, 'ways', way, split, metric)


def versus_scratch(result, way):
    """The spread of top-1(way) - top-1(scratch), paired per seed; None for scratch itself."""
    if way == 'scratch':
        return None
    stored = pick(result, 'summary', 'versus_scratch', way) or pick(result, 'versus_scratch', way)
    if stored and stored.get('values'):
        return stored
    pairs = [
        (pick(seed, 'ways', way, 'test', 'top1'), pick(seed, 'ways', 'scratch', 'test', 'top1'))
        for seed in seeds_of(result)
    ]
    return spread([ours - base for ours, base in pairs if is_number(ours) and is_number(base)])


def best_way(result, among=None):
    """The way with the highest mean validation top-1; None where no way has any."""
    scored = [(way, of_way(result, way, 'val', 'top1')) for way in (ways_of(result) if among is None else among)]
    scored = [(stats['mean'], way) for way, stats in scored if stats]
    return max(scored, key=lambda pair: pair[0])[1] if scored else None


def headline(result):
    """One sentence: what beat what by how much, over how many seeds; it says so when the way lost."""
    ways = ways_of(result)
    way = best_way(result, [way for way in ways if way not in NOT_PRETRAINED]) or best_way(result)
    if way is None:
        way = ways[0] if ways else None
    ours = of_way(result, way, 'test', 'top1') if way else None
    if ours is None:
        return 'This run holds no test accuracy yet.'
    labeled = pick(result, 'data', 'counts', 'labeled')
    budget = f' with {count_of(labeled, "label")}' if is_number(labeled) else ''
    difference = versus_scratch(result, way)
    if difference is None:
        seeds = count_of(len(ours['values']), 'seed')
        return f'{way_title(way)} reached {percent(ours)} % top-1 on the test set{budget}, over {seeds}.'
    scratch = percent(of_way(result, 'scratch', 'test', 'top1'))
    return (
        f'{way_title(way)} {verdict(difference)}: {percent(ours)} % against {scratch} % top-1 on the test set{budget}.'
    )


def verdict(difference):
    """'beat training from scratch by 2.31 ± 0.40 points over 3 seeds (ahead on 3 of 3)'."""
    mean, std, values = difference['mean'], difference['std'], difference['values']
    points = percent({'mean': abs(mean), 'std': std})
    if len(values) == 1:
        if mean == 0:
            return 'equalled training from scratch on the one seed run'
        word = 'beat' if mean > 0 else 'lost to'
        return f'{word} training from scratch by {points} points on one seed, so the spread is not known'
    ahead = f'ahead on {sum(value > 0 for value in values)} of {len(values)}'
    if abs(mean) <= (std or 0.0) or mean == 0:
        signed = percent(difference, sign=True)
        tie = 'and training from scratch did not differ clearly'
        return f'{tie}: {signed} points over {len(values)} seeds ({ahead})'
    word = 'beat' if mean > 0 else 'lost to'
    return f'{word} training from scratch by {points} points over {len(values)} seeds ({ahead})'
