"""A training method is a record of pure functions; the step is written once, above it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

PyTree = Any


class Method(NamedTuple):
    """What a method has to say; the optimiser, the mesh, the loop, checkpoints and evaluation know no more of it.

    init:      (key, batch) -> variables {'params': {'backbone': ..., 'head': ...}, 'batch_stats': ...}
    loss:      (params, state, ema, batch, key) -> (loss, (state, metrics)); training mode
    evaluate:  (params, state, batch) -> metrics; deterministic; batch has 'mask' [B] float32, 0 for padding
    ema_decay: (progress) -> tau of the averaged copy of the parameters, or None: no copy is kept
    predict:   (params, state, images) -> class logits [B, K], of a method that classifies; deterministic
    embed:     (params, state, images) -> [B, D] float32 that the loss compares, watched for collapse; deterministic
    show:      (params, state, images) -> {column: [B, h, w, C] float32 in [0, 1]}, pictures of the task for the report
    views:     images that the network sees for one image of the batch
    images:    trains on so many images only; 0: on all

    A batch is {'image': [B, H, W, C] uint8, 'label': [B] int32, -1 where unknown} and, in training, 'index' [B] int32,
    the image's place in the split, and 'progress', the share of the steps that is done, float32 in [0, 1).
    Metrics are {name: (sum, count)}, float32 scalars. `state` holds every collection but 'params'.
    """

    init: Callable
    loss: Callable
    evaluate: Callable
    ema_decay: Callable | None = None
    predict: Callable | None = None
    embed: Callable | None = None
    show: Callable | None = None
    views: int = 1
    images: int = 0


class TrainState(NamedTuple):
    """All that a resume needs. The randomness of a step is fold_in(run_key, step)."""

    step: jax.Array
    params: PyTree
    state: PyTree
    ema: PyTree | None
    opt: PyTree


def init_state(method: Method, tx: optax.GradientTransformation, variables: dict) -> TrainState:
    """The state before the first step."""
    params, state = split(variables)
    ema = jax.tree.map(jnp.copy, params) if method.ema_decay else None
    return TrainState(jnp.zeros((), jnp.int32), params, state, ema, tx.init(params))


def split(variables: dict) -> tuple[PyTree, PyTree]:
    """(params, state) of a dict of collections."""
    return variables['params'], {k: v for k, v in variables.items() if k != 'params'}


def train_step(method: Method, tx, ts: TrainState, batch: dict, key: jax.Array, steps: int) -> tuple[TrainState, dict]:
    """One update of `steps`. Returns the new state and the metrics of the batch, {name: (sum, count)}; among them the
    norms of the gradient, whole and of each part, and 'update/<part>', the update's relative to the parameters'."""
    key, progress = jax.random.fold_in(key, ts.step), ts.step / steps
    grad = jax.value_and_grad(method.loss, has_aux=True)
    (_, (state, metrics)), grads = grad(ts.params, ts.state, ts.ema, batch | {'progress': progress}, key)
    updates, opt = tx.update(grads, ts.opt, ts.params)
    params = optax.apply_updates(ts.params, updates)
    ema = ts.ema
    if method.ema_decay:
        tau = method.ema_decay(progress)
        ema = jax.tree.map(lambda e, p: tau * e + (1 - tau) * p, ema, params)
    one, norm = jnp.ones(()), optax.tree.norm
    metrics |= {'grad_norm': (norm(grads), one)}
    metrics |= {f'grad/{k}': (norm(grads[k]), one) for k in grads}
    metrics |= {f'update/{k}': (norm(updates[k]) / (norm(ts.params[k]) + 1e-12), one) for k in grads}
    return TrainState(ts.step + 1, params, state, ema, opt), metrics
