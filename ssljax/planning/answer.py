"""The answer of a run, in figures and in words: whether unlabelled images helped here, how many labels that is worth,
and what more labels would bring."""

from ssljax import stats
from ssljax.methods import SEMI
from ssljax.metrics import TITLES
from ssljax.planning import again, curve
from ssljax.report.compare import (
    best_way,
    of_way,
    pick,
    selected,
    shares_pretraining,
    test_images,
    versus_scratch,
    ways_of,
)
from ssljax.report.headline import evidence
from ssljax.report.words import count_of, interval, percent, way_title
from ssljax.stats import BASELINE, FEWEST

FEW_TEST = 100  # test images, below which nothing is claimed whatever the seeds say


def answered(run, outcome: dict) -> dict:
    """What result.json has as 'answer'.

    Args:
      run: stages.Context, after all of its seeds were trained and evaluated.
      outcome: the content of result.json so far.

    Returns:
      {'metric': that of config.select, by which all is compared, 'ways': {way: {'verdict': as `verdict` has it,
      'difference': stats.difference}}, 'best': the way beside scratch that validation prefers, or '', 'worth': as
      `worth`, 'curve': {'way', 'points', 'more', 'scratch'}, 'sentences': [str]}.
    """
    others, metric = [way for way in ways_of(outcome) if way != BASELINE], selected(outcome)
    best = best_way(outcome, others) or ''
    labels = {record['seed']: record['partition']['labeled']['count'] for record in outcome['seeds']}
    points = again.cells(run, labels, best, metric)
    full = round(sum(labels.values()) / len(labels))
    for record in outcome['seeds']:
        for way in filter(None, (BASELINE, best)):
            value = pick(record, 'ways', way, 'test', metric)
            if value is not None:
                points.setdefault(way, {}).setdefault(full, {})[record['seed']] = value
    return of_points(outcome, best, full, points)


def of_points(outcome: dict, best: str, full: int, points: dict) -> dict:
    """`answered`, from points {way: {labels: {seed: value on test}}}, `full` being the labels of the run."""
    few = (test_images(outcome) or 0) < FEW_TEST
    metric = selected(outcome)
    versus = versus_scratch(outcome, metric)
    ways = {way: {'verdict': verdict(found, few), 'difference': found} for way, found in versus.items()}
    of_best = ways[best]['verdict'] if best in ways else ''
    lead = best if of_best == 'helps' else best_way(outcome) or BASELINE
    drawn = lead if lead in points else BASELINE
    by_labels = {n: list(values.values()) for n, values in points.get(drawn, {}).items()}
    more = curve.extrapolate(by_labels)
    saved = worth(points, best, full)
    found = {
        'metric': metric,
        'ways': ways,
        'best': best,
        'worth': saved,
        'curve': {
            'way': drawn, 'points': curve.described(by_labels), 'more': [point._asdict() for point in more],
            'scratch': curve.described({n: list(v.values()) for n, v in points.get(BASELINE, {}).items()}),
        },
    }  # fmt: skip
    said = [helped(way, entry, outcome, full, few) for way, entry in ways.items()]
    if shares_pretraining(outcome):
        said.append('One pretraining served all seeds: intervals do not cover how another one would turn out.')
    if BASELINE not in ways_of(outcome):
        said = ['Training from scratch was not run, so whether unlabelled images help here is unknown.']
    elif not ways:
        said = ['Only training from scratch was run, so whether unlabelled images help here is unknown.']
    if saved is not None:
        sure = of_best in ('helps', 'harms')
        said.append(in_labels(saved, best, full) + ('' if sure else ' The lead itself is not certain, nor is this.'))
    said.append(with_more(more, drawn, by_labels, metric))
    if few and more:
        said.append(f'With only {count_of(test_images(outcome) or 0, "test image")}, this is less certain still.')
    return found | {'sentences': said}


def verdict(found: dict, few_images: bool) -> str:
    """'helps' or 'harms' if a difference is clear, else 'unclear'; 'too few' if there are not enough seeds or test
    images."""
    if not stats.enough(found) or few_images:
        return 'too few'
    return ('helps' if found['mean'] > 0 else 'harms') if stats.is_clear(found) else 'unclear'


def worth(points: dict, best: str, full: int) -> dict | None:
    """How many of the labels the best way needs to reach the accuracy of scratch with all of them, by
    studies/savings.py: {'ratio', 'low', 'high': text, such as '0.55' or '< 0.25', 'low' and 'high' None for few seeds,
    'seeds': how many}; None if it was not trained with fewer."""
    from ssljax.studies import savings  # not at the top: a second to import
    from ssljax.studies.curve import Series

    if not best or len(points.get(best, {})) < 2:
        return None
    own, scratch = (dict(sorted(points[way].items())) for way in (best, BASELINE))
    for saving in savings.of_pair(Series(best), own, scratch, savings.RESAMPLES):
        if round(saving.budget) == full and saving.ratio is not None:
            low, high = (None if side is None else str(side) for side in (saving.low, saving.high))
            return {'ratio': str(saving.ratio), 'low': low, 'high': high, 'seeds': saving.seeds}
    return None


def helped(way: str, entry: dict, outcome: dict, full: int, few_images: bool) -> str:
    """A sentence on one way against scratch."""
    found, kind = entry['difference'], 'semi-supervised' if way in SEMI else 'self-supervised'
    name, seeds = f'{way_title(way)} ({kind})', count_of(len(found['values']), 'seed')
    metric = selected(outcome)
    ours, scratch = (percent(of_way(outcome, w, 'test', metric)) for w in (way, BASELINE))
    known = (
        f'{percent(found, sign=True)} points{_of(metric)} against training from scratch with {count_of(full, "label")}'
    )
    figures = f'{ours} % and {scratch} % on {count_of(test_images(outcome) or 0, "test image")}, {seeds}'
    if proof := evidence(found):
        figures += f'; {proof}'
    if entry['verdict'] == 'too few':
        why = f'{count_of(test_images(outcome) or 0, "test image")} are too few' if few_images else ''
        if not stats.enough(found):
            why = f'{seeds} {"are" if len(found["values"]) > 1 else "is"} too few, {FEWEST} is the minimum'
        return f'Whether {name} helps here cannot be told: {why}. Measured: {known} ({figures}).'
    if entry['verdict'] == 'unclear':
        return f'{name} makes no clear difference here: {known} ({figures}).'
    return f'{name} {entry["verdict"]} here: {known} ({figures}).'


def _of(metric: str) -> str:
    return '' if metric == 'top1' else f' of {TITLES[metric]}'


def in_labels(saved: dict, best: str, full: int) -> str:
    """A sentence on how many labels that is."""
    open_ = saved['low'] is not None and saved['low'] != saved['high']
    sides = f' (95% interval {saved["low"]} to {saved["high"]})' if open_ else ''
    ratio = saved['ratio']
    if ratio.startswith('>'):
        needed = f'needs more than {full:,} to reach the accuracy of scratch with {full:,}'
        return f'In labels: {way_title(best)} {needed}{sides.replace("interval", "interval of the ratio")}.'
    bound = ratio.startswith('<')
    times = float(ratio.strip('<> ').replace(',', ''))
    much, many = ('less than ', 'fewer than ') if bound else ('', 'some ')
    few = f'{much}{ratio.strip("< ")} times the labels ({many}{times * full:,.0f} of {full:,})'
    return f'In labels: {way_title(best)} needs {few} to reach the accuracy of scratch with all of them{sides}.'


def with_more(more: list, way: str, by_labels: dict, metric: str = 'top1') -> str:
    """A sentence on what more labels would bring."""
    counts = ', '.join(f'{n:,}' for n in sorted(by_labels))
    seeds = min(map(len, by_labels.values()), default=0)
    if not more:
        known = f'{way_title(way)} was trained with {counts or "no"} labels and {count_of(seeds, "seed")}'
        return f'What more labels would bring cannot be told: {known}; it takes two label counts and two seeds.'
    parts = [
        f'with {point.labels:,} labels {100 * point.value:.1f} % ({interval({"low": point.low, "high": point.high})})'
        for point in more
    ]
    wide = more[0].high - more[0].low
    sure = 'little is certain: go by the intervals' if wide > 0.05 or seeds < 5 else 'go by the intervals'
    told = f'More labels, {way_title(way)}: {" and ".join(parts)}{_of(metric)} can be expected'
    return f'{told}, extrapolated by a power law from {counts} labels over {count_of(seeds, "seed")}; {sure}.'
