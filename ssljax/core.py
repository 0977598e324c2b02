"""A training method is a record of pure functions; the step is written once, above it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

PyTree = Any


class Method(NamedTuple):
    """All that the optimiser, the mesh, the loop, checkpoints and evaluation know about a method.

    init:      (key, batch) -> variables {'params': {'backbone': ..., 'head': ...}, 'batch_stats': ...}
    loss:      (params, state, ema, batch, key) -> (loss, (state, metrics)); training mode
    measure:   (params, state, batch) -> metrics; deterministic; batch has 'mask' [B] float32, 0 for padding
    ema_decay: (progress, step) -> tau of the averaged copy of the parameters, or None: no copy is kept
    averaged:  that copy is what is evaluated, chosen and kept, not the parameters themselves
    predict:   (params, state, images) -> class logits [B, K], of a method that classifies; deterministic
    features:  (params, state, images) -> [B, D] float32, pooled, the input of the classifier's head; deterministic
    embed:     (params, state, images) -> [B, D] float32 that the loss compares, watched for collapse; deterministic
    show:      (params, state, images) -> {column: [B, h, w, C] float32 in [0, 1]}, pictures of the task for the report
    sample:    (params, state) -> [N, H, W, C] float32 in [0, 1], from the same noise at each call; deterministic
    turns:     ((parts, loss), ...), for players that move one after the other: each loss, called like `loss`, is
               minimised over the parameters under those top-level names alone, and sees what earlier turns did in this
               step. (): one turn of `loss`, over all parameters
    views:     images that the network sees for one image of the batch
    images:    trains on this many images only; 0: on all
    remedy:    advice for the user if features collapse
    decided:   ((dotted field, value, why), ...), what was decided for its open options
    project:   params -> params, applied after each update, such as scaling directions back to length 1
    per_image: the loss is a mean over the images of the batch (of the labelled and of the unlabelled ones), each
               independent of the others except through BatchNorm's statistics, and so is the new state: the results of
               parts of a batch can be averaged
    teach:     (logits [N, K] of a teacher for all unlabelled images) -> (rows [M], classes [M]), int, that the method
               trains on in place of all of them; the first teacher is trained on labels alone, each next one is the
               method's own outcome, for `generations` in all

    A batch is {'image': [B, H, W, C] uint8, 'label': [B] int32, -1 where unknown} and, in training, 'index' [B] int32,
    the image's place in the split, 'progress', the share of the steps done so far, float32 in [0, 1), and, where a
    stage trains on labelled and unlabelled images at once, 'unlabeled' [U, H, W, C] uint8 with 'unlabeled_index' [U]
    int32, the places among the 'unlabeled_count' of them, and 'unlabeled_label' [U] int32, -1 or what a teacher says.
    'class_counts' [K] int32, how many of the stage's labelled images are of each class, is there if the config has a
    loss that depends on it (methods/labeled_loss.py).
    Metrics are {name: (sum, count)}, float32 scalars. `state` holds every collection but 'params'.
    """

    init: Callable
    loss: Callable
    measure: Callable
    ema_decay: Callable | None = None
    averaged: bool = False
    predict: Callable | None = None
    features: Callable | None = None
    embed: Callable | None = None
    show: Callable | None = None
    sample: Callable | None = None
    turns: tuple = ()
    views: int = 1
    images: int = 0
    teach: Callable | None = None
    generations: int = 1
    remedy: str = ''
    per_image: bool = False
    decided: tuple = ()
    project: Callable | None = None


class TrainState(NamedTuple):
    """All that resuming needs. The randomness of a step is fold_in(run_key, step)."""

    step: jax.Array
    params: PyTree
    state: PyTree
    ema: PyTree | None
    opt: PyTree


def evaluated(method: Method, ts: TrainState) -> PyTree:
    """The parameters that are evaluated and kept: the averaged ones where the method says so."""
    return ts.ema if method.averaged else ts.params


def init_state(method: Method, tx: optax.GradientTransformation, variables: dict) -> TrainState:
    """The state before the first step, with the types that every step returns: a weak type, from a Python number, would
    be strong after the first step, and the program would be compiled for both."""
    params, state = split(variables)
    ema = jax.tree.map(jnp.copy, params) if method.ema_decay else None
    opt = tuple(tx.init(own) for own, _, _ in moves(method, params))
    ts = TrainState(jnp.zeros((), jnp.int32), params, state, ema, opt)
    return jax.tree.map(lambda leaf: leaf.astype(leaf.dtype), ts)


def moves(method: Method, params) -> list[tuple[PyTree, PyTree, Callable]]:
    """[(parameters that a turn trains, the others, its loss), ...] for the turns of a method."""
    turns = method.turns or ((tuple(params), method.loss),)
    return [({k: params[k] for k in own}, {k: v for k, v in params.items() if k not in own}, f) for own, f in turns]


def split(variables: dict) -> tuple[PyTree, PyTree]:
    """(params, state) of a dict of collections."""
    return variables['params'], {k: v for k, v in variables.items() if k != 'params'}


def gradient(loss: Callable, own, others, state, ema, batch: dict, key: jax.Array) -> tuple:
    """(the gradient of a loss in the parameters `own`, the new state, metrics) of a batch."""
    grad = jax.value_and_grad(lambda p: loss(others | p, state, ema, batch, key), has_aux=True)
    (_, (state, found)), grads = grad(own)
    return grads, state, found


def train_step(
    method: Method, tx, ts: TrainState, batch: dict, key: jax.Array, steps: int, gradient: Callable = gradient
) -> tuple[TrainState, dict]:
    """One of `steps` updates. Returns the new state and the metrics of the batch, {name: (sum, count)}; among them the
    norms of the gradient, whole and by part, and 'update/<part>', the update's norm relative to the parameters'."""
    key, progress = jax.random.fold_in(key, ts.step), ts.step / steps
    batch = batch | {'progress': progress}
    params, state, squares = ts.params, ts.state, []
    opt: list = []
    metrics: dict = {}
    one, norm = jnp.ones(()), optax.tree.norm
    for i in range(len(ts.opt)):
        own, others, loss = moves(method, params)[i]
        turn_key = jax.random.fold_in(key, i) if method.turns else key
        grads, state, found = gradient(loss, own, others, state, ts.ema, batch, turn_key)
        updates, new = tx.update(grads, ts.opt[i], own)
        params, opt = params | optax.apply_updates(own, updates), [*opt, new]
        metrics |= found
        squares.append(norm(grads, squared=True))
        metrics |= {f'grad/{k}': (norm(grads[k]), one) for k in grads}
        metrics |= {f'update/{k}': (norm(updates[k]) / (norm(own[k]) + 1e-12), one) for k in grads}
    if method.project:
        params = method.project(params)
    ema = ts.ema
    if method.ema_decay:
        tau = method.ema_decay(progress, ts.step)
        ema = jax.tree.map(lambda e, p: tau * e + (1 - tau) * p, ema, params)
    metrics['grad_norm'] = jnp.sqrt(sum(squares)), one
    return TrainState(ts.step + 1, params, state, ema, tuple(opt)), metrics
