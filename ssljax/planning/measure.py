"""How fast the stages of a run are here: each kind is compiled, and trained for a moment, on the images of the set."""

import contextlib
import shutil
import tempfile
import time
from pathlib import Path

import jax

from ssljax import experiment, loop, seeds, stages
from ssljax.core import TrainState, split
from ssljax.data import sources
from ssljax.planning.budget import Speed, Times
from ssljax.progress import say
from ssljax.settings import beforehand

SECONDS = 1.5  # of training that a kind of stage is timed over
WARM = 3  # calls of the program before that


def times(config, kinds, began: float) -> Times:
    """Measures one kind of stage after the other, with the first seed's images; nothing of it is kept.

    Args:
      config: a whole config; its durations do not count.
      kinds: 'scratch', 'pretrain', joint methods.
      began: time.time() when the command began.

    Raises:
      ValueError: as experiment.prepare.
    """
    at = time.time()
    say.status('plan: reading the images')
    source = sources.load(config.data)
    load = time.time() - at
    place = tempfile.mkdtemp(prefix='ssljax_plan_')
    try:
        run = experiment.prepare(config, Path(place), source, quiet=True)
        beforehand.check(run)
        seed = config.seeds[0]
        _, images = seeds.seed_images(run, seed)
        speeds = {}
        for i, kind in enumerate(kinds, 1):
            say.status(f'plan: compiling and timing {kind} ({i} of {len(kinds)})')
            speeds[kind] = speed(run, kind, seed, images)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return Times(speeds, config.evaluate.batch_size, load, time.time() - began)


def speed(run, kind: str, seed: int, images: dict) -> Speed:
    """The Speed of a kind of stage."""
    began = time.time()
    shown = images['labeled']
    if kind == 'pretrain':
        shown = seeds.sample(images['unlabeled'], run.methods[kind].images, seed)
    elif kind != 'scratch':
        shown = images['labeled'], images['unlabeled']
    task = stages.task(run, kind, kind, seed, shown, images['val'], stages.initial(run, kind, seed))
    step = _train(task)
    val = seeds.sample(images['val'], task.eval_batch, seed)
    look = lambda: loop.evaluate(task.program.measure, *split(task.variables), val, task.eval_batch, task.mesh)
    look()
    ready = time.time() - began - SECONDS
    at = time.time()
    look()
    return Speed(max(ready, 0.0), step, time.time() - at)


def _train(task) -> float:
    """Seconds of a step, once compiled."""
    items = loop.begin(task)
    progress = items['progress']
    ts, totals = (
        TrainState(progress['step'], *(items[k] for k in ('params', 'state', 'ema', 'opt'))),
        progress['totals'],
    )
    per_call = task.program.steps_per_call
    calls, at = 0, time.time()
    with contextlib.closing(task.feed.payloads(0, task.program.steps, per_call)) as payloads:
        for payload in payloads:
            ts, totals = task.program.run(ts, totals, task.feed.arrays, payload, task.key)
            calls += 1
            if calls <= WARM:
                jax.block_until_ready(ts)
                at = time.time()
            elif calls % 4 == 0:
                jax.block_until_ready(ts)
                if time.time() - at > SECONDS:
                    break
    jax.block_until_ready(ts)
    return (time.time() - at) / max(calls - WARM, 1) / per_call
