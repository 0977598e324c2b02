"""A method's first weights and some of its steps, compiled for few calls."""

import functools

import jax

from ssljax.core import TrainState, init_state, split, train_step

# Compiling takes longer than these calls do: nothing is optimised.
compiled = functools.partial(
    jax.jit, compiler_options={'xla_backend_optimization_level': 0, 'xla_llvm_disable_expensive_passes': True}
)


def variables(method, batch: dict, key) -> tuple:
    """(params, state) before the first step."""
    return split(compiled(lambda key: method.init(key, batch))(key))


def begin(method, tx, batch: dict, key) -> TrainState:
    """The train state before the first step."""
    return compiled(lambda key: init_state(method, tx, method.init(key, batch)))(key)


def step_of(method, tx, steps: int):
    """Compiled (train state, batch, key) -> (train state, metrics): one step of `steps`."""
    return compiled(functools.partial(train_step, method, tx, steps=steps))


def train(method, tx, ts: TrainState, batch: dict, key, steps: int = 20) -> tuple[TrainState, list[dict]]:
    """(train state after `steps` steps on one batch, {metric: mean} of each step)."""
    step, found = step_of(method, tx, steps), []
    for _ in range(steps):
        ts, metrics = step(ts, batch, key)
        found.append({name: float(total / count) for name, (total, count) in jax.device_get(metrics).items()})
    return ts, found
