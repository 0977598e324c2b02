"""The loop: build, resume, step, log, evaluate, save. The only loop over training steps."""

import functools
import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from absl import logging

from ssljax import checkpoint, collapse, files, guard, optim, preempt
from ssljax.core import Method, TrainState, evaluated, init_state, train_step
from ssljax.data import feed as feeds
from ssljax.log import MetricLog, read
from ssljax.platform import compiler_options
from ssljax.sharding import replicated


class Program(NamedTuple):
    """What is compiled once for a stage and used again by every seed.

    run:      (train state, totals, arrays, payload of k steps, key) -> (train state, totals)
    evaluate: (params, state, batch) -> metrics
    together: as run, for several runs at once: all but the arrays have a further leading axis
    """

    method: Method
    tx: optax.GradientTransformation
    rate: optax.Schedule
    steps: int
    steps_per_call: int
    run: Callable
    evaluate: Callable
    together: Callable | None = None


def make_program(method: Method, cfg, *, steps: int, get: Callable, mesh, steps_per_call: int = 0) -> Program:
    """Compiles nothing yet: shapes come with the first call.

    Args:
      method: the method to train.
      cfg: the stage's config (duration, optim, evals, patience).
      steps: optimiser steps in all.
      get: a feed's `get`, from its arrays and one payload to a batch.
      mesh: the devices.
      steps_per_call: steps compiled into one call; 0 is 1 on a CPU and 10 elsewhere.
    """
    tx, rate = optim.make(cfg.optim, steps)
    per_call = steps_per_call or (1 if mesh.devices.flat[0].platform == 'cpu' else 10)
    compiled = functools.partial(jax.jit, out_shardings=replicated(mesh), compiler_options=compiler_options())
    one = functools.partial(run_steps, method, tx, get, steps)
    several = jax.vmap(one, in_axes=(0, 0, None, 0, 0))
    run, together = (compiled(f, donate_argnums=(0, 1)) for f in (one, several))
    return Program(method, tx, rate, steps, min(per_call, max(steps, 1)), run, compiled(method.evaluate), together)


def run_steps(method, tx, get, steps: int, ts: TrainState, totals: dict, arrays, payload, key):
    """k of the `steps` training steps; k is the leading axis of the payload. Metrics are added to `totals`."""

    def one(carry, item):
        ts, totals = carry
        bad, step = totals['bad'], ts.step
        ts, metrics = train_step(method, tx, ts, get(arrays, item), key, steps)
        sums = jax.tree.map(jnp.add, totals['sums'], metrics)
        return (ts, {'sums': sums, 'bad': guard.first_bad(bad, step, metrics)}), None

    if jax.tree.leaves(payload)[0].shape[0] == 1:
        return one((ts, totals), jax.tree.map(lambda a: a[0], payload))[0]
    return jax.lax.scan(one, (ts, totals), payload)[0]


UNMEASURED = 'unmeasured'  # in a checkpoint's meta: the evaluation at its step was interrupted
RECORD = {'steps': int, 'best_step': int, 'images': int, 'val': dict}  # what a done.json has


class Stage(NamedTuple):
    """A finished stage: the variables it chose, and its record for result.json."""

    variables: dict
    record: dict


@preempt.loop
def fit(
    program: Program,
    variables: dict,
    *,
    feed,
    val,
    cfg,
    key,
    mesh,
    directory,
    title: str,
    meta: dict,
    select: str,
    log_every: int,
    save_every: float,
    eval_batch: int,
    watch: Callable | None = None,
) -> Stage:
    """Trains one stage, or goes on with it, or returns it where it has ended before.

    Args:
      program: from `make_program`.
      variables: the initial variables; they are copied.
      feed: the batches, a pure function of the step.
      val: the validation Split.
      cfg: the stage's config.
      key: the run's key for this stage; step t uses fold_in(key, t).
      mesh: the devices.
      directory: where metrics and checkpoints go.
      title: what the line of progress calls it.
      meta: stored with each checkpoint.
      select: 'best' keeps the weights with the highest validation top-1 (the earliest of equals), 'last' the last.
      log_every, save_every: steps between log lines, seconds between checkpoints.
      eval_batch: batch size of the evaluation.
      watch: (step, variables) -> further metrics of an evaluation, such as the spread of the features.

    Raises:
      preempt.Preempted: the run was asked to stop; all is saved.
      guard.Stopped: the loss is not finite, parameters do not move, the features collapsed, or unlabelled images have
        no effect; early in training the last is a warning. Raised again, without training, where it was before.
      OSError: the disk is full.
    """
    directory = Path(directory)
    if done := finished(directory):
        return done
    guard.heed(directory, title)
    method = program.method
    run = begin(program, variables, feed, key, mesh, select)
    manager, run, resumed = checkpoint.resume(directory / 'checkpoints', run)
    step = int(run['progress']['step'])
    log = MetricLog(directory, title, program.steps, step)
    eval_at, per_call = eval_steps(program, cfg.evals), program.steps_per_call
    log_every = log_interval(program, log_every)
    progress = run['progress']
    ts = TrainState(progress['step'], run['params'], run['state'], run['ema'], run['opt'])
    timer, saved, metrics, warnings = Timer(progress), time.time(), None, []
    trained = optim.trained_parts(cfg.optim, ts.params)
    judge = collapse.Judge(
        cfg.get('collapse', 0) if watch else 0, program.steps, bool(method.embed), method.remedy,
        lambda: watch(0, variables),
    )  # fmt: skip
    before = guard.last_evaluation(read(log.path))
    log.progress(step, 'compiling')

    def measure():
        params = evaluated(method, ts)
        found = evaluate(program.evaluate, params, ts.state, val, eval_batch, mesh)
        return found | (watch(step, {'params': params, **ts.state}) if watch else {})

    def save(**noted):
        heed(guard.not_finite(means(progress['totals']['sums']), int(progress['totals']['bad'])))
        checkpoint.save(manager, step, _items(ts, progress | timer.state(), run['best']), meta | noted)

    def heed(why, kind='stopped'):
        if why:
            at = min(int(progress['totals']['bad']), step - 1)
            log.close(step)
            manager.close()
            guard.stop(directory, batch_of(feed, at), at, title, why, kind)

    def warn(text):
        if text and text.split(':')[0] not in {said.split(':')[0] for said in warnings}:
            warnings.append(text)
            log.note(step, text)

    def left():
        return timer.left(program.steps - step, sum(at > step for at in eval_at))

    def assess():
        nonlocal metrics, before
        jax.block_until_ready(ts)
        timer.lap(step)
        heed(guard.not_finite({'loss': 0.0}, int(progress['totals']['bad'])))
        try:
            metrics = measure()
        except preempt.Preempted:  # in the middle of it
            save(**{UNMEASURED: True})
            log.close(step)
            raise
        log.write(step, evaluation_row(metrics), left())
        why, warning = judge.look(step, before, metrics)
        heed(why, 'collapsed')
        warn(warning)
        before = metrics
        value = value_of(metrics)
        if value > float(progress['best_value']) or select == 'last':
            progress.update(_scalars(best_value=value, best_step=step, worse=0))
            run['best'] = _copy((evaluated(method, ts), ts.state)) if select == 'best' else run['best']
        else:
            progress.update(_scalars(worse=int(progress['worse']) + 1))
        timer.start(step)

    def ended():
        return step == program.steps or (cfg.patience and int(progress['worse']) >= cfg.patience)

    if resumed.get(UNMEASURED):
        assess()
    for payload in feed.payloads(step, step if ended() else program.steps, per_call):
        ts, progress['totals'] = program.run(ts, progress['totals'], feed.arrays, payload, key)
        preempt.unsaved()
        step += jax.tree.leaves(payload)[0].shape[0]
        at_eval, at_log = step in eval_at, step % log_every == 0 or step == program.steps
        if at_log:
            found = means(progress['totals']['sums'])
            timer.lap(step)
            heed(diagnosis(program, step, found, int(progress['totals']['bad']), trained))
            idle, late = guard.idle(found), step >= max(cfg.get('idle', 0) * program.steps, 2 * log_every)
            if cfg.get('idle', 0) and late:
                heed(idle)
            warn(idle or late and guard.unselective(found))
            log.write(step, training_row(program, feed, step, found), left())
            # Where they were before: other shardings would compile the program anew.
            progress['totals'] = jax.device_put(nothing(progress['totals']['sums']), replicated(mesh))
        if at_eval:
            assess()
        if ended():
            break
        if preempt.asked():
            save()
            log.close(step)
            raise preempt.Preempted
        if time.time() - saved > save_every:
            jax.block_until_ready(ts)
            timer.lap(step)
            save()
            saved = time.time()
            timer.start(step)
    log.close(step)
    manager.close()
    val_metrics = {'top1': float(progress['best_value'])} if select == 'best' else metrics or measure()
    noted = {'val': val_metrics} | ({'warnings': warnings} if warnings else {})
    chosen = run['best'] if select == 'best' else (evaluated(method, ts), ts.state)
    best_step = int(progress['best_step']) if select == 'best' else step
    jax.block_until_ready(ts)
    noted = record(program, feed, step, best_step, noted, timer.seconds, timer.rate())
    return finish(directory, *chosen, noted, meta)


def finished(directory) -> Stage | None:
    """The Stage that has ended in `directory`, or None. What is damaged is set aside: training the stage again gives
    the same numbers.

    Raises:
      OSError: the disk refuses to read it.
    """
    directory = Path(directory)
    try:
        if (record := files.read_json(directory / 'done.json', RECORD)) is None:
            return None
        return Stage(checkpoint.load_variables(directory / 'model')[0], record)
    except (files.Damaged, FileNotFoundError) as e:
        logging.warning('%s is trained again, to the same numbers: %s', directory, e)
        for path in (directory / 'done.json', directory / 'model'):
            if path.exists():
                files.set_aside(path, 'its stage is trained again')
    return None


def begin(program: Program, variables, feed, key, mesh, select) -> dict:
    """The trees of a checkpoint before the first step, on the mesh."""
    ts = init_state(program.method, program.tx, _copy(variables))
    step = functools.partial(train_step, program.method, program.tx, steps=program.steps)
    totals = nothing(jax.eval_shape(step, ts, jax.eval_shape(lambda: batch_of(feed, 0)), key)[1])
    progress = _scalars(best_value=-math.inf, best_step=0, worse=0, seconds=0.0, timed_seconds=0.0, timed_steps=0)
    best = _copy((ts.params, ts.state)) if select == 'best' else ()
    items = _items(ts, progress | {'totals': totals}, best)
    return jax.device_put(items, replicated(mesh))


def batch_of(feed, step: int) -> dict:
    """The batch of one step."""
    payload = next(iter(feed.payloads(step, step + 1, 1)))
    return feed.get(feed.arrays, jax.tree.map(lambda a: a[0], payload))


def nothing(metrics) -> dict:
    """The totals before any step, for metrics of these shapes."""
    sums = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), metrics)
    return {'sums': sums, 'bad': jnp.asarray(guard.NEVER, jnp.int32)}


def _items(ts: TrainState, progress: dict, best) -> dict:
    trees = ts._asdict()
    step = trees.pop('step')
    return trees | {'progress': progress | {'step': step}, 'best': best}


def record(program: Program, feed, step: int, best_step: int, noted: dict, seconds: float, rate: float) -> dict:
    """What result.json says of a stage that ended at `step`, with what is `noted`; rate: steps per second."""
    return {
        'steps': step,
        'best_step': best_step,
        'epochs': step * feed.batch_size / feed.n,
        'images': feed.n,
        **noted,
        'seconds': seconds,
        'images_per_second': rate * feed.batch_size,
        'views_per_second': rate * feed.batch_size * program.method.views,
        'path': feed.path,
    }


def finish(directory, params, state, record: dict, meta: dict) -> Stage:
    """Writes what a finished stage leaves: the weights that it chose, and its record as done.json."""
    shutil.rmtree(directory / 'model', ignore_errors=True)  # of a run killed between the next lines
    if (directory / 'model').exists():
        files.set_aside(directory / 'model', 'it is no directory')
    manager = checkpoint.open_manager(directory / 'model')
    checkpoint.save(manager, 0, {'params': params, 'state': state}, meta)
    manager.close()
    files.write_json(directory / 'done.json', record)
    shutil.rmtree(directory / 'checkpoints', ignore_errors=True)
    return Stage({'params': params, **state}, record)


def diagnosis(program: Program, step: int, found: dict, bad: int, trained: set) -> str:
    """What is wrong with the steps since the last look, or ''; found: the means of their metrics, bad: as guard's
    `first_bad` has it, trained: as `optim.trained_parts` has it."""
    rate = float(program.rate(step - 1))
    early = step < program.steps // 4
    return guard.not_finite(found, bad) or guard.not_moving(found, trained, rate, early)


def training_row(program: Program, feed, step: int, found: dict) -> dict:
    """The metrics of the steps up to `step` as metrics.jsonl has them."""
    epoch, rate = step * feed.batch_size / feed.n, float(program.rate(step - 1))
    return {'epoch': epoch, 'lr': rate} | {f'train/{k}': v for k, v in found.items()}


def evaluation_row(metrics: dict) -> dict:
    """The metrics of an evaluation as metrics.jsonl has them."""
    return {f'val/{k}': v for k, v in metrics.items()}


def log_interval(program: Program, log_every: int) -> int:
    """Steps between log lines: whole calls of the program."""
    return max(program.steps_per_call, log_every // program.steps_per_call * program.steps_per_call)


def evaluate(evaluate_batch: Callable, params, state, split, batch_size: int, mesh) -> dict[str, float]:
    """Means of the metrics over a split, in one fixed batch shape."""
    totals = None
    for batch in feeds.eval_batches(split, batch_size=batch_size, mesh=mesh):
        preempt.check()
        metrics = evaluate_batch(params, state, batch)
        totals = metrics if totals is None else jax.tree.map(jnp.add, totals, metrics)
    return means(totals)


class Timer:
    """Seconds of training without compilation, evaluation and saving: the first lap after a start is not counted
    towards the rate."""

    def __init__(self, progress: dict | None = None):
        before = progress or {'seconds': 0, 'timed_seconds': 0, 'timed_steps': 0}
        self.seconds, self.timed = float(before['seconds']), float(before['timed_seconds'])
        self.steps = int(before['timed_steps'])
        self.mark = self.at = None
        self.begun = time.time()
        self.pauses = []

    def start(self, step: int) -> None:
        """Work other than training ended: an evaluation, or saving."""
        self.pauses.append(time.time() - self.begun)
        self.mark, self.at = time.time(), step

    def lap(self, step: int) -> None:
        """The device has finished `step`."""
        now = time.time()
        if self.mark is not None and step > self.at:
            self.timed += now - self.mark
            self.steps += step - self.at
        self.seconds += now - self.begun
        self.mark, self.at, self.begun = now, step, now

    def rate(self) -> float:
        """Steps per second."""
        return self.steps / self.timed if self.timed else 0.0

    def left(self, steps: int, evaluations: int) -> float | None:
        """Seconds that so many steps and evaluations may take; None where no rate is known yet."""
        pause = min(self.pauses[1:], default=0.0)  # the first one compiles
        return steps / self.rate() + evaluations * pause if self.rate() else None

    def state(self) -> dict:
        """For a checkpoint."""
        return _scalars(seconds=self.seconds, timed_seconds=self.timed, timed_steps=self.steps)


def value_of(metrics: dict) -> float:
    """What the weights are chosen by: top-1, or else the negative loss. In float32, as a checkpoint keeps the best one:
    otherwise an equal value could count as a better one."""
    return float(jnp.float32(metrics.get('top1', -metrics['loss'])))


def eval_steps(program: Program, evals: int) -> set[int]:
    """The steps after which a stage is evaluated: evenly spaced whole calls of the program, and the end."""
    k = program.steps_per_call
    steps = {math.ceil(i * program.steps / max(evals, 1) / k) * k for i in range(1, max(evals, 1))}
    return {s for s in steps if s < program.steps} | {program.steps}


def means(totals: dict) -> dict[str, float]:
    """{name: mean} of {name: (sum, count)}."""
    host = jax.device_get(totals)
    return {k: float(s) / max(float(n), 1e-12) for k, (s, n) in host.items()}


def _scalars(**values) -> dict:
    return {k: jnp.asarray(v, jnp.int32 if isinstance(v, int) else jnp.float32) for k, v in values.items()}


def _copy(tree):
    return jax.tree.map(lambda a: jnp.array(a, copy=True), tree)
