"""UMAP itself, which takes long to compile: elsewhere its place is taken by PCA."""

import numpy as np

from ssljax.report import embed


def test_umap_keeps_groups_apart():
    groups = np.arange(80) % 2
    features = np.random.default_rng(0).normal(size=(80, 60)) + 20 * groups[:, None]
    xy, how = embed.embed(features.astype(np.float32))
    assert how.startswith('UMAP (15 neighbours') and xy.shape == (80, 2) and xy.dtype == np.float32
    middles = np.stack([xy[groups == g].mean(0) for g in (0, 1)])
    nearest = np.linalg.norm(xy[:, None] - middles, axis=2).argmin(1)
    assert (nearest == groups).all()
