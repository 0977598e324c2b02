"""Linear probe: multinomial logistic regression on frozen features, solved to its optimum by L-BFGS."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ssljax import preempt


def probe(train, val, test, *, classes: int, l2s, steps: int = 100) -> dict:
    """Fits one probe per strength of regularisation and keeps the one that is best on validation.

    Features are standardised by the mean and deviation of the training features. The problem is convex, so no
    learning rate or schedule enters the comparison of layers (cf. Kornblith et al. 2019, appendix A.6).

    Args:
      train, val, test: pairs (features [N, D] float32, labels [N] int32; rows with -1, unknown, do not count).
      classes: K.
      l2s: strengths; the loss is mean cross-entropy + l2 / 2 * |W|^2.
      steps: L-BFGS iterations; each strength starts from the solution of the one before, strongest first.

    Returns:
      {'val', 'test' (accuracies), 'l2', 'dim'}.
    """
    train, val, test = (_known(*part) for part in (train, val, test))
    mean, scale = _moments(jnp.asarray(train[0]))
    x, y = (jnp.asarray(train[0]) - mean) / scale, jnp.asarray(train[1])
    params = {'w': jnp.zeros((x.shape[1], classes)), 'b': jnp.zeros(classes)}
    best: tuple = ()
    for l2 in sorted(l2s, reverse=True):
        preempt.check()
        params = _solve(params, x, y, jnp.float32(l2), steps)
        accuracy = _accuracy(params, val, mean, scale)
        if not best or accuracy >= best[0]:
            best = accuracy, float(l2), params
    accuracy, l2, params = best
    return {'val': accuracy, 'test': _accuracy(params, test, mean, scale), 'l2': l2, 'dim': int(x.shape[1])}


def _known(features, labels):
    known = np.asarray(labels) >= 0
    return (features, labels) if known.all() else (features[known], np.asarray(labels)[known])


@jax.jit
def _moments(x):
    return x.mean(0), jnp.maximum(x.std(0), 1e-6)


@functools.partial(jax.jit, static_argnums=4)
def _solve(params, x, y, l2, steps):
    def objective(p):
        losses = optax.softmax_cross_entropy_with_integer_labels(x @ p['w'] + p['b'], y)
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


def _accuracy(params, split, mean, scale) -> float:
    features, labels = split
    right = 0
    for i in range(0, len(labels), 5000):
        logits = (jnp.asarray(features[i : i + 5000]) - mean) / scale @ params['w'] + params['b']
        right += int((np.asarray(logits).argmax(1) == np.asarray(labels[i : i + 5000])).sum())
    return right / len(labels)
