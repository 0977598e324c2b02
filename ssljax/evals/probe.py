"""Linear probe: logistic regression on frozen features, multinomial or one per class, solved to its optimum by
L-BFGS."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ssljax.processes import preempt
from ssljax.targets import Targets


def probe(train, val, test, *, targets: Targets, l2s, steps: int = 100, metric: str = '') -> dict:
    """Fits one probe per strength of regularisation and keeps the one that is best on validation.

    Features are standardised by the mean and deviation of the training features. The problem is convex, so no
    learning rate or schedule enters the comparison of layers (cf. Kornblith et al. 2019, appendix A.6).

    Args:
      train, val, test: pairs (features [N, D] float32, labels [N] int32; rows with -1, unknown, do not count).
      targets: what the labels mean.
      l2s: strengths; the loss is mean cross-entropy + l2 / 2 * |W|^2.
      steps: L-BFGS iterations; each strength starts from the solution of the one before, strongest first.
      metric: one of targets.select, by which the strength is chosen; '': the first.

    Returns:
      {'val', 'test' (targets.main), 'l2', 'dim'}, and a metric other than that on validation under its name.
    """
    train, val, test = (_known(*part) for part in (train, val, test))
    mean, scale = _moments(jnp.asarray(train[0]))
    x, (y, loss) = (jnp.asarray(train[0]) - mean) / scale, targets.probe(train[1])
    params = {'w': jnp.zeros((x.shape[1], targets.classes)), 'b': jnp.zeros(targets.classes)}
    other = metric not in ('', targets.main)
    best: tuple = ()
    for l2 in sorted(l2s, reverse=True):
        preempt.check()
        params = _solve(params, x, y, jnp.float32(l2), loss, steps)
        logits = _logits(params, val[0], mean, scale)
        accuracy = targets.vote(logits, val[1])
        value = targets.value(metric, logits, val[1]) if other else accuracy
        if not best or value >= best[0]:
            best = value, accuracy, float(l2), params
    value, accuracy, l2, params = best
    found = {'val': accuracy, 'test': targets.vote(_logits(params, test[0], mean, scale), test[1])}
    return found | {'l2': l2, 'dim': int(x.shape[1])} | ({metric: value} if other else {})


def _known(features, labels):
    known = np.asarray(labels) >= 0
    return (features, labels) if known.all() else (features[known], np.asarray(labels)[known])


@jax.jit
def _moments(x):
    return x.mean(0), jnp.maximum(x.std(0), 1e-6)


@functools.partial(jax.jit, static_argnums=(4, 5))
def _solve(params, x, y, l2, loss, steps):
    def objective(p):
        losses = loss(x @ p['w'] + p['b'], y)
        return losses.mean() + l2 / 2 * jnp.sum(p['w'] ** 2)

    solver = optax.lbfgs()
    value_and_grad = optax.value_and_grad_from_state(objective)

    def body(carry):
        p, state, i, _ = carry
        value, grad = value_and_grad(p, state=state)
        updates, state = solver.update(grad, state, p, value=value, grad=grad, value_fn=objective)
        return optax.apply_updates(p, updates), state, i + 1, optax.tree.norm(grad)

    start = (params, solver.init(params), 0, jnp.float32(jnp.inf))
    return jax.lax.while_loop(lambda c: (c[2] < steps) & (c[3] > 1e-4), body, start)[0]


def _logits(params, features, mean, scale):
    of = lambda part: np.asarray((jnp.asarray(part) - mean) / scale @ params['w'] + params['b'])
    return np.concatenate([of(features[i : i + 5000]) for i in range(0, len(features), 5000)])
