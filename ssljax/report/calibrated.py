"""Whether confidences mean what they say: the reliability diagram and the calibration error."""

from ssljax.report.compare import best_way, is_multilabel, pick, seeds_of, ways_of
from ssljax.report.draw import as_img, drawn, new_figure
from ssljax.report.markup import beside, figure, grid, section
from ssljax.report.plots import color_of
from ssljax.report.words import way_title


def calibration(run):
    """The section; None for runs that did not calibrate."""
    result = run.result
    rows, kept_ways = [], []
    for way in ways_of(result):
        found = [kept for seed in seeds_of(result) if (kept := pick(seed, 'ways', way, 'calibration'))]
        if found:
            mean = lambda *path, found=found: sum(pick(one, *path) for one in found) / len(found)
            errors = [f'{100 * mean(when, "ece"):.2f}' for when in ('before', 'test')]
            rows.append([way_title(way), f'{mean("temperature"):.2f}', *errors])
            kept_ways.append(way)
    if not rows:
        return None
    way = best_way(result) or ways_of(result)[0]
    seed = next((seed for seed in seeds_of(result) if pick(seed, 'ways', way, 'calibration')), {})
    found = pick(seed, 'ways', way, 'calibration')
    caption = (
        f'Share of test images that "{way_title(way)}" (seed {seed.get("seed")}) gets right, by confidence. Below the '
        'diagonal the network is overconfident. Larger points stand for more images.'
    )
    if is_multilabel(result):
        caption = (
            'Share of pairs of a test image and a class in which the image has the class, by the probability that '
            f'"{way_title(way)}" (seed {seed.get("seed")}) gives. Below the diagonal the network is overconfident. '
            'Larger points stand for more pairs.'
        )
    header = ['Way', 'Temperature', 'Error before %', 'Error calibrated %']
    about = (
        'Expected calibration error on test (Guo et al. 2017), means over seeds. The temperature was fitted on '
        'validation; ssljax predict and ssljax.load use it.'
    )
    if is_multilabel(result):
        header, about = (
            [*header, 'Threshold %'],
            f'{about} The threshold above which an image is said to have a class was also chosen on validation.',
        )
        rows = [[*row, threshold_of(result, way)] for row, way in zip(rows, kept_ways)]
    drawing = figure(plot_reliability(found, color_of(result, way)), caption) if found else ''
    return section('Calibration', beside(drawing), grid(header, rows, about))


def threshold_of(result, way):
    """'31 to 40', over seeds."""
    found = [pick(seed, 'ways', way, 'calibration', 'threshold') for seed in seeds_of(result)]
    found = [f'{100 * value:.0f}' for value in found if value is not None]
    return ' to '.join(dict.fromkeys([min(found, key=int), max(found, key=int)])) if found else '–'


@drawn
def plot_reliability(found, color):
    """Accuracy over confidence, before and after calibration."""
    image, axes = new_figure(4.2, 3.6)
    axes.plot([0, 100], [0, 100], color='#555555', lw=1, ls='--')
    most = max(count for when in ('before', 'test') for count, _, _ in found[when]['bins'])
    for when, name, face in (('before', 'as trained', 'none'), ('test', 'calibrated', color)):
        counts, confidence, right = zip(*found[when]['bins'])
        x, y = [100 * v for v in confidence], [100 * v for v in right]
        axes.plot(x, y, color=color, lw=1, alpha=0.5)
        sizes = [12 + 90 * count / most for count in counts]
        axes.scatter(x, y, s=sizes, facecolor=face, edgecolor=color, label=name, alpha=0.85)
    axes.set(xlim=(0, 102), ylim=(-2, 102), xlabel='Confidence (%)', ylabel='Right (%)')
    axes.legend(loc='upper left', markerscale=0.7)
    return as_img(image, 'Reliability diagram')
