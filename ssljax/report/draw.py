"""How every plot looks, and how a figure becomes an image with its data inside."""

import base64
import contextlib
import functools
import io
import sys
import warnings

from ssljax import methods
from ssljax.report.canvas import Figure, Text, colors, matplotlib, ticker
from ssljax.report.markup import part
from ssljax.text.literal import line

# Okabe and Ito's colours without yellow (too light on white), then two more: safe for the colour-blind.
COLORS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#56B4E9', '#E69F00', '#332288', '#999999')
# Petroff's ten colours (arXiv:2107.02270), for classes.
CLASS_COLORS = tuple('#3f90da #ffa90e #bd1f01 #94a4a2 #832db6 #a96b59 #e76300 #b9ac70 #717581 #92dadd'.split())
MOST_SIGNS = 80  # characters of a text in a figure
FITS = 500  # pixels of the widest figure that stays legible on a screen of 420, made smaller to fit
MARKERS = ('o', 's', '^', 'D', 'v', 'P', 'X', '<', '>', '*')
TRANSFER_COLORS = {
    'random_frozen': '#7f7f7f',
    'scratch': '#D55E00',
    'frozen': '#56B4E9',
    'finetune': '#0072B2',
    'two_stage': '#009E73',
}
STYLE = {
    'font.family': 'DejaVu Sans',
    'font.size': 9,
    'axes.titlesize': 9.5,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.edgecolor': '#555555',
    'axes.grid': True,
    'axes.axisbelow': True,
    'grid.color': '#e4e4e4',
    'grid.linewidth': 0.7,
    'xtick.color': '#333333',
    'ytick.color': '#333333',
    'legend.frameon': False,
    'legend.fontsize': 8,
    'hatch.linewidth': 0.8,
    'svg.hashsalt': 'ssljax',
    'figure.dpi': 100,
    'image.interpolation': 'nearest',
    'text.parse_math': False,  # a name may hold dollar signs
}


def new_figure(width=4.7, height=3.0, **kwargs):
    """(figure, axes) outside pyplot, so that no global state is touched; inches."""
    figure = Figure(figsize=(width, height), layout='constrained')
    return figure, figure.subplots(**kwargs)


@contextlib.contextmanager
def style():
    """How figures look within: STYLE over matplotlib's own defaults, whatever a user's matplotlibrc says."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def way_colors():
    """{way: its own colour}, of those that have one."""
    return TRANSFER_COLORS | methods.declared('COLOR')


def way_color(way, index):
    return way_colors().get(way) or ('#882255', '#44AA99', '#999933', '#661100', '#88CCEE')[index % 5]


def blend(color, share=0.4):
    """A colour mixed with white, of which there is 1 - share; for bars under points."""
    return tuple(1 - share * (1 - part) for part in colors.to_rgb(color))


def as_img(figure, alt, kind='svg'):
    """The figure as an HTML <img> (kind: 'svg', or 'png' where there are thousands of marks)."""
    width = round(figure.get_size_inches()[0] * 100)
    wide = {'class': 'wide'} if width > FITS else {}
    return img(saved(figure, kind), kind, alt, f'width:{width}px', **wide)


def img(content, kind, alt, css='', **others):
    """The bytes of an 'svg', 'png' or 'gif' as an <img>."""
    kind = {'svg': 'svg+xml'}.get(kind, kind)
    return part('picture', kind, base64.b64encode(content).decode(), alt, css, **others)


def saved(figure, kind):
    """The bytes of a figure as 'svg' or 'png'. Each of its texts is drawn literally, on one line; a character that the
    font lacks is an empty box."""
    for text in figure.findobj(Text):
        text.set_parse_math(False)
        text.set_usetex(False)
        text.set_text(shorten(text.get_text(), MOST_SIGNS))
    buffer = io.BytesIO()
    options = {'metadata': {'Date': None}} if kind == 'svg' else {'dpi': 200}
    with warnings.catch_warnings(), matplotlib.rc_context({'text.parse_math': False, 'text.usetex': False}):
        for message in ('Glyph', 'Matplotlib currently does not support', 'constrained_layout not applied'):
            warnings.filterwarnings('ignore', message, UserWarning)
        figure.savefig(buffer, format=kind, **options)
    return buffer.getvalue()


def drawn(plot):
    """Decorator of a function that returns an <img>: if it fails, a sentence takes its place, and a table beside it
    stays."""

    @functools.wraps(plot)
    def attempt(*args, **kwargs):
        try:
            return plot(*args, **kwargs)
        except Exception as error:
            said = f'This figure could not be drawn: {described(error)}'
            print(f'warning: {plot.__name__} of the report could not be drawn: {described(error)}', file=sys.stderr)
            return part('paragraph', said, kind='failed')

    return attempt


def described(error):
    """An exception on one line of at most 300 characters."""
    return shorten(f'{type(error).__name__}: {error}', 300)


def labelled(name):
    """A name as a label in a legend; matplotlib would leave out an empty one, or one that begins with an underscore."""
    name = line(name)
    return f'\u200b{name}' if name.startswith('_') else name or "''"


def plain_log(axis):
    """Makes the labels of a logarithmic axis plain text; by default they are formulas."""
    axis.set_major_formatter(ticker.LogFormatter())
    axis.set_minor_formatter(ticker.LogFormatter())


def shorten(text, length=18):
    text = line(text)
    return text if len(text) <= length else text[: length - 1] + '…'
