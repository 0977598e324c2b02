"""The loss on labelled images, for every method that has one: cross-entropy, optionally with class weights and logit
adjustment."""

import jax
import jax.numpy as jnp
import optax

from ssljax import losses


def counts_classes(config) -> bool:
    """Whether the loss needs the class frequencies, so that batches have 'class_counts'."""
    return config.transfer.class_weights != 'none' or config.transfer.logit_adjustment > 0


def cross_entropy(config, logits, batch, smoothing: float = 0.0):
    """The loss on labelled images, per row.

    Args:
      config: the run's config.
      logits: [B, K'] float32; logits beyond the K classes, such as one for generated images, are left alone.
      batch: with 'label' [B] int32 and, if `counts_classes`, 'class_counts' [K] int32.
      smoothing: label smoothing, as in losses.cross_entropy.

    Returns:
      [B] float32.
    """
    if not counts_classes(config):
        return losses.cross_entropy(logits, batch['label'], smoothing=smoothing)
    targets = optax.smooth_labels(jax.nn.one_hot(batch['label'], logits.shape[1]), smoothing)
    return soft_cross_entropy(config, logits, targets, batch)


def soft_cross_entropy(config, logits, targets, batch):
    """`cross_entropy` for targets [B, K'] float32 that are distributions: -sum_k w_k targets_k log softmax(logits + tau
    log pi)_k, with the class weights w and the class frequencies pi (logit-adjusted loss, Menon et al., ICLR 2021,
    arXiv:2007.07314, equation 10). log pi is added in training only, so that the plain logits predict for balanced
    classes."""
    if not counts_classes(config):
        return losses.soft_cross_entropy(logits, targets)
    cfg, counts = config.transfer, batch['class_counts']
    others = logits.shape[1] - len(counts)
    if cfg.logit_adjustment:
        logits = logits + jnp.pad(cfg.logit_adjustment * losses.log_prior(counts), (0, others))
    if cfg.class_weights != 'none':
        beta = 1.0 if cfg.class_weights == 'balanced' else cfg.class_weights_beta
        targets = targets * jnp.pad(losses.class_weights(counts, beta), (0, others), constant_values=1.0)
    return losses.soft_cross_entropy(logits, targets)


def binary_cross_entropy(config, logits, targets, batch):
    """`cross_entropy` for multi-label images, with targets [B, K] float32 in [0, 1]: losses.binary_cross_entropy,
    weighted for each class by whether an image has it, with mean weight 1, and with logit adjustment by the log odds of
    the class. 'class_counts' is [K + 1]: the images of each class, and all."""
    if not counts_classes(config):
        return losses.binary_cross_entropy(logits, targets)
    cfg, counts = config.transfer, batch['class_counts']
    both = jnp.stack([counts[-1] - counts[:-1], counts[:-1]], axis=1)  # without the class, with it
    if cfg.logit_adjustment:
        priors = jax.vmap(losses.log_prior)(both)
        logits = logits + cfg.logit_adjustment * (priors[:, 1] - priors[:, 0])
    without, with_ = jax.nn.softplus(logits), jax.nn.softplus(-logits)
    if cfg.class_weights != 'none':
        beta = 1.0 if cfg.class_weights == 'balanced' else cfg.class_weights_beta
        weights = jax.vmap(lambda pair: losses.class_weights(pair, beta))(both)
        without, with_ = without * weights[:, 0], with_ * weights[:, 1]
    return jnp.sum((1 - targets) * without + targets * with_, axis=1)
