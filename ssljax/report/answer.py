"""The section of a run that ends with an answer: what helped here, and what more labels would bring."""

from ssljax.metrics import TITLES
from ssljax.report.draw import as_img, drawn, new_figure, way_color
from ssljax.report.markup import figure, grid, paragraph, section
from ssljax.report.words import interval, percent, way_title
from ssljax.stats import BASELINE


def answer(run):
    """The sentences, the learning curve and its points; None if the run has no answer."""
    found = run.result.get('answer')
    if not found:
        return None
    curve = found['curve']
    rows = [
        [f'{p["labels"]:,}', percent(p), interval(p), 'measured', f'{len(p["values"])}'] for p in curve['points']
    ] + [[f'{p["labels"]:,}', f'{100 * p["value"]:.1f}', interval(p), 'extrapolated', '–'] for p in curve['more']]
    on = f': test {TITLES[found["metric"]]}'
    caption = (
        f'{way_title(curve["way"])}{on} over labelled images, with 95% intervals.'
        + ' Extrapolated by a power law, error(n) = limit + a n^-b, fitted to resampled means for every limit from 0 '
        'to the lowest error.' * bool(curve['more'])
    )
    header = ['Labels', f'Test {TITLES[found["metric"]]} %', '95% interval', '', 'Seeds']
    drawing = figure(plot(curve), 'Solid: measured. Dashed: extrapolated; the band is its 95% interval.')
    return section('Answer', *map(paragraph, found['sentences']), drawing, grid(header, rows, caption))


@drawn
def plot(curve):
    """Accuracy over labels of the way of the curve and of scratch, and what is extrapolated."""
    if len(curve['points']) < 2:
        return ''
    figure_, axes = new_figure(4.9, 3.2)
    series = {curve['way']: curve['points']} | ({BASELINE: curve['scratch']} if curve['way'] != BASELINE else {})
    for place, (way, points) in enumerate(series.items()):
        at, color = [p['labels'] for p in points], way_color(way, place)
        axes.plot(at, [100 * p['mean'] for p in points], 'o-', color=color, label=way_title(way))
        for p in points:
            axes.plot([p['labels']] * len(p['values']), [100 * v for v in p['values']], '.', color=color, alpha=0.4)
    more, last = curve['more'], curve['points'][-1]
    if more:
        at = [last['labels'], *(p['labels'] for p in more)]
        middle, low, high = ([100 * last['mean'], *(100 * p[key] for p in more)] for key in ('value', 'low', 'high'))
        color = way_color(curve['way'], 0)
        axes.plot(at, middle, '--', color=color)
        axes.fill_between(at, low, high, color=color, alpha=0.15, lw=0)
    axes.set_xscale('log', base=2)
    ticks = [p['labels'] for p in (*curve['points'], *more)]
    axes.set_xticks(ticks, [f'{n:,}' for n in ticks])
    axes.set_xlabel('Labelled images')
    axes.set_ylabel('On the test images (%)')
    axes.legend()
    return as_img(figure_, 'Accuracy on the test images over the number of labelled ones')
