"""The loop: build, resume, step, log, evaluate, save. The only loop over training steps."""

import functools
import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from absl import logging

from ssljax import collapse, guard, model_json, optim
from ssljax.buckets import mirror
from ssljax.core import TrainState, evaluated, init_state, split
from ssljax.data import feed as feeds
from ssljax.devices.sharding import everywhere, fetch, put, replicated
from ssljax.evals import embed
from ssljax.processes import hosts, preempt
from ssljax.program import Program, eval_steps, log_interval, nothing
from ssljax.progress import goodput
from ssljax.progress import log as logs
from ssljax.progress.timer import Timer
from ssljax.storage import checkpoint, files
from ssljax.targets import OneClass, Targets

UNMEASURED = 'unmeasured'  # in a checkpoint's meta: the evaluation at its step was interrupted
SPENT = 'spent'  # there, and in the record: goodput.Spent.state
WARNINGS = 'warnings'  # likewise: what was noted on the way
RECORD = {'steps': int, 'best_step': int, 'images': int, 'val': dict}  # what a done.json has


class Task(NamedTuple):
    """A stage that is to be trained.

    Attributes:
      program: what it compiles.
      variables: the initial ones; they are copied.
      feed: the batches, a pure function of the step.
      val: the validation Split.
      cfg: the stage's config.
      key: the run's key for this stage; step t uses fold_in(key, t).
      mesh: the devices.
      directory: where metrics and checkpoints go.
      title: what the progress line calls it; '' shows none.
      meta: stored with each checkpoint.
      select: 'best' keeps the weights with the highest `metric` on validation (the earliest of equals), 'last' the
        last.
      log_every, save_every, save_keep: steps between log lines, seconds between checkpoints, how many are kept.
      eval_batch: batch size of the evaluation.
      track: (step, metrics), called with what is logged; or None.
      resolved: the resolve.Decisions of the stage, for its record.
      metric: one of targets.select or, of a pretext task, top1.
      targets: what the labels mean.
    """

    program: Program
    variables: dict
    feed: Any
    val: Any
    cfg: Any
    key: jax.Array
    mesh: jax.sharding.Mesh
    directory: Path
    title: str
    meta: dict
    select: str
    log_every: int
    save_every: float
    eval_batch: int
    track: Callable | None = None
    resolved: Any = ()
    metric: str = 'top1'
    targets: Targets = OneClass(0)
    save_keep: int = 2


class Stage(NamedTuple):
    """A finished stage: the variables it chose, and its record for result.json."""

    variables: dict
    record: dict


@preempt.loop
def fit(task: Task, watch: Callable | None = None) -> Stage:
    """Trains one stage, or resumes it, or returns it if it is finished.

    Args:
      task: the stage.
      watch: (step, variables) -> further metrics of an evaluation, such as the spread of the features.

    Raises:
      preempt.Preempted: the run was asked to stop; everything is saved.
      guard.Stopped: the loss is not finite, parameters do not move, the features collapsed, or unlabelled images have
        no effect; early in training the last is a warning. Raised again, without training, where it was before.
      OSError: the disk is full.
    """
    if done := finished(task.directory):
        return done
    guard.heed(task.directory, task.title)
    training = Training(task, watch)
    if training.unmeasured:
        training.assess()
    for payload in training.payloads():
        training.advance(payload)
        if training.at_log():
            training.report()
        if training.at_evaluation():
            training.assess()
        if training.ended():
            break
        if preempt.asked():
            training.leave()
        training.save_now_and_then()
    return training.finish()


def _nothing_more(step: int, variables: dict) -> dict:
    return {}


class Training:
    """A stage in training: its state on the devices, what it has measured, and what it writes."""

    def __init__(self, task: Task, watch: Callable | None):
        """Starts from the newest checkpoint that is whole, or else from the beginning."""
        self.spent = goodput.Spent()
        self.task, self.program, self.watch = task, task.program, self.spent.on('evaluate')(watch or _nothing_more)
        self.saver, run, meta = checkpoint.resume(task.directory / 'checkpoints', begin(task), task.save_keep)
        self.spent.add(meta.get(SPENT))
        self.unmeasured = bool(meta.get(UNMEASURED))
        self.progress, self.best = run['progress'], run['best']
        self.step = int(self.progress['step'])
        self.ts = _state(run)
        self.timer, self.saved, self.look_at = Timer(self.progress), time.monotonic(), 0
        self.warnings: list[str] = list(meta.get(WARNINGS, ()))
        self.eval_at = eval_steps(self.program, task.cfg.evals)
        self.log_every = log_interval(self.program, task.log_every)
        first = min(self.log_every, *self.eval_at)
        self.log = logs.begin(task.directory, task.title, self.program.steps, self.step, task.track, first)
        self.trained = optim.trained_parts(task.cfg.optim, self.ts.params)
        self.judge = collapse.Judge(
            task.cfg.get('collapse', 0) if watch else 0, self.program.steps, bool(self.program.method.embed),
            self.program.method.remedy, lambda: self.watch(0, task.variables),
        )  # fmt: skip
        self.key = everywhere(task.key, task.mesh)
        self.metrics: dict = {}  # of the last evaluation of this process
        self.before = guard.last_evaluation(logs.read(self.log.path))
        self.log.progress(self.step, 'compiling')

    def payloads(self):
        """What `advance` is given, up to the end of the stage."""
        stop = self.step if self.ended() else self.program.steps
        payloads = self.task.feed.payloads(self.step, stop, self.program.steps_per_call)
        return self.spent.waiting(payloads, lambda: self.ts.step.is_ready())

    def advance(self, payload) -> None:
        """Trains the steps of a payload; the device may not have finished them when this returns."""
        self.ts, self.progress['totals'] = self.program.run(
            self.ts, self.progress['totals'], self.task.feed.arrays, payload, self.key
        )
        preempt.unsaved()
        self.step += jax.tree.leaves(payload)[0].shape[0]

    def at_log(self) -> bool:
        """Whether the metrics of training are due."""
        return self.step % self.log_every == 0 or self.step == self.program.steps

    def at_evaluation(self) -> bool:
        """Whether an evaluation is due."""
        return self.step in self.eval_at

    def ended(self) -> bool:
        """Whether all steps are done, or validation has not improved for `patience` evaluations."""
        patience = self.task.cfg.patience
        return self.step == self.program.steps or bool(patience and int(self.progress['worse']) >= patience)

    def report(self) -> None:
        """Writes the metrics of the steps since the last report; stops if they show that the stage cannot end well."""
        found = means(self.progress['totals']['sums'])
        self.timer.lap(self.step)
        self._heed(diagnosis(self.program, self.step, found, int(self.progress['totals']['bad']), self.trained))
        share, idle = self.task.cfg.get('idle', 0), guard.idle(found)
        since = self.step - max(share * self.program.steps, 2 * self.log_every)
        late = since >= 0
        if idle and share and late and guard.idle_since(logs.read(self.log.path), since):
            self._heed(idle)
        self._warn(idle or (guard.unselective(found) if late else ''))
        self._warn(goodput.slow_input(self.spent.state(), self.task.feed.path))
        rate = self.timer.rate() * self.task.feed.batch_size
        self.log.write(self.step, training_row(self.program, self.task.feed, self.step, found), self._left(), rate)
        # Placed as before: with other shardings the program would be recompiled.
        zero = nothing(self.progress['totals']['sums'])
        self.progress['totals'] = put(zero, replicated(self.task.mesh))

    def assess(self) -> None:
        """Evaluates, and keeps the weights if they are the best so far."""
        jax.block_until_ready(self.ts)
        self.timer.lap(self.step)
        self._heed(guard.not_finite({'loss': 0.0}, int(self.progress['totals']['bad'])))
        try:
            self.metrics = self._measured()
        except preempt.Preempted:  # in the middle of it
            self._save(wait=True, **{UNMEASURED: True})
            self.log.close(self.step)
            raise
        self.log.write(self.step, evaluation_row(self.metrics), self._left())
        why, warning = self.judge.look(self.step, self.before, self.metrics)
        self._heed(why, 'collapsed')
        self._warn(warning)
        self.before, value = self.metrics, value_of(self.metrics, self.task.metric)
        if value > float(self.progress['best_value']) or self.task.select == 'last':
            self.progress.update(_scalars(best_value=value, best_step=self.step, worse=0))
            self.best = _copy(self._weights()) if self.task.select == 'best' else self.best
        else:
            self.progress.update(_scalars(worse=int(self.progress['worse']) + 1))
        self.timer.start(self.step)

    def leave(self) -> None:
        """Saves and raises Preempted."""
        self._save(wait=True)
        self.log.close(self.step)
        raise preempt.Preempted

    def save_now_and_then(self) -> None:
        """Saves if the last checkpoint is `save_every` seconds old."""
        if self.step < self.look_at:
            return
        due, self.look_at = hosts.told(self._due)
        if due:
            jax.block_until_ready(self.ts)
            self.timer.lap(self.step)
            self._save()
            self.saved = time.monotonic()
            self.timer.start(self.step)

    def _due(self) -> tuple[bool, int]:
        """(whether it is time to save, the step at which to look again)."""
        past = time.monotonic() - self.saved
        if hosts.here() is None:
            return past > self.task.save_every, self.step + 1
        wait, pace = min(5.0, self.task.save_every / 10), self.timer.rate()  # the answer is sent to all: not every step
        return past > self.task.save_every, self.step + max(1, int(wait * pace))

    def finish(self) -> Stage:
        """Writes what a finished stage leaves."""
        self.log.close(self.step)
        with self.spent.on('save'):
            self.saver.close()
        by_validation = self.task.select == 'best'
        val = self._best() if by_validation else self.metrics or self._measured()
        chosen = self.best if by_validation else self._weights()
        best_step = int(self.progress['best_step']) if by_validation else self.step
        jax.block_until_ready(self.ts)
        noted = {'val': val, SPENT: self.spent.state()} | ({WARNINGS: self.warnings} if self.warnings else {})
        said = hosts.told(record, self.task, self.step, best_step, noted, self.timer.seconds, self.timer.rate())
        return finish(self.task.directory, chosen, said, self.task.meta)

    def _weights(self) -> tuple:
        return evaluated(self.program.method, self.ts), self.ts.state

    def _measured(self) -> dict:
        params, state = self._weights()
        with self.spent.on('evaluate'):
            found = measured(self.task, params, state)
        return found | self.watch(self.step, {'params': params, **state})

    def _best(self) -> dict:
        """What the record says of the best weights on validation."""
        with self.spent.on('evaluate'):
            return chosen_by(self.task, float(self.progress['best_value']), *self.best)

    def _save(self, wait: bool = False, **noted) -> None:
        totals = self.progress['totals']
        self._heed(guard.not_finite(means(totals['sums']), int(totals['bad'])))
        items = _items(self.ts, self.progress | _scalars(**self.timer.state()), self.best)
        meta = self.task.meta | noted | {SPENT: self.spent.state(), WARNINGS: self.warnings}
        with self.spent.on('save'):
            self.saver.save(self.step, everywhere(items, self.task.mesh), meta, wait=wait)

    def _heed(self, why: str, kind: str = 'stopped') -> None:
        if why:
            at = min(int(self.progress['totals']['bad']), self.step - 1)
            self.log.close(self.step)
            self.saver.close()
            guard.stop(self.task.directory, batch_of(self.task.feed, at), at, self.task.title, why, kind)

    def _warn(self, text: str) -> None:
        if text and text.split(':')[0] not in {said.split(':')[0] for said in self.warnings}:
            self.warnings.append(text)
            self.log.note(self.step, text)

    def _left(self) -> float | None:
        return self.timer.left(self.program.steps - self.step, sum(at > self.step for at in self.eval_at))


def finished(directory) -> Stage | None:
    """The finished Stage in `directory`, or None. What is damaged is set aside: training the stage again gives the same
    numbers.

    Raises:
      OSError: the disk refuses to read it.
    """
    directory = Path(directory)
    try:
        if (record := hosts.told(files.read_json, directory / 'done.json', RECORD)) is None:
            return None
        found = Stage(checkpoint.load_stage(directory / 'model'), record)
        hosts.only_first(shutil.rmtree)(directory / 'checkpoints', ignore_errors=True)  # of a run killed before that
        return found
    except (files.Damaged, FileNotFoundError) as e:
        logging.warning('%s is damaged and will be trained again, with the same outcome: %s', directory, e)
        _set_aside(directory)
    return None


@hosts.only_first
def _set_aside(directory: Path) -> None:
    for path in (directory / 'done.json', directory / 'model'):
        if path.exists():
            files.set_aside(path, 'its stage is being trained again')


def begin(task: Task) -> dict:
    """The trees of a checkpoint before the first step, on the mesh."""
    program, feed = task.program, task.feed
    ts, layout = _started(program, task.variables), program.layout
    progress = _scalars(best_value=-math.inf, best_step=0, worse=0, **Timer().state())
    best = _copy((ts.params, ts.state)) if task.select == 'best' else ()
    items = _items(ts, progress, best)
    items = put(items, layout.of(items, ts.params) if layout else replicated(task.mesh))
    totals = nothing(metrics_of(program, feed, _state(items), everywhere(task.key, task.mesh)))
    items['progress'] |= {'totals': put(totals, replicated(task.mesh))}
    return items


def metrics_of(program: Program, feed, ts: TrainState, key: jax.Array) -> dict:
    """The shapes of what a step measures. ts: placed as for `Program.run`, so that the step is traced once for both."""
    return jax.eval_shape(lambda ts, key: program.step(ts, batch_of(feed, 0), key)[1], ts, key)


def _started(program: Program, variables: dict) -> TrainState:
    make = functools.partial(init_state, program.method, program.tx)
    if not (layout := program.layout):
        return make(_copy(variables))
    variables = layout.put(variables)
    return layout.compiled(make, lambda found: found.params, variables)(variables)


def batch_of(feed, step: int) -> dict:
    """The batch of one step."""
    payload = next(iter(feed.payloads(step, step + 1, 1)))
    return feed.get(feed.arrays, jax.tree.map(lambda a: a[0], payload))


def _items(ts: TrainState, progress: dict, best) -> dict:
    trees = ts._asdict()
    step = trees.pop('step')
    return trees | {'progress': progress | {'step': step}, 'best': best}


def _state(items: dict) -> TrainState:
    """The train state among the trees of a checkpoint."""
    return TrainState(items['progress']['step'], items['params'], items['state'], items['ema'], items['opt'])


def record(task: Task, step: int, best_step: int, noted: dict, seconds: float, rate: float) -> dict:
    """What result.json says of a stage that ended at `step`, with what is `noted`; rate: steps per second."""
    program, feed = task.program, task.feed
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
        'resolved': [d._asdict() for d in task.resolved],
    }


def finish(directory, variables: tuple, record: dict, meta: dict) -> Stage:
    """Writes what a finished stage leaves: the weights that it chose, (params, state), and its record as done.json."""
    _clear(directory)
    hosts.barrier()
    params, state = variables
    checkpoint.write(directory / 'model', {'params': params, 'state': state}, meta)
    files.write_json(directory / 'done.json', record)
    hosts.only_first(shutil.rmtree)(directory / 'checkpoints', ignore_errors=True)
    hosts.only_first(mirror.changed)(directory)
    if hosts.here() is not None:  # as when a finished stage is read
        params, state = fetch((params, state))
    return Stage({'params': params, **state}, record)


@hosts.only_first
def _clear(directory: Path) -> None:
    shutil.rmtree(directory / 'model', ignore_errors=True)  # of a run killed between the next lines
    (directory / model_json.NAME).unlink(missing_ok=True)  # of weights that were damaged
    if (directory / 'model').exists():
        files.set_aside(directory / 'model', 'it is not a directory')


def diagnosis(program: Program, step: int, found: dict, bad: int, trained: set) -> str:
    """What is wrong with the steps since the last look, or ''; found: the means of their metrics, bad: from
    `guard.first_bad`, trained: from `optim.trained_parts`."""
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


def evaluate(measure: Callable, params, state, split, batch_size: int, mesh) -> dict[str, float]:
    """Means of the metrics over a split, in one fixed batch shape."""
    totals: dict = {}
    for batch in feeds.eval_batches(split, batch_size=batch_size, mesh=mesh):
        preempt.check()
        metrics = measure(params, state, batch)
        totals = metrics if not totals else jax.tree.map(jnp.add, totals, metrics)
    return means(totals)


def measured(task: Task, params, state) -> dict[str, float]:
    """`evaluate` on validation, with the metric that selects weights."""
    found = evaluate(task.program.measure, params, state, task.val, task.eval_batch, task.mesh)
    if task.metric in found or task.program.predict is None:
        return found
    predict = lambda variables, images: task.program.predict(*split(variables), images)
    variables = {'params': params, **state}
    logits = embed.outputs(predict, variables, task.val, batch_size=task.eval_batch, mesh=task.mesh)
    return found | {task.metric: task.targets.value(task.metric, logits, task.val.labels)}


def chosen_by(task: Task, value: float, params, state) -> dict[str, float]:
    """{targets.main, and the metric that weights are selected by} on validation, for the chosen weights; `value` is
    what that metric is for them."""
    main = task.targets.main
    if task.metric == main:
        return {main: value}
    return {main: measured(task._replace(metric=main), params, state)[main], task.metric: value}


def value_of(metrics: dict, metric: str = 'top1') -> float:
    """What the weights are chosen by: the metric, or if it is missing the negative loss. In float32, as a checkpoint
    keeps the best one: otherwise an equal value could count as a better one."""
    return float(jnp.float32(metrics.get(metric, -metrics['loss'])))


def means(totals: dict) -> dict[str, float]:
    """{name: mean} of {name: (sum, count)}."""
    host = jax.device_get(totals)
    return {k: float(s) / max(float(n), 1e-12) for k, (s, n) in host.items()}


def _scalars(**values) -> dict:
    return {k: jnp.asarray(v, jnp.int32 if isinstance(v, int) else jnp.float32) for k, v in values.items()}


def _copy(tree):
    return jax.tree.map(lambda a: jnp.array(a, copy=True), tree)
