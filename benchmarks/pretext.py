"""Steps and views per second of every pretext task of a recipe, on random images, without input or evaluation.

    python -m benchmarks.pretext configs/pretext_fashion_mnist.py [TASK ...]

Prints one line a task, with the steps that fit into 60 seconds. Run it alone on the machine, or under `taskset -c 0`.
"""

import functools
import runpy
import statistics
import sys
import time

import jax
import numpy as np

from ssljax import methods, optim
from ssljax.core import init_state, train_step
from ssljax.devices import platform

SHAPES = {'tfds:fashion_mnist': (28, 28, 1), 'tfds:cifar10': (32, 32, 3)}
SECONDS = 6.0


def measure(config) -> tuple[float, int]:
    """(median seconds of a step, views in it)."""
    shape = SHAPES[config.data.source]
    method = methods.pretext(config, shape)
    tx, _ = optim.make(config.pretrain.optim, 1000)
    size = config.pretrain.batch_size
    images = np.random.default_rng(0).integers(0, 256, (size, *shape), np.uint8)
    batch = {'image': images, 'label': np.full(size, -1), 'index': np.arange(size)}
    ts = init_state(method, tx, method.init(jax.random.key(0), batch))
    step = jax.jit(
        functools.partial(train_step, method, tx, steps=1000),
        donate_argnums=0,
        compiler_options=platform.compiler_options(),
    )
    times, key = [], jax.random.key(1)
    while sum(times[2:]) < SECONDS or len(times) < 5:  # the first two compile and warm up
        began = time.perf_counter()
        ts, _ = jax.block_until_ready(step(ts, batch, key))
        times.append(time.perf_counter() - began)
    return statistics.median(times[2:]), size * method.views


def main(path, *tasks):
    recipe = runpy.run_path(path)
    print(f'{"task":<18} {"step ms":>9} {"views/s":>9} {"steps in 60 s":>14}')
    for task in tasks or recipe['TASKS']:
        seconds, views = measure(recipe['get_config'](task))
        print(f'{task:<18} {1000 * seconds:>9.1f} {views / seconds:>9,.0f} {60 / seconds:>14,.0f}', flush=True)


if __name__ == '__main__':
    platform.tune_cpu()
    main(*sys.argv[1:])
