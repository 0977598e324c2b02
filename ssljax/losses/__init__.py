"""Losses: pure functions with their source."""

from ssljax.losses.adversarial import entropy, fake_loss, feature_matching, gaussian_nll, pull_away, real_loss
from ssljax.losses.classification import (
    binary_cross_entropy,
    class_weights,
    cross_entropy,
    log_prior,
    soft_cross_entropy,
    top_k,
)
from ssljax.losses.clustering import dino, sinkhorn, swav
from ssljax.losses.contrastive import info_nce, nt_xent
from ssljax.losses.metric import squared_distances, triplet
from ssljax.losses.redundancy import barlow_twins, vicreg
from ssljax.losses.regression import byol, negative_cosine, relative_std, unit
from ssljax.losses.spread import coding_rate, epps_pulley, sigreg

__all__ = [
    'barlow_twins',
    'binary_cross_entropy',
    'byol',
    'class_weights',
    'coding_rate',
    'cross_entropy',
    'dino',
    'entropy',
    'epps_pulley',
    'fake_loss',
    'feature_matching',
    'gaussian_nll',
    'info_nce',
    'log_prior',
    'negative_cosine',
    'nt_xent',
    'pull_away',
    'real_loss',
    'relative_std',
    'sigreg',
    'sinkhorn',
    'soft_cross_entropy',
    'squared_distances',
    'swav',
    'top_k',
    'triplet',
    'unit',
    'vicreg',
]
