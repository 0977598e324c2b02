"""How every plot looks, and how a figure becomes an <img> with its data inside."""

import base64
import html
import io

import matplotlib
from matplotlib import colors
from matplotlib.figure import Figure

# Okabe and Ito's colours without yellow (too light on white), then two more: safe for the colour-blind.
COLORS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#56B4E9', '#E69F00', '#332288', '#999999')
# Petroff's ten colours (arXiv:2107.02270), for classes.
CLASS_COLORS = (
    '#3f90da',
    '#ffa90e',
    '#bd1f01',
    '#94a4a2',
    '#832db6',
    '#a96b59',
    '#e76300',
    '#b9ac70',
    '#717581',
    '#92dadd',
)
MARKERS = ('o', 's', '^', 'D', 'v', 'P', 'X', '<', '>', '*')
WAY_COLORS = {
    'random_frozen': '#7f7f7f',
    'scratch': '#D55E00',
    'frozen': '#56B4E9',
    'finetune': '#0072B2',
    'two_stage': '#009E73',
    'sgan': '#CC79A7',
    'sgan_explicit': '#E69F00',
    'badgan': '#332288',
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
}


def new_figure(width=4.7, height=3.0, **kwargs):
    """(figure, axes) outside pyplot, so that no global state is touched; inches."""
    figure = Figure(figsize=(width, height), layout='constrained')
    return figure, figure.subplots(**kwargs)


def style():
    return matplotlib.rc_context(STYLE)


def way_color(way, index):
    return WAY_COLORS.get(way) or ('#882255', '#44AA99', '#999933', '#661100', '#88CCEE')[index % 5]


def blend(color, share=0.4):
    """A colour mixed with white, of which there is 1 - share; for bars under points."""
    return tuple(1 - share * (1 - part) for part in colors.to_rgb(color))


def as_img(figure, alt, kind='svg'):
    """The figure as an HTML <img> (kind: 'svg', or 'png' where there are thousands of marks)."""
    buffer = io.BytesIO()
    options = {'metadata': {'Date': None}} if kind == 'svg' else {'dpi': 200}
    figure.savefig(buffer, format=kind, **options)
    mime = 'image/svg+xml' if kind == 'svg' else 'image/png'
    width = round(figure.get_size_inches()[0] * 100)
    return (
        f'<img style="width:{width}px" alt="{html.escape(alt, quote=True)}" '
        f'src="data:{mime};base64,{base64.b64encode(buffer.getvalue()).decode()}">'
    )


def shorten(text, length=18):
    text = str(text)
    return text if len(text) <= length else text[: length - 1] + '…'
