"""The table of ways, as rows for the page and as plain text for the terminal."""

from ssljax.report.compare import across, headline, of_way, seeds_of, versus_scratch, ways_of
from ssljax.report.words import count_of, duration, number, percent, way_title


def way_rows(result):
    """(header, rows) of strings: one row a way; the column of top-5 is there only where it was measured."""
    ways = ways_of(result)
    top5 = any(of_way(result, way, 'test', 'top5') for way in ways)
    header = ['Way', 'Test top-1 %'] + ['Test top-5 %'] * top5
    header += ['Against scratch', 'Validation top-1 %', 'Best step', 'Time', 'Images/s']
    rows = []
    for way in ways:
        row = [way_title(way), percent(of_way(result, way, 'test', 'top1'))]
        row += [percent(of_way(result, way, 'test', 'top5'))] * top5
        row += [percent(versus_scratch(result, way), sign=True), percent(of_way(result, way, 'val', 'top1'))]
        best, seconds, rate = (
            across(result, 'ways', way, key) for key in ('best_step', 'seconds', 'images_per_second')
        )
        row += [number(round(best['mean'])) if best else '–', duration(seconds['mean'] if seconds else None)]
        row += [number(round(rate['mean'])) if rate else '–']
        rows.append(row)
    return header, rows


def table(result):
    """The main table of a result as text for a terminal.

    Args:
      result: the dict of result.json.

    Returns:
      str: a title, one line a way (mean ± sample std over seeds, in percent; differences in points,
      paired per seed; times are means), and the headline.
    """
    header, rows = way_rows(result)
    lines = [f'{result.get("name", "run")}, {count_of(len(seeds_of(result)), "seed")}']
    if rows:
        cells = [header] + rows
        widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
        for row in cells:
            text = [
                cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths))
            ]
            lines.append('  '.join(text))
            if row is header:
                lines.append('  '.join('-' * width for width in widths))
    return '\n'.join(lines + [headline(result)])
