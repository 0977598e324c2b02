"""Negatives, BatchNorm, Sinkhorn, centres and priors are those of the whole batch, however many devices share it,
and each device does its part of the work."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ssljax.methods import ADVERSARIAL, PRETEXT, SEMI

# What these do over the batch, rotation, fixmatch, flexmatch or softmatch does, too.
ALIKE = ('pseudo_label', 'pi_model', 'mean_teacher', 'uda', 'freematch', 'noisy_student', 's4l_rotation')
ALIKE += ('relative_position', 'colorization', 'autoencoder', 'context_encoder', 'jigsaw')
SCRIPT = """
import functools, json, sys
import jax, numpy as np, optax
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from ssljax import methods, optim
from ssljax.config import base
from ssljax.core import init_state, train_step

def run(task):
    c = base()
    c.pretrain.update(method=task, augment='crop(2)|flip')
    c.semi.optim.update(lr=0.001)
    c.pretrain.exemplar.classes = 16
    c.pretrain.optim.update(lr=0.01)
    c.pretrain.gan.width = 4
    c.backbone.update(width=8, depth=1, conv='xla')  # quick to compile
    if task == 'mae':
        c.backbone.update(name='vit', width=16)
    if task in methods.SEMI:
        c = methods.with_optimiser(c, task)
        c.semi.strong = 'crop(2)|cutout(4)'
        if 'width' in c.semi[task]:
            c.semi[task].width = 4
        method = methods.semi(task, c, (16, 16, 3), 3)
    else:
        method = methods.pretext(c, (16, 16, 3))
    tx, _ = optim.make((c.semi if task in methods.SEMI else c.pretrain).optim, 3)
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 16, 3)).astype(np.uint8)
    batch = {'image': image, 'label': np.arange(16) % 3, 'index': np.arange(16), 'unlabeled': image[::-1]}
    batch |= {'unlabeled_index': np.arange(16), 'unlabeled_label': np.arange(16) % 3}
    count = {'unlabeled_count': 16}
    init = jax.jit(lambda key, batch: init_state(method, tx, method.init(key, batch | count)))
    first = init(jax.random.key(0), batch)
    step = jax.jit(functools.partial(train_step, method, tx, steps=3))
    found, flop = [], []
    for devices in 1, 4:
        mesh = jax.make_mesh((devices,), ('data',), axis_types=(AxisType.Auto,), devices=jax.devices()[:devices])
        put = lambda tree, *spec: jax.device_put(tree, NamedSharding(mesh, PartitionSpec(*spec)))
        ts, split, losses = put(first), put(batch, 'data') | count, []
        compiled = step.lower(ts, split, jax.random.key(1)).compile()
        flop.append(compiled.cost_analysis()['flops'])  # of one device
        for _ in range(3):
            ts, metrics = compiled(ts, split, jax.random.key(1))
            losses.append(float(metrics['loss'][0] / metrics['loss'][1]))
        found.append(losses + [float(optax.tree.norm(ts.params['backbone']))])
    return [*found, flop[1] / flop[0]]

assert jax.device_count() == 4
print(json.dumps({task: run(task) for task in sys.argv[1:]}))
"""


@pytest.mark.parametrize('part', range(4))
def test_one_device_and_four_agree(part):
    tasks = [t for t in (*PRETEXT, 'rotation + 0.5*simclr', *SEMI) if t not in ALIKE][part::4]
    env = os.environ | {'JAX_PLATFORMS': 'cpu'}
    env['XLA_FLAGS'] += ' --xla_force_host_platform_device_count=4'
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, '-c', SCRIPT, *tasks], env=env, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert set(found) == set(tasks)
    for task, (one, four, _) in found.items():
        assert one == pytest.approx(four, rel=2e-3, abs=1e-4), task
    # A quarter, where the work is split and not repeated on each device. Generators are: their noise is no part of a
    # batch, and each device makes all of the images.
    most = lambda task: 0.8 if task in ADVERSARIAL else 0.4
    assert {task: share for task, (_, _, share) in found.items() if share > most(task)} == {}
