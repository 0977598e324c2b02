"""The 2-D map of test features."""

import contextlib
import functools
import hashlib
import sys
import tempfile
import warnings

import numpy as np

from ssljax.report.draw import CLASS_COLORS, MARKERS, as_img, described, drawn, labelled, new_figure, shorten
from ssljax.report.fuzzy_graph import fuzzy_graph
from ssljax.storage import files

MOST = 2000
NEIGHBORS = 15
FEWEST_FOR_UMAP = 30


def embed(features, seed=0):
    """Two coordinates for each row, and the words that say how.

    UMAP (McInnes et al., arXiv:1802.03426) on the first 50 principal components; the first two principal
    components if umap-learn cannot be imported or fails, or there are fewer than 30 rows.

    Args:
      features: [N, D] float32, finite, N >= 1.

    Returns:
      (xy [N, 2] float32, str).
    """
    if len(features) < FEWEST_FOR_UMAP:
        return principal(features, 2, seed), f'PCA (UMAP needs at least {FEWEST_FOR_UMAP} images)'
    try:
        umap = _umap()
    except ImportError:
        return principal(features, 2, seed), 'PCA (umap-learn is not installed)'
    except Exception as error:
        return principal(features, 2, seed), f'PCA (umap-learn cannot be loaded: {described(error)})'
    try:
        return _embed(umap, features, seed)
    except Exception as error:
        return principal(features, 2, seed), f'PCA (UMAP failed on these features: {described(error)})'


def _embed(umap, features, seed):
    from sklearn.neighbors import NearestNeighbors

    width = features.shape[1]
    reduced = principal(features, 50, seed) if width > 50 else features
    # UMAP would find them, and do what `fuzzy_graph` does, with code that numba takes 10 seconds to compile.
    distances, nearest = NearestNeighbors(n_neighbors=NEIGHBORS).fit(reduced).kneighbors(reduced)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        a, b = umap.find_ab_params(1.0, 0.1)  # spread, min_dist
        xy, _ = umap.simplicial_set_embedding(
            data=reduced, graph=fuzzy_graph(nearest, distances), n_components=2, initial_alpha=1.0, a=a, b=b, gamma=1.0,
            negative_sample_rate=5, n_epochs=None, init='spectral', random_state=np.random.RandomState(seed),
            metric='euclidean', metric_kwds={}, densmap=False, densmap_kwds={}, output_dens=False,
        )  # fmt: skip
    how = f'UMAP ({NEIGHBORS} neighbours, min_dist 0.1'
    return np.asarray(xy, np.float32), how + (', first 50 principal components)' if width > 50 else ')')


def _umap():
    """UMAP's module. If numba finds no place to write its compiled code to (a read-only environment and home), it is
    given a temporary one."""
    try:
        return _import_umap()
    except RuntimeError as error:
        if 'cannot cache' not in str(error):
            raise
    import numba

    numba.config.CACHE_DIR = _temporary().name
    return _import_umap()


@functools.cache
def _temporary():
    """A directory that lasts as long as the process: numba writes to it when a function is first called."""
    return tempfile.TemporaryDirectory(prefix='ssljax-numba-')


def _import_umap():
    with warnings.catch_warnings(), _hidden('tensorflow'):
        warnings.simplefilter('ignore')
        from umap import umap_
    return umap_


@contextlib.contextmanager
def _hidden(package):
    """As if the package were not installed: umap-learn, which can do without TensorFlow, would spend seconds on it."""
    kept = sys.modules.pop(package, None)
    sys.modules[package] = None
    try:
        yield
    finally:
        del sys.modules[package]
        if kept:
            sys.modules[package] = kept


def principal(features, components, seed):
    """The first principal components, filled with zeros if the data has fewer."""
    from sklearn.decomposition import PCA  # it takes seconds to import

    kept = min(components, *features.shape)
    with np.errstate(all='ignore'):
        found = PCA(kept, random_state=seed, svd_solver='randomized').fit_transform(features)
    return np.pad(found, ((0, 0), (0, max(0, min(components, 2) - kept)))).astype(np.float32)


def sample(features, labels, seed=0):
    """At most MOST rows with finite features, in a fixed random choice."""
    rows = np.flatnonzero(np.isfinite(features).all(1))
    if len(rows) > MOST:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MOST, replace=False))
    return features[rows], labels[rows]


def cached_embed(features, path):
    """embed(features), kept in the file `path` so that writing the page again is quick."""
    digest = hashlib.sha256(np.ascontiguousarray(features).tobytes() + str(features.shape).encode()).hexdigest()
    with contextlib.suppress(OSError, KeyError, files.Damaged):
        kept = files.read_npz(path) or {}
        if str(kept['digest']) == digest:
            return kept['xy'], str(kept['how'])
    xy, how = embed(features)
    if how.startswith('UMAP'):
        with contextlib.suppress(OSError):  # a folder that is read-only, or full
            files.write_npz(path, {'xy': xy, 'how': how, 'digest': digest})
    return xy, how


@drawn
def plot_map(xy, labels, names):
    """Points coloured by class (label -1: gray), names at the medians; numbers above 20 classes."""
    k = len(names)
    figure, axes = new_figure(5.0, 4.4 if k > 20 else 4.4 + 0.16 * -(-k // 2))
    for label in np.unique(labels):
        points = xy[labels == label]
        color = CLASS_COLORS[label % 10] if label >= 0 else '#cccccc'
        marker = MARKERS[(label // 10) % 10] if label >= 0 else '.'
        name = labelled(shorten(names[label], 26) if 0 <= label < k else f'class {label}')
        axes.scatter(points[:, 0], points[:, 1], s=7, c=color, marker=marker, alpha=0.75, linewidths=0, label=name)
    for label in np.unique(labels[labels >= 0]):
        x, y = np.median(xy[labels == label], 0)
        text = shorten(names[label], 14) if k <= 20 and label < k else str(label)
        box = {'boxstyle': 'round,pad=0.15', 'fc': 'white', 'ec': 'none', 'alpha': 0.78}
        axes.text(x, y, text, fontsize=7.5, ha='center', va='center', color='#111111', bbox=box)
    axes.set_xticks([])
    axes.set_yticks([])
    for side in ('left', 'bottom'):
        axes.spines[side].set_visible(False)
    if k <= 20:
        figure.legend(loc='outside lower center', ncols=2, markerscale=2.2, handletextpad=0.2)
    return as_img(figure, f'Map of test features in two dimensions, coloured by {k} classes', 'png')
