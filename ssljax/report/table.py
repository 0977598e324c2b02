"""The tables of ways, as rows for the page and as plain text for the terminal."""

from ssljax import stats
from ssljax.metrics import TITLES
from ssljax.report import by_class
from ssljax.report.compare import (
    across,
    is_multilabel,
    main,
    main_title,
    of_way,
    seeds_of,
    stopped_of,
    test_images,
    untrained_of,
    versus_scratch,
    ways_of,
)
from ssljax.report.headline import headline
from ssljax.report.words import count_of, duration, interval, number, p_value, percent, stage_title, way_title
from ssljax.text.literal import line

COMPARED = ['Test {} %', '95% interval', 'Against scratch', '95% interval', 'p', 'p, Holm']


def way_rows(result):
    """(header, rows) of strings: one row per way with its accuracy, its paired difference to scratch, and the interval
    that the number of test images leaves; and last what guessing gives."""
    versus, seeds, rows = versus_scratch(result), len(seeds_of(result)), []
    kept = len(COMPARED) - (len(versus) == 1)  # one alone: nothing to correct for
    for way in ways_of(result):
        top1 = of_way(result, way, 'test', main(result))
        cells = compared(top1, versus.get(way), seeds)[:kept]
        rows.append([way_title(way), *cells, interval(by_class.by_images(result, way))])
    rows += [[way_title(way), kind, *['–'] * kept] for way, kind in untrained_of(result).items()]
    if rows and (share := by_class.majority(result)):
        rows.append([by_class.floor_title(result), f'{100 * share:.2f}', *['–'] * kept])
    return ['Way', *compared_header(result)[:kept], 'By test images'], rows


def compared_header(result):
    """COMPARED, with the main metric."""
    return [title.format(main_title(result)) for title in COMPARED]


def compared(top1, versus, seeds=0):
    """The cells of COMPARED: a spread, and a difference; None gives dashes, and so does p for too few seeds. If either
    lacks some of the `seeds`, it says how many it has."""
    ps = [p_value(versus.get(p) if versus and stats.enough(versus) else None) for p in ('p', 'p_holm')]
    means = [percent(top1) + of_seeds(top1, seeds), percent(versus, sign=True) + of_seeds(versus, seeds)]
    return [means[0], interval(top1), means[1], interval(versus, sign=True), *ps]


def meaning(found, compared='', metric='top-1'):
    """What a table of these differences {key: stats.difference} shows, to end a caption with; `compared`: what Holm's
    correction counts, by default all of them; metric: in words."""
    if max((len(one['values']) for one in found.values()), default=0) < 2:
        return f'in points of test {metric}, on the same seed: one seed, so no interval and no test.'
    said = f'paired by seed, in points of test {metric}: mean ± sample standard deviation and 95% interval of the mean'
    if not any(stats.enough(one) for one in found.values()):
        return f'{said}; no p, since a test needs at least {stats.FEWEST} seeds.'
    holm = f", by Holm's correction for {compared or f'{len(found)} comparisons'}" * (len(found) > 1)
    return f'{said}, and the two-sided p of the paired t-test{holm}.'


def of_seeds(stats, seeds):
    """' (2 of 3)' for a spread that lacks some of the seeds, else ''."""
    known = len((stats or {}).get('values') or ())
    return f' ({known} of {seeds})' if 0 < known < seeds else ''


def of_some_seeds(rows):
    """What such brackets mean, for a caption; '' if these rows of `way_rows` have none."""
    return 'in brackets: over how many of the seeds' if any('(' in row[1] for row in rows) else ''


def stopped_lines(result):
    """A line for everything that has no result because a guard stopped it."""
    found = [(f'seed {seed} · {stage_title(name)}', entry) for seed, name, entry in stopped_of(result)]
    return [f'{what}: {entry["kind"]}, {entry["why"]}' for what, entry in found]


def other_rows(result):
    """(header, rows) of strings: one row per way with what else was measured."""
    second = 'macro_f1' if main(result) == 'mAP' else 'top5'
    header = ['Way', f'Validation {main_title(result)} %', f'Test {TITLES[second]} %', 'Best step', 'Time', 'Images/s']
    rows = []
    for way in ways_of(result):
        best, seconds, rate = (
            across(result, 'ways', way, key) for key in ('best_step', 'seconds', 'images_per_second')
        )
        row = [way_title(way), *(percent(of_way(result, way, *of)) for of in (('val', main(result)), ('test', second)))]
        row += [number(round(best['mean'])) if best else '–', duration(seconds['mean'] if seconds else None)]
        rows.append(row + [number(round(rate['mean'])) if rate else '–'])
    return header, rows


def tests(result):
    """['1,000 test images (95% interval of the best accuracy 80.56 to 85.22 %)'], from their number alone; [] if their
    number is not known."""
    count = test_images(result)
    if count and is_multilabel(result):
        return [count_of(count, 'test image')]
    means = [found['mean'] for way in ways_of(result) if (found := of_way(result, way, 'test', main(result)))]
    known = stats.of_images(max(means, default=None), count)
    return [f'{count_of(count, "test image")} (95% interval of the best accuracy {interval(known)} %)'] if known else []


def table(result):
    """The main table of a result as text for a terminal.

    Args:
      result: the dict of result.json.

    Returns:
      str: a title, one line per way (top-1, or mAP, on test in percent, mean ± sample std over seeds, with the 95%
      interval of the mean; the difference to scratch in points, paired by seed, with its own interval and the p-value
      of the paired t-test, Holm's if several ways are compared; the interval that the number of test images leaves; if
      `by_class.beside_top1` says so, the balanced accuracy, with that interval; the mean time), what that is, what a
      guard stopped, and the headline.
    """
    seeds, versus = len(seeds_of(result)), versus_scratch(result)
    (header, rows), (_, others) = way_rows(result), other_rows(result)
    about = 'mean ± standard deviation, 95% interval of the mean'
    tested = any(stats.enough(found) for found in versus.values())
    about += ', paired t-test' * tested + " with Holm's correction" * (tested and len(versus) > 1)
    about += ', too few seeds for a test' * (bool(versus) and not tested)
    about += f'; {brackets}' if (brackets := of_some_seeds(rows)) else ''
    over = ', '.join([count_of(seeds, 'seed'), *tests(result)])
    about = about if seeds > 1 else 'one seed, so no spread and no test'
    kept = [0, 1, 2, 3, 4, header.index('p, Holm' if len(versus) > 1 else 'p')] if versus else [0, 1, 2]
    count = test_images(result)
    header[-1] = f'By {count_of(count, "test image")}' if count else header[-1]
    about += f'; "{header[-1]}": the 95% interval implied by their number alone' * bool(count and rows)
    lines = [f'{line(result.get("name", "run"))}, {over}: {about}']
    more = [['Time'], *([row[4]] for row in others), *[['–']] * (len(rows) - len(others))]
    if by_class.beside_top1(result):
        more = [[*a, *b] for a, b in zip(by_class.balanced_rows(result, len(rows)), more)]
    cells = [[*(row[i] for i in kept), row[-1], *rest] for row, rest in zip([header, *rows], more)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    cells.insert(1, ['-' * width for width in widths])
    for first, *others in cells if rows else []:
        lines.append('  '.join([first.ljust(widths[0]), *(c.rjust(w) for c, w in zip(others, widths[1:]))]))
    return '\n'.join(lines + stopped_lines(result) + [headline(result)])
