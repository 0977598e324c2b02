"""The fuzzy graph of nearest neighbours that UMAP lays out (McInnes et al., arXiv:1802.03426, section 3.1)."""

import numpy as np
from scipy import sparse

STEPS, TOLERANCE, LEAST = 64, 1e-5, 1e-3  # of the bisection; the last: of a width, over the mean distance


def fuzzy_graph(nearest, distances):
    """How surely each image is a neighbour of each other one; the graph of umap-learn's `fuzzy_simplicial_set`, whose
    code takes numba 4 seconds to compile in every process.

    Args:
      nearest: [N, k] int, the nearest rows of each row, itself first.
      distances: [N, k] float >= 0, ascending.

    Returns:
      A symmetric sparse matrix [N, N] float32 in [0, 1]: a + b - ab of both rows' views of each other.
    """
    distances, n = np.asarray(distances, np.float64), len(nearest)
    positive = distances > 0
    closest = np.where(positive, distances, np.inf).min(1)
    beyond = np.maximum(distances - np.where(positive.any(1), closest, 0.0)[:, None], 0.0)
    mean = np.where(positive.any(1), distances.mean(1), distances.mean())
    width = np.maximum(_widths(beyond[:, 1:], np.log2(distances.shape[1])), LEAST * mean)
    sure = np.where(nearest == np.arange(n)[:, None], 0.0, np.exp(-beyond / width[:, None]))
    rows = np.repeat(np.arange(n), nearest.shape[1])
    graph = sparse.coo_matrix((sure.ravel().astype(np.float32), (rows, nearest.ravel())), (n, n)).tocsr()
    graph = graph + graph.T - graph.multiply(graph.T)
    graph.eliminate_zeros()
    return graph


def _widths(beyond, target: float):
    """[N]: for which width the sum of exp(-beyond / width) over a row of `beyond` [N, k] is `target`, by bisection."""
    low, high, width = np.zeros(len(beyond)), np.full(len(beyond), np.inf), np.ones(len(beyond))
    for _ in range(STEPS):
        total = np.exp(-beyond / width[:, None]).sum(1)
        if (found := np.abs(total - target) < TOLERANCE).all():
            break
        low, high = np.where(total > target, low, width), np.where(total > target, width, high)
        width = np.where(found, width, np.where(np.isinf(high), 2 * width, (low + high) / 2))
    return width
