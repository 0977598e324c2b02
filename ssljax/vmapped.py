"""Several runs of one stage trained at once: one compiled step, mapped over their states by jax.vmap.

For small models, whose steps leave a device idle. Each run gets what loop.fit would give it, up to the order in which
floats are summed: the same batches, keys, evaluations and choice of weights, and the same files. An interrupted group
has written nothing and starts over.
"""

import math
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np

from ssljax import loop, optim
from ssljax.core import TrainState, evaluated
from ssljax.devices.sharding import replicated
from ssljax.processes import preempt
from ssljax.program import eval_steps, log_interval
from ssljax.progress import goodput, log
from ssljax.progress.timer import Timer
from ssljax.storage import files

ROUNDS, SECONDS = 3, 0.5  # of `speedup`


def can(task: loop.Task) -> bool:
    """Whether a stage can be trained here: it has not begun, its images are on a single device, and when it ends does
    not depend on its metrics."""
    begun = any((task.directory / name).exists() for name in ('done.json', 'stopped.json', 'checkpoints'))
    simple = task.select == 'best' and not task.cfg.patience and task.feed.path == 'resident'
    return simple and not begun and task.mesh.size == 1


def alike(task: loop.Task, other: loop.Task) -> bool:
    """Whether two stages share the program and the images on the device."""
    return task.program is other.program and task.feed.arrays['image'] is other.feed.arrays['image']


def fit(tasks: list[loop.Task]) -> list[bool]:
    """Trains the same stage of several runs at once and writes, for each, what loop.fit writes for a finished stage.

    Args:
      tasks: for each of which `can` holds; they share the program and the resident images.

    Returns:
      For each run, whether it was finished. One that a guard would stop has no files: loop.fit will say why.

    Raises:
      preempt.Preempted: the run was asked to stop; nothing is written.
      OSError: the disk is full.
    """
    spent = goodput.Spent()
    program, cfg, feed = tasks[0].program, tasks[0].cfg, tasks[0].feed
    ts, totals, keys = start(tasks)
    zero, trained = jax.tree.map(jnp.copy, totals), optim.trained_parts(cfg.optim, ts.params)
    eval_at, log_every = eval_steps(program, cfg.evals), log_interval(program, tasks[0].log_every)
    lines: list[list] = [[] for _ in tasks]
    best: list[tuple] = [(-math.inf, 0, None)] * len(tasks)
    timer, step, left = Timer(), 0, set(range(len(tasks)))
    for payload in payloads(tasks, log_every):
        preempt.check()
        ts, totals = program.mapped(ts, totals, feed.arrays, payload, keys)
        step += payload.shape[1]
        if step % log_every == 0 or step == program.steps:
            sums, bad = jax.device_get((totals['sums'], totals['bad']))
            timer.lap(step)
            for i in sorted(left):
                found = loop.means({name: (total[i], count[i]) for name, (total, count) in sums.items()})
                if loop.diagnosis(program, step, found, int(bad[i]), trained):
                    left.remove(i)
                lines[i].append(log.line(step, loop.training_row(program, tasks[i].feed, step, found)))
            totals = jax.tree.map(jnp.copy, zero)
        if not left:
            break
        if step in eval_at:
            jax.block_until_ready(ts)
            timer.lap(step)
            for i in left:
                variables = _take((evaluated(program.method, ts), ts.state), i)
                task = tasks[i]
                params, state = variables
                with spent.on('evaluate'):
                    metrics = loop.measured(task, params, state)
                lines[i].append(log.line(step, loop.evaluation_row(metrics)))
                if (value := loop.value_of(metrics, task.metric)) > best[i][0]:
                    best[i] = value, step, variables
            timer.start(step)
    shares = {kind: seconds / len(tasks) for kind, seconds in spent.state().items()}
    for i in sorted(left):
        _finish(tasks[i], len(tasks), lines[i], best[i], timer, shares)
    return [i in left for i in range(len(tasks))]


def _finish(task: loop.Task, count: int, lines: list, best: tuple, timer: Timer, spent: dict) -> None:
    value, step, variables = best
    files.write_atomically(task.directory / 'metrics.jsonl', ''.join(lines))
    noted = {'val': loop.chosen_by(task, value, *variables), loop.SPENT: spent, 'together': count}
    program = task.program
    share = timer.seconds / count, timer.rate() * count  # of the group's time; and the pace that goes with it
    record = loop.record(task, program.steps, step, noted, *share)
    loop.finish(task.directory, variables, record, task.meta)


def start(tasks: list[loop.Task]) -> tuple:
    """(train state, totals, keys) of all runs before the first step, each leaf with a leading axis over the runs."""
    begun = [loop.begin(task) for task in tasks]
    states = [TrainState(b['progress']['step'], b['params'], b['state'], b['ema'], b['opt']) for b in begun]
    trees = [(state, b['progress']['totals'], task.key) for state, b, task in zip(states, begun, tasks)]
    return jax.device_put(_stack(*trees), replicated(tasks[0].mesh))


@jax.jit
def _stack(*trees):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


@jax.jit
def _take(tree, i):
    return jax.tree.map(lambda leaf: leaf[i], tree)


def payloads(tasks: list[loop.Task], block: int):
    """The payloads of all runs, int32 [S, k, B, 3] numpy, in the order of the steps; `block` steps are drawn at once, a
    multiple of the program's k."""
    program = tasks[0].program
    for first in range(0, program.steps, block):
        last = min(first + block, program.steps)
        drawn = np.stack([next(task.feed.items(first, last, last - first)) for task in tasks])
        for at in range(0, last - first, program.steps_per_call):
            yield drawn[:, at : at + program.steps_per_call]


def speedup(tasks: list[loop.Task]) -> float:
    """How many times as fast these runs train together as one after the other, in steps alone: the ratio of the medians
    of a few alternating rounds, after both are compiled. Nothing that it trains is kept.

    Args:
      tasks: as for `fit`.
    """
    program, feed, key = tasks[0].program, tasks[0].feed, tasks[0].key
    states, totals, keys = start(tasks)
    one = jax.device_put(_take((states, totals), 0), replicated(tasks[0].mesh))
    block = log_interval(program, tasks[0].log_every)

    def alone(calls):
        items = feed.payloads(0, program.steps, program.steps_per_call)
        return _seconds(program.run, one, feed.arrays, items, key, calls)

    def mapped(calls):
        return _seconds(program.mapped, (states, totals), feed.arrays, payloads(tasks, block), keys, calls)

    alone(2), mapped(2)
    calls = max(1, min(program.steps // program.steps_per_call, math.ceil(2 * SECONDS / max(mapped(2), 1e-6))))
    rounds = [(alone(calls), mapped(calls)) for _ in range(ROUNDS)]
    apart, joined = (statistics.median(seconds) for seconds in zip(*rounds))
    return len(tasks) * apart / joined


def _seconds(step, state, arrays, items, keys, calls: int) -> float:
    ts, totals = jax.block_until_ready(jax.tree.map(jnp.copy, state))  # copies, as they are donated to the program
    began = time.perf_counter()
    for _, payload in zip(range(calls), items):
        ts, totals = step(ts, totals, arrays, payload, keys)
    jax.block_until_ready(ts)
    return time.perf_counter() - began
