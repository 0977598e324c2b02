"""From schedules and regex rules (learning rate, weight decay, freezing) to an optax transformation."""

import jax
import jax.numpy as jnp
import optax
from absl import logging

from ssljax import muon
from ssljax.config import OPTIMISERS
from ssljax.rules import by_name, path_name


def schedule(cfg, steps: int) -> optax.Schedule:
    """Learning rate by step. `multistep` multiplies by gamma at each milestone, a share of the steps; `flat_linear` is
    constant up to the first milestone and then falls linearly to 0, as in the code of semi-supervised GANs;
    `slow_cosine` is cos(7 pi t / 16) for a share t of the steps, FixMatch's, which ends at 0.2 of the rate
    (arXiv:2001.07685, 2.3)."""
    warmup = round(cfg.warmup * steps)
    if cfg.schedule == 'cosine':
        body = optax.cosine_decay_schedule(cfg.lr, max(steps - warmup, 1))
    elif cfg.schedule == 'slow_cosine':
        body = lambda step: cfg.lr * jnp.cos(7 / 16 * jnp.pi * jnp.minimum(step / max(steps - warmup, 1), 1.0))
    elif cfg.schedule == 'constant':
        body = optax.constant_schedule(cfg.lr)
    elif cfg.schedule == 'multistep':
        at = {max(round(m * steps) - warmup, 0): cfg.gamma for m in cfg.milestones}
        body = optax.piecewise_constant_schedule(cfg.lr, at)
    elif cfg.schedule == 'flat_linear':
        flat = max(round(next(iter(cfg.milestones), 1.0) * steps) - warmup, 0)
        body = optax.linear_schedule(cfg.lr, 0.0, max(steps - warmup - flat, 1), flat)
    else:
        known = 'cosine, slow_cosine, constant, multistep or flat_linear'
        raise ValueError(f'optim.schedule is {cfg.schedule!r}; it can be {known}.')
    if not warmup:
        return body
    return optax.join_schedules([optax.linear_schedule(0.0, cfg.lr, warmup), body], [warmup])


def factors(rules: str, params) -> dict:
    """A tree like `params` with the factor that the first full-matching rule gives to each parameter.

    Args:
      rules: 'regex=factor; regex=factor', matched against names such as 'backbone/conv1/kernel'.
      params: the parameter tree.

    Raises:
      ValueError: a rule that cannot be read, one that matches nothing before a later rule does, or a parameter
        that none covers.
    """
    return by_name(rules, params, float, 'optimiser rule', 'number', '.*=1')


def trained_parts(cfg, params) -> set[str]:
    """The top-level parts of `params` of which the rules leave something to train."""
    return {part for part, tree in factors(cfg.rules, params).items() if any(jax.tree.leaves(tree))}


def make(cfg, steps: int, rate=None) -> tuple[optax.GradientTransformation, optax.Schedule]:
    """The optimiser of a stage and its schedule, `rate` if given. Weight decay is L2 in the gradient for sgd and lars
    (as in the literature) and decoupled for adamw and muon; a parameter whose learning-rate factor is 0 is frozen and
    has no state.

    lars: the gradient of each parameter that decays is scaled to a thousandth of the parameter's norm; then momentum
    and rate, for all, as in the code of Barlow Twins and VICReg (You et al. 2017, arXiv:1708.03888).
    muon: muon.scale_by_muon for the kernels, Adam for the rest, with the same learning rate.

    Raises:
      ValueError: an unknown name, a negative weight decay, or rules as in `factors`.
    """
    if isinstance(cfg.weight_decay, int | float) and cfg.weight_decay < 0:  # in tuning it is traced
        raise ValueError(f'optim.weight_decay is {cfg.weight_decay}; it must be 0 or more.')
    rate = rate or schedule(cfg, steps)
    if cfg.name not in OPTIMISERS:
        known = ', '.join(OPTIMISERS[:-1])
        raise ValueError(f'optim.name is {cfg.name!r}; it can be {known} or {OPTIMISERS[-1]}.')

    def mask(params):
        return jax.tree.map(lambda f: f > 0, factors(cfg.decay, params))

    def core(b1):
        decay = optax.add_decayed_weights(cfg.weight_decay, mask)
        momentum, adam = optax.trace(cfg.momentum, cfg.nesterov), optax.scale_by_adam(b1, cfg.b2)
        if cfg.name == 'sgd':
            return optax.chain(decay, momentum)
        if cfg.name == 'lars':
            return optax.chain(decay, optax.masked(optax.scale_by_trust_ratio(trust_coefficient=0.001), mask), momentum)
        if cfg.name == 'muon':
            turned = muon.scale_by_muon(cfg.momentum, cfg.nesterov)
            return optax.chain(optax.partition({'kernel': turned, 'other': adam}, muon.kinds), decay)
        return optax.chain(adam, decay)

    clip = optax.clip_by_global_norm(cfg.clip) if cfg.clip else optax.identity()

    def transform(factor, b1):
        if factor == 0:
            return optax.set_to_zero()
        trained = optax.chain(clip, core(b1), optax.scale_by_learning_rate(rate))
        return trained if factor == 1 else optax.chain(trained, optax.scale(factor))

    def labels(params):
        given = factors(cfg.rules, params), factors(f'{cfg.b1_rules}; .*={cfg.b1}', params)
        return jax.tree.map(label, *given)

    def label(factor, b1):
        return f'{factor:g}' + (f', b1 {b1:g}' if b1 != cfg.b1 else '')

    scales, betas = ({d, *_numbers(rules)} for d, rules in ((1.0, cfg.rules), (cfg.b1, cfg.b1_rules)))
    return optax.partition({label(f, b): transform(f, b) for f in scales for b in betas}, labels), rate


def _numbers(rules: str) -> list[float]:
    """The numbers of 'regex=number; regex=number'."""
    return [float(rule.rpartition('=')[2]) for rule in rules.split(';') if rule.strip()]


def log_rules(cfg, params) -> None:
    """Logs which parameters are trained, frozen and decayed."""
    rate, decay = factors(cfg.rules, params), factors(cfg.decay, params)
    for (path, lr), wd in zip(jax.tree_util.tree_leaves_with_path(rate), jax.tree.leaves(decay)):
        logging.debug('%s: learning rate x %g, weight decay x %g', path_name(path), lr, wd)
