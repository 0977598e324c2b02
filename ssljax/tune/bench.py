"""Short runs through the one training loop, and what they cost."""

import functools
import json
import shutil
from collections.abc import Callable
from types import SimpleNamespace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ssljax import config as configs
from ssljax import guard, loop, metrics, optim, stages
from ssljax import program as programs
from ssljax.core import split
from ssljax.devices import fsdp
from ssljax.devices.platform import compiler_options
from ssljax.devices.sharding import everywhere, put, replicated
from ssljax.processes import hosts, preempt
from ssljax.progress import log
from ssljax.settings import resolve
from ssljax.tune.progress import Progress, changes

STEPS = 2**17  # of the longest short run
EVALS = 2
_ARGUMENTS = (
    'optim.lr', 'optim.weight_decay', 'optim.schedule', 'optim.warmup', 'optim.milestones', 'optim.gamma',
    'epochs', 'steps', 'examples', 'evals', 'patience',
)  # fmt: skip


class Outcome(NamedTuple):
    """What a short run gave.

    value: the best validation metric that config.select names, in [0, 1]; None if the run failed, then `failed` is
      'diverged', 'memory' or 'time'.
    curve: ((step, that metric), ...). rate: images per second, of the larger batch of a step, without
    compilation and evaluation. seconds: in all.
    """

    value: float | None
    failed: str
    curve: tuple
    rate: float
    seconds: float


class Late(Exception):
    """The time for tuning is over."""


class Timed(NamedTuple):
    """A feed whose payloads raise Late after the deadline."""

    arrays: object
    get: Callable
    n: int
    batch_size: int
    path: str
    payloads: object


class Bench:
    """Trains and times short runs of one seed.

    A program is compiled for each batch size and static option; learning rate, weight decay, schedule and number of
    steps are its arguments, so that runs that differ in these alone share it.
    """

    def __init__(self, run, seed: int, labeled, unlabeled, val, directory, deadline: float):
        """run: stages.Context. labeled, unlabeled, val: Splits. directory: for files of the runs, which are removed.
        deadline: time.time() at which every run ends."""
        self.run, self.seed, self.val = run, seed, val
        self.labeled, self.unlabeled = labeled, unlabeled
        self.directory, self.deadline = directory, deadline
        self.trials = 0
        self.programs: dict = {}
        self.shapes: dict = {}
        self.done: dict = {}
        self.rates: dict = {}
        self.fixed, self.look = {True: 0.0, False: 0.0}, 0.0
        self.given = run.config  # what trials are compared with
        self.targets = run.source.targets
        self.metric = metrics.selected(run.config.select, self.targets.multilabel)
        self.clock: list[float] = []  # when a run took its payloads
        self.progress = Progress(hosts.now(), deadline - hosts.now(), run.quiet)

    def train(self, way: str, config, steps: int, *, evals: int = EVALS, images: int = 0) -> Outcome:
        """One run of a way of training; a run that was done before is not repeated.

        Args:
          way: 'scratch' or the name of a semi-supervised method.
          config: the whole config of the run; the duration in it does not count.
          steps: optimiser steps; rounded up to whole calls of the program.
          evals: evaluations on validation, evenly spaced.
          images: of validation; 0: all.

        Raises:
          preempt.Preempted: the run was asked to stop.
        """
        preempt.check()
        per_call = self.per_call(config)
        steps = min(-(-max(steps, 1) // per_call) * per_call, STEPS // per_call * per_call)
        name = json.dumps([way, configs.to_dict(config), steps, evals, images])
        if name not in self.done:
            self.done[name] = self._train(way, config, steps, evals, images)
        return self.done[name]

    def _train(self, way, config, steps, evals, images) -> Outcome:
        began, directory = hosts.now(), self.directory / str(self.trials)
        failed, record, fresh = '', {}, self.fresh(way, config)
        if began + self.fixed[fresh] > self.deadline:  # compiling cannot be interrupted
            return Outcome(None, 'time', (), 0.0, 0.0)
        self.trials += 1
        what = f'{changes(self.given, config)}, {steps} steps'
        self.progress.trial(way, self.trials, what)
        try:
            record = self._fit(way, config, steps, evals, images, directory)
        except guard.Stopped:
            failed = 'diverged'
        except Late:
            failed = 'time'
        except (MemoryError, jax.errors.JaxRuntimeError) as e:
            if not out_of_memory(e):
                raise
            failed = 'memory'
        rows, name = log.read(directory / 'metrics.jsonl'), f'val/{self.metric}'
        curve = tuple((row['step'], row[name]) for row in rows if name in row)
        hosts.only_first(shutil.rmtree)(directory, ignore_errors=True)
        seconds = hosts.now() - began
        said = failed or ('for its time alone' if images else f'{100 * record["val"][self.metric]:.2f}%')
        self.progress.trial(way, self.trials, what, {'time': 'no time left'}.get(said, said))
        if failed == 'diverged':
            self._learn_speed(way, config, fresh, began, seconds)
        if failed:
            return Outcome(None, failed, curve, 0.0, seconds)
        rate = record['images_per_second'] or steps * self.batch(way, config) / seconds
        trained = steps * self.batch(way, config) / rate + (0 if images else evals * self.look)
        self.rates.pop(self._static(way, config), None)  # so that it becomes the last
        self.rates[self._static(way, config)] = rate
        self.fixed[fresh] = max(seconds - trained, 0.0)
        return Outcome(record['val'][self.targets.main if images else self.metric], '', curve, rate, seconds)

    def _learn_speed(self, way, config, fresh: bool, began: float, seconds: float) -> None:
        """Learns the speed from a run that diverged: its first call compiles, the others train."""
        calls = len(self.clock) - 1
        key, since = self._static(way, config), began + seconds - self.clock[1] if calls else 0.0
        if calls and since > 0 and key not in self.rates:
            self.rates[key] = calls * self.per_call(config) * self.batch(way, config) / since
            self.fixed[fresh] = self.clock[1] - began

    def _fit(self, way, config, steps, evals, images, directory) -> dict:
        run = self.run._replace(config=config)
        pair = way_is_semi(run, way)
        own, splits = stages.settings(config, way), (self.labeled, self.unlabeled) if pair else self.labeled
        feed = stages.make_feed(run, way, resolve.stage(own, splits, run.mesh).inputs, self.seed)
        feed = Timed(
            feed.arrays, feed.get, feed.n, feed.batch_size, feed.path,
            functools.partial(until, self.deadline, self.clock, feed.payloads),
        )  # fmt: skip
        self.clock.clear()
        key, cfg = self._static(way, config), stage(config, way)
        layout = fsdp.layout(config, run.mesh)
        if key not in self.programs:
            method = stages.classifier(config, run.source.shape, len(run.source.classes), way, run.source.sets)
            start = stages.initial(run._replace(methods={way: method}, programs={}), way, self.seed)
            made = compiled(method, cfg, feed.get, run.mesh, layout, config.backbone.remat)
            self.programs[key] = method, start, *made
        method, start, step, measure, predict = self.programs[key]
        program = programs.make_program(
            method,
            cfg,
            steps=steps,
            get=feed.get,
            mesh=run.mesh,
            steps_per_call=self.per_call(config),
            layout=layout,
            remat=config.backbone.remat,
        )
        program = program._replace(
            run=functools.partial(step, arguments(cfg, program, run.mesh)), measure=measure, predict=predict,
            step=self.shapes.setdefault(key, program.step),  # for any rate and duration, which do not change shapes
        )  # fmt: skip
        cfg.update(evals=evals, patience=0)
        if 'idle' in cfg:
            cfg.idle = 0.0  # in so few steps no unlabelled image may count yet
        task = loop.Task(
            program=program,
            variables=start,
            feed=feed,
            val=self.val if not images else self.val.take(np.arange(min(images, len(self.val)))),
            cfg=cfg,
            key=jax.random.key(self.seed),
            mesh=run.mesh,
            directory=directory,
            title='',
            meta={},
            select='best',
            log_every=max(steps // 4, 1),
            save_every=np.inf,
            eval_batch=config.evaluate.batch_size,
            # The few images of a run that is only timed may allow no other.
            metric=self.targets.main if images else self.metric,
            targets=self.targets,
        )
        return loop.fit(task).record

    def per_call(self, config) -> int:
        """Steps that are compiled into one call."""
        return resolve.steps_per_call(config, self.run.mesh)

    def batch(self, way: str, config) -> int:
        """Images of a step: the unlabelled ones, if there are any."""
        return config[stages.settings(config, way).section].batch_size

    def images(self, way: str) -> int:
        """Images of an epoch."""
        return len(self.unlabeled) if way_is_semi(self.run, way) else len(self.labeled)

    def own_steps(self, way: str, config) -> int:
        """The duration that the config gives, in steps."""
        return resolve.stage_steps(config, 'semi' if way_is_semi(self.run, way) else way, self.images(way))

    def calibrate(self, way: str, config, seconds: float = np.inf) -> None:
        """Measures the cost of a run that compiles nothing, and of an evaluation; in about `seconds`, if the steps are
        slow."""
        most = seconds * self.speed(way, config)
        steps = 24 * self.per_call(config)
        steps = steps if most >= steps or self.fresh(way, config) else max(int(most), 4 * self.per_call(config))
        self.train(way, config, steps)
        if self.fresh(way, config):
            return
        self.time_evaluation(way, config)
        if most < steps:
            return
        second = min(int(self.speed(way, config)), self.own_steps(way, config))  # a short run looks slower than it is
        self.train(way, config, max(second, steps + self.per_call(config)))

    def time_evaluation(self, way: str, config) -> None:
        """Times an evaluation by a program that is already compiled."""
        _, start, _, look, _ = self.programs[self._static(way, config)]
        start = split(everywhere(start, self.run.mesh))
        began = hosts.now()
        loop.evaluate(look, *start, self.val, config.evaluate.batch_size, self.run.mesh)
        self.look = hosts.now() - began

    def chance(self) -> float:
        """The metric config.select for a guess that looks at no image, plus two standard errors: always the most
        frequent class of validation or, for multi-label images, the classes' shares."""
        shares = self.targets.counts(self.val.labels) / max(len(self.val), 1)
        if self.targets.multilabel:
            known = shares[shares > 0]
            always = float(np.mean(2 * known / (1 + known))) if len(known) else 0.0  # F1 of always saying each class
            share = {'mAP': float(known.mean()), 'auroc': 0.5}.get(self.metric, always)
            return share + 2 * self.error(share)
        most, even = float(shares.max(initial=0)), 1 / len(self.run.source.classes)
        known = {'top1': most, 'balanced_accuracy': even, 'macro_f1': 2 * most / (1 + most) * even, 'auroc': 0.5}
        share = known[self.metric]
        return share + 2 * self.error(share)

    def fresh(self, way: str, config) -> bool:
        """Whether a run would compile its program."""
        return self._static(way, config) not in self.programs

    def steps_in(self, way: str, config, seconds: float, evals: int = EVALS) -> int:
        """How many steps a run that compiles nothing can take in `seconds`."""
        left = seconds - self.fixed[False] - evals * self.look
        return max(int(left * self.speed(way, config)), 0)

    def seconds_of(self, way: str, config, steps: int, evals: int = EVALS) -> float:
        """How many seconds a run will take."""
        fixed = self.fixed[self.fresh(way, config)] + evals * self.look
        return fixed + steps / max(self.speed(way, config), 1e-9)

    def speed(self, way: str, config) -> float:
        """Steps per second of the last run with this program, or else of the last of all runs."""
        rate = self.rates.get(self._static(way, config)) or next(reversed(self.rates.values()), 0.0)
        return rate / self.batch(way, config)

    def error(self, value: float) -> float:
        """The standard error of top-1 accuracy on the validation images; that of other metrics is taken to be the
        same."""
        return float(np.sqrt(max(value * (1 - value), 0.0) / len(self.val)))

    def _static(self, way, config) -> str:
        values = configs.to_dict(config)
        node = values[stages.settings(config, way).section]
        node = node if way_is_semi(self.run, way) else node[way]
        for field in _ARGUMENTS:
            *path, name = field.split('.')
            (node[path[0]] if path else node).pop(name)
        return json.dumps([way, values])


def way_is_semi(run, way: str) -> bool:
    """Whether a way trains on labelled and unlabelled images at once."""
    return stages.settings(run.config, way).section == 'semi'


def stage(config, way: str):
    """A copy of the stage's own config."""
    return stages.settings(config, way).cfg.copy_and_resolve_references()


def compiled(method, cfg, get, mesh, layout, remat: bool):
    """((arguments, train state, totals, arrays, payload, key) -> (train state, totals), measure, predict)."""
    method = fsdp.gathering(method, layout) if layout and not remat else method
    parts = functools.partial(programs.step_of, accumulated=cfg.accumulate, mesh=mesh, layout=layout)
    run = jax.jit(
        functools.partial(run_steps, method, cfg.optim.to_dict(), get, parts),
        donate_argnums=(1, 2),
        **programs.train_options(cfg.accumulate, mesh, layout, remat),
    )
    whole = functools.partial(jax.jit, out_shardings=replicated(mesh), compiler_options=compiler_options())
    return run, whole(method.measure), whole(method.predict)


def run_steps(method, fields: dict, get, step_of, values: dict, ts, totals, arrays, payload, key):
    """programs.run_steps with the learning rates, weight decay and number of steps of `arguments`."""
    cfg = SimpleNamespace(**fields | {'weight_decay': values['weight_decay']})
    tx, _ = optim.make(cfg, 1, rate=lambda step: values['rates'][step])
    step = step_of(method, tx, values['steps'])
    return programs.run_steps(step, get, ts, totals, arrays, payload, key)


def arguments(cfg, program, mesh) -> dict:
    """{'rates': [STEPS] float32, by step; 'weight_decay'; 'steps'}, on the devices."""
    rates = jnp.broadcast_to(jnp.asarray(program.rate(jnp.arange(STEPS)), jnp.float32), (STEPS,))
    values = {'rates': rates, 'weight_decay': jnp.float32(cfg.optim.weight_decay), 'steps': jnp.int32(program.steps)}
    return put(values, replicated(mesh))


def until(deadline: float, clock: list, payloads, *args):
    """What payloads(*args) yields, with the times in `clock`; raises Late after the deadline."""
    for item in payloads(*args):
        if hosts.now() > deadline:
            raise Late
        clock.append(hosts.now())
        yield item


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the memory of the host or of a device is not enough."""
    return isinstance(error, MemoryError) or 'RESOURCE_EXHAUSTED' in str(error)
