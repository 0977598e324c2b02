"""The numbers of a result: ways in order, their spread over seeds, paired differences."""

from ssljax import metrics, stats
from ssljax.data import toy
from ssljax.report.words import is_number, known_ways


def seeds_of(result):
    return result.get('seeds') or []


def named_seeds(result):
    """[(number of a seed as text, its record), ...]."""
    return [(str(seed.get('seed', index)), seed) for index, seed in enumerate(seeds_of(result))]


def shares_pretraining(result) -> bool:
    """Whether one pretraining served all seeds."""
    return any(pick(seed, 'pretrain', 'shared') is not None for seed in seeds_of(result))


def ways_of(result):
    """Names of the ways in any seed: the known ones in the order of words.known_ways, then the others; a variant
    follows the way that it derives from."""
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
    """The way that a variant derives from; for any other way, itself."""
    return next((base for name, base, _ in variants_of(result) if name == way), way)


def pick(tree, *path):
    """tree[path[0]][path[1]]..., None if a part is missing."""
    for name in path:
        if not isinstance(tree, dict):
            return None
        tree = tree.get(name)
    return tree


def is_points(result):
    """Whether the images are points in the plane."""
    return toy.is_plane(pick(result, 'data', 'shape') or ())


def of_seed(run):
    """', seed 0' if there are several; figures.npz is one seed's."""
    return f', {run.figures_from.parent.name.replace("seed", "seed ")}' if len(seeds_of(run.result)) > 1 else ''


def across(result, *path):
    """The spread over seeds of the number at seed[path...]; None if no seed has it."""
    return stats.spread([pick(seed, *path) for seed in seeds_of(result)])


def of_way(result, way, split, metric):
    """The spread over seeds of a way's metric on a split."""
    return across(result, 'ways', way, split, metric)


def is_multilabel(result):
    """Whether an image may have several classes."""
    return bool(pick(result, 'data', 'multilabel'))


def main(result):
    """The main metric: 'top1', or 'mAP' for multi-label images."""
    return metrics.selected('top1', is_multilabel(result))


def main_title(result):
    """'top-1' or 'mAP'."""
    return metrics.TITLES[main(result)]


def tests_of(result, metric=''):
    """{way: a metric of it, by default `main`, on test for every seed, None if it has none}."""
    metric = metric or main(result)
    return {way: [pick(seed, 'ways', way, 'test', metric) for seed in seeds_of(result)] for way in ways_of(result)}


def selected(result):
    """The metric that selected on validation."""
    return metrics.selected(pick(result, 'config', 'select') or 'top1', is_multilabel(result))


def versus_scratch(result, metric=''):
    """{way: stats.difference of a metric on test to scratch, paired by seed, with 'p_holm'}."""
    return stats.against(tests_of(result, metric))


def versus_unchanged(result):
    """{variant: stats.difference to the way that it derives from, with 'p_holm'}."""
    return stats.against_origin(tests_of(result), variants_of(result))


def best_way(result, among=None):
    """The way with the highest mean validation metric, the one that selects; None if no way has any."""
    known = ways_of(result) if among is None else among
    scored = [(found['mean'], way) for way in known if (found := of_way(result, way, 'val', selected(result)))]
    return max(scored, key=lambda pair: pair[0])[1] if scored else None


def test_images(result):
    """How many test images there are; None if the result does not say."""
    count = pick(result, 'data', 'counts', 'test')
    return count if is_number(count) else None
