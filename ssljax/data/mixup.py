"""Mixup: convex combinations of images and of their labels. Zhang et al., ICLR 2018 (arXiv:1710.09412)."""

import jax
import jax.numpy as jnp


def mixup(key, images, targets, alpha: float, *, own: float = 0.0):
    """(images, targets), each row mixed with another of the batch at random.

    Args:
      key: a random key.
      images: [B, H, W, C] float32.
      targets: [B, K] float32, each row a distribution.
      alpha: every row's share is drawn from Beta(alpha, alpha), alpha above 0; the paper draws one per batch.
      own: the least share of a row's own image; MixMatch has 0.5 (arXiv:1905.02249, equation 9): a share below one half
        becomes one minus it.
    """
    k_share, k_order = jax.random.split(key)
    share = jax.random.beta(k_share, alpha, alpha, (len(images),))
    share = jnp.where(share < own, 1 - share, share)
    other = jax.random.permutation(k_order, len(images))
    blend = lambda a, share: share * a + (1 - share) * a[other]
    return blend(images, share[:, None, None, None]), blend(targets, share[:, None])
