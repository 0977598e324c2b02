"""The fuzzy graph of nearest neighbours, against umap-learn's own functions, which run here without numba."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.neighbors import NearestNeighbors

from ssljax.report.embed import _umap
from ssljax.report.fuzzy_graph import fuzzy_graph


def of_umap(nearest, distances):
    umap, distances = _umap(), distances.astype(np.float32)
    widths, closest = umap.smooth_knn_dist.py_func(distances, float(nearest.shape[1]))
    rows, columns, sure, _ = umap.compute_membership_strengths.py_func(nearest, distances, widths, closest)
    one = sparse.coo_matrix((sure, (rows, columns)), shape=(len(nearest), len(nearest))).tocsr()
    return (one + one.T - one.multiply(one.T)).toarray()


@pytest.mark.parametrize('case', ('apart', 'groups', 'copies', 'one_place'))
def test_it_is_that_of_umap(case):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(60, 3))
    points = {
        'apart': points,
        'groups': points + 100 * (np.arange(60) % 2)[:, None],
        'copies': np.repeat(points[:12], 5, 0),
        'one_place': np.zeros((60, 3)),
    }[case]
    distances, nearest = NearestNeighbors(n_neighbors=8).fit(points).kneighbors(points)
    graph = fuzzy_graph(nearest, distances)
    assert graph.dtype == np.float32 and (graph != graph.T).nnz == 0
    assert graph.toarray() == pytest.approx(of_umap(nearest, distances), abs=2e-4)
