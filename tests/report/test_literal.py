"""Any text is drawn, and shown, as it is; what cannot be drawn leaves the rest of the page."""

import base64
import html
import json
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ssljax import experiment
from ssljax.report import canvas, draw, embed, markup, page, plane, plots, tuning
from ssljax.report.canvas import matplotlib
from ssljax.studies import curve, figure
from ssljax.text import literal
from tests.report.test_report import make_result, make_run, plain, self_contained

ROOT = Path(__file__).resolve().parents[2]
NAMES = st.text(st.characters(codec=None), max_size=30)
ODD = ['', ' ', '_x', '$x_1$', '$\\frac{$', '^', '\\', '<b>&"\'|', '-->', 'a\nb\t\x00\x1b[31m', '\udc80', '\ufffe',
       'שלום', '\u202egpj', '猫🐈', 'x' * 500]  # fmt: skip


def odd(test):
    for name in ODD:
        test = example(name=name)(test)
    return test


def parsed(image):
    """That an <img> holds an SVG that a browser can read, or a PNG."""
    kind, data = re.search(r'src="data:image/([^;]*);base64,([^"]*)"', image).groups()
    if kind == 'svg+xml':
        ElementTree.fromstring(base64.b64decode(data))
    return image


@odd
@given(name=NAMES)
@settings(max_examples=3)
def test_any_text_goes_through_every_figure(name):
    names = [name, 'b']
    two = np.array([[0.5, 0.25], [0.75, 1.0]])
    known = np.zeros((2, 2), np.uint8), np.array([0, 1]), np.zeros((2, 2), np.uint8), np.array([0, 1])
    decision = {'title': name, 'xlabel': name, 'ylabel': name, 'xscale': 'category', 'x': [name, f'{name} '],
                'series': {name: [1.0, None], f'{name}x': [1.0, 2.0]}, 'chosen': name}  # fmt: skip
    series = curve.Series(name, name, name)
    at = pd.MultiIndex.from_product([['seed0'], [1, 2]], names=['seed', 'step'])
    logged = pd.DataFrame({'train/x': [0.5, 0.7]}, at)
    with draw.style(), warnings.catch_warnings():
        warnings.simplefilter('error')
        for image in (
            plots.plot_curves({'a': logged}, {name: ('a', 'train/x'), f'{name}x': ('a', 'train/x')}, name),
            plots.plot_per_class(two, names),
            plots.plot_confusion(100 * two, names),
            plots.plot_probe({name: {name: {'val': {'mean': 0.5}, 'test': {'mean': 0.5}}}}, {}),
            tuning.plot_decision(decision, name),
        ):
            assert 'could not be drawn' not in image
            parsed(image)
        drawn = figure.over_labels({series: {4.0: {0: 0.5}, 8.0: {0: 0.6}}}, 'y')
        ElementTree.fromstring(draw.saved(drawn, 'svg'))
        if name in ODD[2:5]:  # a picture of pixels takes longer
            parsed(embed.plot_map(np.eye(2, dtype=np.float32), np.array([0, 1]), names))
            parsed(plane.plot_map(np.full((4, 4, 2), 0.5), known, names))


def test_figures_read_no_formula_and_no_matplotlibrc():
    with matplotlib.rc_context({'text.usetex': True, 'text.parse_math': True}):
        figure_, axes = draw.new_figure()
        axes.set_title('$x_1$')
        axes.plot([1, 2], [1, 2], label=draw.labelled('_hidden'))
        axes.legend()
        with draw.style():
            svg = draw.saved(figure_, 'svg').decode()
    assert '<!-- $x_1$ -->' in svg and '_hidden -->' in svg
    with draw.style():
        log, axes = draw.new_figure()
        axes.plot([1e-4, 1e-1], [1, 2])
        axes.set_xscale('log')
        draw.plain_log(axes.xaxis)
        assert 'mathdefault' not in draw.saved(log, 'svg').decode()


@odd
@given(name=NAMES)
@settings(max_examples=50)
def test_html_and_markdown_are_literal(name):
    shown = markup.part('heading', name)[4:-5]
    shown.encode('utf-8')
    assert not set('<>"\'') & set(shown)
    if literal.clean(name) == name:
        assert html.unescape(shown) == name
    cell = literal.as_markdown(name)
    assert '\n' not in cell and not re.search(r'(?<!\\)(\\\\)*\|', cell)


@pytest.mark.parametrize('name', ODD)
def test_any_name_is_on_the_page(tmp_path, name):
    make_result_in(tmp_path, name)
    text = page.write(tmp_path).read_text(encoding='utf-8')
    assert self_contained(text) and 'could not be drawn' not in text
    assert markup.part('heading', name)[4:-5] in text and '<b>&' not in text


def make_result_in(folder, name):
    """A result with odd names, of few figures."""
    result = make_result(k=3, seeds=2, pretrain=False, names=[name, f'{name}2', 'c'])
    (folder / 'result.json').write_text(json.dumps(result | {'name': name or 'run'}))


def test_a_section_that_fails_is_replaced_by_its_error(tmp_path, monkeypatch, capsys):
    make_run(tmp_path, seeds=1, pretrain=False)

    def broken(of):
        def fails(run):
            raise RuntimeError(f'no <luck>\nat all with {of.__name__}')

        fails.__name__ = of.__name__
        return fails

    good = page.SECTIONS
    monkeypatch.setattr(page, 'SECTIONS', tuple(map(broken, good)))
    text = page.write(tmp_path).read_text()
    said = capsys.readouterr().err
    for make in good:
        title = make.__name__.replace('_', ' ')
        assert f'<h2>{title.capitalize()}</h2>' in text and f'"{title}" could not be drawn' in said
        assert f'RuntimeError: no &lt;luck&gt;\\nat all with {make.__name__}' in text
    monkeypatch.setattr(page, 'SECTIONS', (broken(good[0]), *good[1:]))
    text = page.write(tmp_path).read_text()
    assert text.count('could not be drawn') == 1 and '<h2>Errors by class</h2>' in text


def test_a_figure_that_fails_leaves_its_table(tmp_path, monkeypatch):
    make_run(tmp_path, seeds=1, pretrain=False)
    monkeypatch.setattr(plots, 'draw_bars', lambda *_: 1 / 0)
    text = page.write(tmp_path).read_text()
    assert 'This figure could not be drawn: ZeroDivisionError' in text and 'From scratch' in plain(text)


def test_a_damaged_file_leaves_the_rest(tmp_path, capsys, caplog):
    make_run(tmp_path, seeds=1, pretrain=False)
    (tmp_path / 'seed0/figures.npz').write_bytes(b'PK\x03\x04 no archive')
    (tmp_path / 'seed0/scratch/metrics.jsonl').write_bytes(b'\xff\xfe\n')
    (tmp_path / 'tuning').mkdir()
    (tmp_path / 'tuning/decisions.json').write_text('[]')
    assert 'could not be drawn' not in page.write(tmp_path).read_text()
    said = capsys.readouterr().err + caplog.text
    assert all(name in said for name in ('figures.npz', 'metrics.jsonl', 'decisions.json'))


def test_a_page_that_fails_is_a_warning(tmp_path, monkeypatch, capsys):
    result = make_run(tmp_path, seeds=1, pretrain=False)
    monkeypatch.setattr(page, 'render', lambda run: 1 / 0)
    experiment.show(result, tmp_path)
    out, err = capsys.readouterr()
    assert 'From scratch' in out and 'report.html' not in out
    assert f'ssljax report {tmp_path}' in err and 'ZeroDivisionError' in err and 'result.json' in err


@pytest.mark.parametrize(
    'features',
    [np.ones((40, 5)), np.zeros((40, 60)), np.ones((1, 3)), np.eye(2), np.full((40, 4), 1e30), np.ones((30, 1))],
    ids=['equal', 'zero', 'one', 'two', 'huge', 'narrow'],
)
def test_a_map_of_any_features(features, monkeypatch):
    umap = SimpleNamespace(find_ab_params=lambda *_: 1 / 0)  # UMAP itself takes seconds to compile
    monkeypatch.setattr(embed, '_umap', lambda: umap)
    xy, how = embed.embed(features.astype(np.float32))
    assert xy.shape == (len(features), 2) and how.startswith('PCA') and np.isfinite(xy).all()
    assert ('UMAP failed' in how) == (len(features) >= embed.FEWEST_FOR_UMAP)


def test_umap_that_fails_gives_a_map_by_pca(monkeypatch):
    features = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    for error in (RuntimeError('cannot cache function'), ImportError('no'), OSError('read-only')):
        monkeypatch.setattr(embed, '_import_umap', lambda error=error: (_ for _ in ()).throw(error))
        assert 'PCA (umap-learn' in embed.embed(features)[1]


def test_numba_without_a_place_is_given_one(monkeypatch):
    numba, calls = SimpleNamespace(config=SimpleNamespace(CACHE_DIR='')), []

    def load():
        calls.append(numba.config.CACHE_DIR)
        if not calls[-1]:
            raise RuntimeError("cannot cache function 'rdist': no locator available for file 'umap/layouts.py'")
        return 'UMAP'

    monkeypatch.setitem(sys.modules, 'numba', numba)
    monkeypatch.setattr(embed, '_import_umap', load)
    assert embed._umap() == 'UMAP' and len(calls) == 2 and Path(calls[1]).is_dir()


def test_without_a_home_and_with_another_backend(tmp_path):
    """A home that is a file can be written to by nobody, not even root."""
    (tmp_path / 'run').mkdir()
    make_run(tmp_path / 'run', seeds=1, pretrain=False)
    (tmp_path / 'home').write_text('')
    env = {k: v for k, v in os.environ.items() if k not in ('NUMBA_CACHE_DIR', 'MPLCONFIGDIR', 'XDG_CACHE_HOME')}
    env |= {'HOME': str(tmp_path / 'home'), 'MPLBACKEND': 'no_such_backend', 'PYTHONIOENCODING': 'ascii'}
    done = subprocess.run(
        [sys.executable, '-m', 'ssljax.report', str(tmp_path / 'run')], cwd=ROOT, env=env | {'PYTHONPATH': str(ROOT)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0 and 'Traceback' not in done.stderr, done.stderr
    text = (tmp_path / 'run/report.html').read_text()
    assert 'could not be drawn' not in text and '+/-' not in text and '82' in done.stdout


def test_the_environment_is_as_it_was(monkeypatch):
    monkeypatch.setenv('MPLBACKEND', 'no_such_backend')
    with canvas._without('MPLBACKEND'):
        assert 'MPLBACKEND' not in os.environ
    assert os.environ['MPLBACKEND'] == 'no_such_backend'
