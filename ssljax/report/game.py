"""Sections on two players: what the generator made, where it puts points in the plane, how both fared."""

import numpy as np

from ssljax import methods
from ssljax.progress import say
from ssljax.report.compare import is_points, of_seed, pick, seeds_of, ways_of
from ssljax.report.insight import class_names
from ssljax.report.markup import beside, figure, paragraph, part, section
from ssljax.report.pictures import animation, as_png
from ssljax.report.plane import frame, marked, plot_map, plot_moments
from ssljax.report.plots import plot_curves, plot_transfer, several
from ssljax.report.words import number, way_title

ROWS, COLUMNS, WIDTH = 10, 12, 840  # of a sheet of generated images; its width in pixels of the screen
MOMENTS = 6
LOSSES = {'train/supervised': 'supervised', 'train/discriminator': 'discriminator', 'train/generator': 'generator'}
SHARES = {'train/d_real': 'real', 'val/d_heldout': 'held out', 'train/d_fake': 'generated'}
COLORS, SIZE = ('#0072B2', '#009E73', '#D55E00'), (3.2, 2.7)  # of the lines; of a plot, in inches


def evenly(count, most):
    """At most `most` of the numbers below `count`, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def generated(run):
    """One row of images per evaluation, one column per draw of noise; the same draws in every row."""
    if is_points(run.result):
        return None
    parts = []
    for way in ways_of(run.result):
        images, steps = (run.figures.get(f'{name}_{way}') for name in ('samples', 'samples_steps'))
        if images is None or not images.size:
            continue
        rows = [
            part('moment', f'step {number(int(steps[t]))}', sheet_row(images[t], int(steps[t])))
            for t in evenly(len(images), ROWS)
        ]
        caption = f'{way_title(way)}{of_seed(run)}: images from the same noise in every row, during training.'
        parts.append(figure(part('join', rows), caption))
    return section('Generated images over time', *parts)


def sheet_row(images, step):
    """uint8 [N, H, W, C] side by side as one <img>, enlarged by a whole factor so that pixels stay sharp."""
    gap = 2
    zoom = max(1, 64 // images.shape[2])
    images = images[: max(1, min(COLUMNS, WIDTH // ((images.shape[2] + gap) * zoom)))]
    padded = np.pad(images, ((0, 0), (0, 0), (0, gap), (0, 0)), constant_values=255)
    row = np.concatenate(list(padded), 1)[:, :-gap]
    alt = f'{len(images)} generated images at step {step}'
    return as_png(row, alt, css=f'width:{row.shape[1] * zoom}px', longest=4096)


def plane(run):
    """The decision of every way in the plane, and the generator's points while it trains."""
    known = [run.figures.get(n) for n in ('points', 'points_labels', 'labeled_points', 'labeled_points_labels')]
    ways = [way for way in ways_of(run.result) if f'boundary_{way}' in run.figures]
    if not ways or any(array is None for array in known):
        return None
    say.status('report: maps of the plane ...')
    names = class_names(run.result, run.figures[f'boundary_{ways[0]}'].shape[-1])
    maps, strips = [], []
    for way in ways:
        shares, steps, made = (run.figures.get(f'{name}_{way}') for name in ('boundary', 'samples_steps', 'samples'))
        points = [None] * len(shares) if made is None else made.reshape(len(made), -1, 2)
        at, when = shown_moment(run, way, steps)
        maps.append(figure(plot_map(shares[at], known, names, points[at]), f'{way_title(way)}, {when}.'))
        if made is None:
            continue
        titles = [f'step {number(int(step))}' for step in steps]
        moments = list(zip(titles, shares, points))
        still = plot_moments([moments[t] for t in evenly(len(moments), MOMENTS)], known)
        moving = animation(
            [frame(title, share, known, made) for title, share, made in moments],
            f'{way_title(way)}: the map and the generated points at every evaluation',
            colors=marked(len(names)),
        )
        strips += [
            part('heading', f'{way_title(way)}: the generated points over time'),
            beside(figure(still, 'At some evaluations.'), figure(moving, 'All of training, in a loop.', 'motion')),
        ]
    whose = f' ({run.figures_from.parent.name})' if len(seeds_of(run.result)) > 1 else ''
    intro = (
        f'Each map{whose} shows what the classifier predicts at every point of the plane: the colour is the class, '
        'white is uncertain, and on the black line a class has a probability of one half. Small pale points are test '
        'points, large ones with a black rim are labels that the classifier had.'
    )
    return section('Points in the plane', paragraph(intro), beside(*maps, three=True), *strips, paragraph(lesson(ways)))


def shown_moment(run, way, steps):
    """(index of the evaluation whose weights validation chose, else of the last, and words for it)."""
    if steps is None:
        return -1, 'the weights selected on validation'
    folder = run.figures_from.parent.name
    seed = next((seed for seed in seeds_of(run.result) if f'seed{seed.get("seed")}' == folder), {})
    best = pick(seed, 'ways', way, 'best_step')
    at = np.flatnonzero(np.asarray(steps) == best)
    if len(at):
        return int(at[0]), f'the weights selected on validation (step {number(best)})'
    return -1, f'the last evaluation (step {number(int(steps[-1]))})'


def lesson(ways):
    """What is to be seen, in a sentence or two; '' without a generator. One that matches mean features fills the space
    between the classes, one whose images must pass for real imitates the data."""
    sentences = {
        'imitates': 'A generator that imitates the data well puts its points on the classes, where they say little '
        'about the boundary.',
        'complements': 'A complement generator that works also puts points where there is no class, and the boundary '
        'runs there.',
    }
    kinds = {kind for way, kind in methods.declared('GENERATOR').items() if way in ways}
    return ' '.join(words for kind, words in sentences.items() if kind in kinds)


def players_of(run):
    """The ways that logged what a generator or a discriminator did."""
    marks = {*LOSSES, *SHARES} - {'train/supervised'}
    return [way for way in ways_of(run.result) if marks & {*run.metrics.get(way, ())}]


def players(run):
    """The losses, the discriminator's opinion and the validation accuracy of every way that plays."""
    parts = []
    for way in players_of(run):
        seeds = ' Light lines: seeds; bold: their mean.' if several(run.metrics[way]) else ''
        ways = [name for name in dict.fromkeys(('scratch', way)) if name in run.metrics]
        parts += [
            part('heading', way_title(way)),
            beside(
                figure(curves(run, way, LOSSES, 'Training loss'), f'Losses of the two players.{seeds}'),
                figure(
                    curves(run, way, SHARES, 'D: probability of being real', limits=(-0.03, 1.03)),
                    'The discriminator on real training images, on validation images it never trained on, and on '
                    'generated ones: 1 is real, 0 is generated.',
                ),
                figure(plot_transfer(run.metrics, ways, 'val/top1', size=SIZE), 'Validation accuracy during training.'),
                three=True,
            ),
        ]
    return section('The two players', *parts)


def curves(run, way, titles, ylabel, limits=None):
    """A way's metrics {name: title} in one plot."""
    lines = {title: (way, key) for key, title in titles.items()}
    colors = dict(zip(lines, COLORS))
    return plot_curves(run.metrics, lines, ylabel, colors=colors, limits=limits, size=SIZE)
