"""What a stage compiles: some training steps in one call, and the evaluation of a batch."""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from ssljax import accumulate, core, guard, optim
from ssljax.core import Method, TrainState, train_step
from ssljax.devices.fsdp import Layout, gathering
from ssljax.devices.platform import compiler_options
from ssljax.devices.sharding import replicated


class Program(NamedTuple):
    """What is compiled once for a stage and reused by every seed.

    step:     (train state, batch, key) -> (train state, metrics), one step. It is traced once, both for the shapes of
              the metrics and for the functions below
    run:      (train state, totals, arrays, payload of k steps, key) -> (train state, totals)
    measure:  (params, state, batch) -> metrics
    predict:  (params, state, images) -> class logits, of a method that classifies; else None
    mapped:   like run, for several runs at once: all but the arrays have an additional leading axis
    layout:   of weights that are sharded over devices, or None
    """

    method: Method
    tx: optax.GradientTransformation
    rate: optax.Schedule
    steps: int
    steps_per_call: int
    step: Callable
    run: Callable
    measure: Callable
    predict: Callable | None
    mapped: Callable
    layout: Layout | None = None


def make_program(
    method: Method, cfg, *, steps: int, get: Callable, mesh, steps_per_call: int, layout=None, remat: bool = False
) -> Program:
    """Compiles nothing yet: shapes come with the first call.

    Args:
      method: the method to train.
      cfg: the stage's config (duration, optim, evals, patience, accumulate).
      steps: optimiser steps in all.
      get: a feed's `get`, from its arrays and one payload to a batch.
      mesh: the devices.
      steps_per_call: steps compiled into one call.
      layout: of weights that are sharded over devices, or None.
      remat: whether the backbone recomputes what its gradient needs.
    """
    tx, rate = optim.make(cfg.optim, steps)
    method = gathering(method, layout) if layout and not remat else method
    compiled = functools.partial(jax.jit, compiler_options=compiler_options(), out_shardings=replicated(mesh))
    step = jax.jit(step_of(method, tx, steps, cfg.accumulate, mesh, layout), inline=True)
    one = functools.partial(run_steps, step, get)
    several = jax.vmap(one, in_axes=(0, 0, None, 0, 0))
    train = functools.partial(compiled, donate_argnums=(0, 1), **train_options(cfg.accumulate, mesh, layout, remat))
    per_call, predict = min(steps_per_call, max(steps, 1)), method.predict and compiled(method.predict)
    measure = compiled(method.measure)
    return Program(method, tx, rate, steps, per_call, step, train(one), measure, predict, train(several), layout)


def step_of(method: Method, tx, steps, accumulated: int, mesh, layout: Layout | None) -> Callable:
    """(train state, batch, key) -> (train state, metrics): one of `steps`, on a batch in `accumulated` parts."""
    gradient = core.gradient
    if accumulated > 1:
        gradient = functools.partial(accumulate.gradient, accumulated, mesh.devices.flat[0].platform == 'cpu')
    step = functools.partial(train_step, method, tx, steps=steps, gradient=gradient)
    if not layout:
        return step

    def in_parts(ts, batch, key):
        ts, metrics = step(ts, batch, key)
        return layout.hold(ts), metrics

    return in_parts


def train_options(accumulated: int, mesh, layout: Layout | None, remat: bool) -> dict:
    """Options of jax.jit for `Program.run`: its train state is placed as its steps leave it, all else on every
    device."""
    options = {'compiler_options': compiler_options(remat or accumulated > 1)}
    return options | {'out_shardings': (None, replicated(mesh)) if layout else replicated(mesh)}


def steps_a_call(mesh) -> int:
    """Steps compiled into one call by default: on a CPU a compiled loop is slow, and elsewhere the device would wait
    between short calls."""
    return 1 if mesh.devices.flat[0].platform == 'cpu' else 10


def run_steps(step: Callable, get: Callable, ts: TrainState, totals: dict, arrays, payload, key):
    """k training steps, each a call of `step`; k is the leading axis of the payload. Metrics are added to `totals`."""

    def one(carry, item):
        ts, totals = carry
        bad, at = totals['bad'], ts.step
        ts, metrics = step(ts, get(arrays, item), key)
        sums = jax.tree.map(jnp.add, totals['sums'], metrics)
        return (ts, {'sums': sums, 'bad': guard.first_bad(bad, at, metrics)}), None

    if jax.tree.leaves(payload)[0].shape[0] == 1:
        return one((ts, totals), jax.tree.map(lambda a: a[0], payload))[0]
    return jax.lax.scan(one, (ts, totals), payload)[0]


def nothing(metrics) -> dict:
    """The totals before any step, for metrics of these shapes."""
    sums = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), metrics)
    return {'sums': sums, 'bad': jnp.asarray(guard.NEVER, jnp.int32)}


def eval_steps(program: Program, evals: int) -> set[int]:
    """The steps after which a stage is evaluated: evenly spaced whole calls of the program, and the end."""
    k = program.steps_per_call
    steps = {math.ceil(i * program.steps / max(evals, 1) / k) * k for i in range(1, max(evals, 1))}
    return {s for s in steps if s < program.steps} | {program.steps}


def log_interval(program: Program, log_every: int) -> int:
    """Steps between log lines: whole calls of the program."""
    return max(program.steps_per_call, log_every // program.steps_per_call * program.steps_per_call)
