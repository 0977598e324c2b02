"""This project's side of `benchmarks.steps`: the compiled program of a run, on a resident feed of random images.

python -m benchmarks.ours JOB_AS_JSON DTYPE [--kept]     (started by benchmarks.steps; speaks the lines of worker.py)

--kept: programs that were compiled before are taken from where a run keeps them; how long it took is then no time of
compilation.
"""

import functools
import json
import math
import pathlib
import sys
import time
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import worker
from benchmarks.jobs import CLASSES, STRONG, Job
from ssljax import config as configs
from ssljax import loop, methods, stages
from ssljax.core import init_state, train_step
from ssljax.data.split import ArrayImages, Split
from ssljax.devices import platform
from ssljax.devices.sharding import make_mesh, replicated
from ssljax.program import make_program, nothing
from ssljax.settings import resolve

STEPS = 10**6  # of the schedule
IMAGES = 1024  # in the feed, or twice the batch
PRETEXT = ('rotation', 'simclr', 'mae')


def config_of(job: Job, dtype: str, conv: str = 'auto'):
    """The config of a run that trains this step."""
    c = configs.base()
    c.backbone.update(name=job.network, stem=job.stem, dtype=dtype, conv=conv, heads=job.heads, patch=job.patch)
    c.backbone.update(width=job.width, depth=job.depth)
    section = c.pretrain if job.task in PRETEXT else c.semi if job.task in methods.SEMI else c.transfer
    section.update(augment=job.augment, batch_size=job.batch)
    cfg = c.transfer.scratch if section is c.transfer else section
    cfg.optim.update(name=job.optimiser, lr=1e-3 if job.optimiser == 'adamw' else 0.01)
    cfg.optim.weight_decay = 0.0 if job.task == 'sgan' else 5e-4
    if job.task in PRETEXT:
        c.pretrain.method = job.task
    c.transfer.augment = job.augment
    c.semi.update(labeled_batch_size=job.labeled, strong=STRONG)
    width, depth, heads = job.decoder
    c.pretrain.mae.update(width=width, depth=depth, heads=heads)
    return c


def method_of(job: Job, config):
    """The Method, and the kind of stage that it trains."""
    shape = (job.size, job.size, 3)
    if job.task in PRETEXT:
        return methods.pretext(config, shape), 'pretrain'
    return stages.classifier(config, shape, CLASSES, job.task), job.task


def begin(job: Job, config, images: Split) -> tuple:
    """(feed, Program, what it carries from step to step, key) of a run that trains this step on `images`, before
    the first step."""
    mesh, (method, kind) = make_mesh(), method_of(job, config)
    source = SimpleNamespace(shape=images.shape, train=images, unlabeled=None)
    run = stages.Context(config, pathlib.Path(), source, mesh, {}, {}, {kind: method}, None, [], True)
    own = stages.settings(config, kind)
    given = resolve.stage(own, (images, images.hide()) if job.labeled else images, mesh).inputs
    feed, cfg, per_call = stages.make_feed(run, kind, given, 0), own.cfg, resolve.steps_per_call(config, mesh)
    program = make_program(method, cfg, steps=STEPS, get=feed.get, mesh=mesh, steps_per_call=per_call)  # as stages.task
    ts, key = init_state(method, program.tx, stages.initial(run, kind, 0)), jax.random.key(1)
    ts = jax.device_put(ts, replicated(mesh))
    totals = nothing(loop.metrics_of(program, feed, ts, key))
    return feed, program, (ts, jax.device_put(totals, replicated(mesh))), key


class Ours:
    """A job's program with its state on the device, compiled.

    compile: seconds. flop_compiled and bytes: of a step, as XLA counts what it compiled, with what our own forms of
    convolution add or save. flop(): as it counts the plain step, convolutions left whole, before any optimisation.
    """

    def __init__(self, job: Job, dtype: str, images: Split | None = None, path: str = 'auto'):
        """images: of job.size pixels and three channels; by default some random ones. path: as data.path."""
        config = config_of(job, dtype)
        config.data.path = path
        feed, program, self.carry, self.key = begin(job, config, random_images(job) if images is None else images)
        ts, self.arrays, self.per_call = self.carry[0], feed.arrays, program.steps_per_call
        self.payloads, batch = feed.payloads(0, STEPS, self.per_call), loop.batch_of(feed, 0)
        self.parameters = {k: sum(map(jnp.size, jax.tree.leaves(v))) for k, v in ts.params.items()}
        shapes = jax.eval_shape(lambda: (ts, batch))
        self.flop = functools.partial(plain_flop, job, dtype, program.tx, *shapes, self.key)
        began = time.perf_counter()
        self.step = program.run.lower(*self.carry, self.arrays, next(self.payloads), self.key).compile()
        self.compile = time.perf_counter() - began
        cost = self.step.cost_analysis() or {}
        self.flop_compiled, self.bytes = cost.get('flops'), cost.get('bytes accessed')  # a scan's body counts once

    def run(self, steps: int) -> int:
        """Trains so many steps or, in whole calls of the program, a few more; returns how many."""
        calls = math.ceil(steps / self.per_call)
        for _ in range(calls):
            self.carry = self.step(*self.carry, self.arrays, next(self.payloads), self.key)
        jax.block_until_ready(self.carry)
        return calls * self.per_call


def plain_flop(job: Job, dtype: str, tx, ts, batch, key) -> float | None:
    """FLOP of one step with XLA's own convolutions, as its analysis counts the program before optimisation; ts, batch:
    arrays, or shapes of them."""
    method = method_of(job, config_of(job, dtype, 'xla'))[0]
    lowered = jax.jit(functools.partial(train_step, method, tx, steps=STEPS)).lower(ts, batch, key)
    return (lowered.cost_analysis() or {}).get('flops')


def random_images(job: Job) -> Split:
    """Random uint8 images with random labels."""
    random, count = np.random.default_rng(0), max(IMAGES if job.size < 128 else 256, 2 * job.batch)
    pixels = random.integers(0, 256, (count, job.size, job.size, 3), np.uint8)
    return Split(ArrayImages(pixels), random.integers(0, CLASSES, count))


def peak_memory() -> dict:
    """Bytes that the device, or on the CPU this process, held at most."""
    stats = jax.devices()[0].memory_stats() or {}
    if 'peak_bytes_in_use' in stats:
        return {'peak_memory': stats['peak_bytes_in_use'], 'peak_memory_of': 'device'}
    return {'peak_memory': worker.peak_rss(), 'peak_memory_of': 'process'}


def ceilings(dtype: str) -> dict:
    """What the device reached here on a large matrix product, in FLOP/s, and on a large copy, in bytes/s read and
    written; the best of five."""
    large = jax.default_backend() != 'cpu'
    n, size = (8192, 2**28) if large else (2048, 2**26)
    jit = functools.partial(jax.jit, compiler_options=platform.compiler_options())
    a, x = jnp.ones((n, n), dtype), jnp.ones(size, jnp.float32)
    product, copy = jit(lambda a: a @ a), jit(lambda x: x + 1)
    return {'product': 2 * n**3 / _best(product, a), 'copy': 2 * x.nbytes / _best(copy, x)}


def _best(f, x) -> float:
    jax.block_until_ready(f(x))
    times = []
    for _ in range(5):
        began = time.perf_counter()
        jax.block_until_ready(f(x))
        times.append(time.perf_counter() - began)
    return min(times)


def main(text: str, dtype: str, *flags: str) -> None:
    """Serves one job."""
    if '--kept' in flags:
        platform.keep_compiled()
    ours = Ours(Job(**json.loads(text)), dtype)
    ready = {k: getattr(ours, k) for k in ('parameters', 'compile', 'flop_compiled', 'bytes', 'per_call')}
    worker.serve(ready, ours.run, lambda: peak_memory() | {'flop': ours.flop(), 'ceilings': ceilings(dtype)})


if __name__ == '__main__':
    platform.tune_cpu()
    main(*sys.argv[1:])
