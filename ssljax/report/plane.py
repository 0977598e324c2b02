"""Pictures of a decision in the plane: class probabilities behind the points that a classifier saw."""

import numpy as np
from PIL import Image

from ssljax.report.canvas import Figure, FigureCanvasAgg, Line2D, to_rgb
from ssljax.report.draw import CLASS_COLORS, as_img, drawn, labelled, shorten

GENERATED = '#b0006d'
TEST, KNOWN = 600, 60  # test points and labelled points drawn at most


def coordinates(points):
    """uint8 [..., 2] as float64 in [-1, 1]."""
    return np.asarray(points, float) / 127.5 - 1


def colors_of(classes):
    return ('#0072B2', '#E69F00') if classes == 2 else tuple(CLASS_COLORS[i % 10] for i in range(classes))


def blend(probabilities, side=256):
    """[G, G, K] class probabilities as uint8 [side, side, 3]: pale class colours, the whiter the less sure."""
    layers = [Image.fromarray(np.float32(share)) for share in np.moveaxis(probabilities, -1, 0)]
    fine = [np.asarray(layer.resize((side, side), Image.Resampling.BILINEAR)) for layer in layers]
    shares, chance = np.clip(np.stack(fine, -1), 0, 1), 1 / len(fine)
    colors = np.array([to_rgb(color) for color in colors_of(len(fine))])
    sure = np.clip((shares.max(-1, keepdims=True) - chance) / (1 - chance), 0, 1)
    mixed = 1 - 0.45 * sure * (1 - shares @ colors)
    return np.uint8(np.clip(np.round(mixed * 64) * 4, 0, 255))  # in coarse steps, which keep PNG and GIF small


def marked(classes):
    """uint8 [n, 3] colours that a picture of a few colours must keep: of the marks, and of what lies under them."""
    colors = [to_rgb(color) for color in (*colors_of(classes), GENERATED, 'black', 'white')]
    return np.uint8(255 * np.array(colors))


def draw(axes, probabilities, known, generated=None, scale=1.0):
    """Draws one map on axes of matplotlib.

    Args:
      probabilities: [G, G, K], rows along the second coordinate, from -1 to 1.
      known: (test points uint8 [M, 2], their labels [M], labelled points uint8 [L, 2], their labels [L]).
      generated: uint8 [N, 2], or None.
      scale: of the marks.
    """
    test, test_labels, labeled, labels = known
    colors = np.array([to_rgb(color) for color in colors_of(probabilities.shape[-1])])
    axes.imshow(blend(probabilities), extent=(-1, 1, -1, 1), origin='lower')
    line = np.linspace(-1, 1, len(probabilities))
    for share in np.moveaxis(probabilities, -1, 0)[(1 if len(colors) == 2 else 0) :]:
        if share.min() < 0.5 < share.max():
            axes.contour(line, line, share, [0.5], colors='#222222', linewidths=1.4 * scale)
    some, marks = (
        np.linspace(0, len(a) - 1, min(most, len(a))).astype(int) for a, most in ((test, TEST), (labeled, KNOWN))
    )
    pale = 1 - 0.7 * (1 - colors)
    x, y = coordinates(test[some]).T
    axes.scatter(x, y, s=7 * scale**2, c=pale[test_labels[some]], linewidths=0)
    if generated is not None:
        x, y = coordinates(generated).T
        axes.scatter(x, y, s=13 * scale**2, c=GENERATED, marker='D', linewidths=0.4 * scale, edgecolors='white')
    x, y = coordinates(labeled[marks]).T
    axes.scatter(x, y, s=75 * scale**2, c=colors[labels[marks]], edgecolors='black', linewidths=1.6 * scale)
    axes.set(xlim=(-1, 1), ylim=(-1, 1), xticks=[], yticks=[], aspect='equal')
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)


@drawn
def plot_map(probabilities, known, names, generated=None):
    """One large map with its legend as an <img>; `names` are the classes', the rest is as in `draw`."""
    figure = Figure(figsize=(3.2, 3.75), layout='constrained')
    draw(figure.subplots(), probabilities, known, generated)
    titles = [f'{labelled(shorten(name, 14))}, labelled' for name in names]
    shown = [
        Line2D([], [], ls='', marker='o', ms=8, mfc=color, mec='black', mew=1.4, label=title)
        for title, color in zip(titles, colors_of(len(names)))
    ]
    shown.append(Line2D([], [], color='#222222', lw=1.4, label='boundary'))
    if generated is not None:
        shown.append(Line2D([], [], ls='', marker='D', ms=4.5, color=GENERATED, mew=0, label='generated'))
    figure.legend(handles=shown, loc='outside lower center', ncols=2, handletextpad=0.4, columnspacing=1.2)
    return as_img(figure, 'Class probabilities in the plane with the points', 'png')


@drawn
def plot_moments(moments, known):
    """Small maps in rows of three as an <img>; moments: [(title, probabilities, generated), ...]."""
    rows = -(-len(moments) // 3)
    figure = Figure(figsize=(5.7, 2.08 * rows), layout='constrained')
    places = figure.subplots(rows, 3, squeeze=False).ravel()
    for axes, (title, probabilities, generated) in zip(places, moments):
        draw(axes, probabilities, known, generated, 0.62)
        axes.set_title(title, fontsize=8.5, pad=3)
    for axes in places[len(moments) :]:
        axes.set_axis_off()
    return as_img(figure, 'Class probabilities and generated points at some moments of training', 'png')


def frame(title, probabilities, known, generated):
    """One map as uint8 [355, 320, 3]."""
    figure = Figure(figsize=(3.2, 3.55), dpi=100)
    canvas = FigureCanvasAgg(figure)
    draw(figure.add_axes((0.0, 0.0, 1.0, 0.9)), probabilities, known, generated, 0.9)
    figure.text(0.5, 0.945, title, ha='center', va='center', fontsize=10)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
