"""What limits a run on 8, 64 and 512 devices, from programs that are compiled for them and not run.

python -m benchmarks.scaling [JOB ...] [--kinds=cpu,v5e,v6e] [--devices=8,64,512] [--photos=ZIP] [--again] [--out=FILE]

--kinds=cpu compiles for that many simulated CPU devices: what is sent between devices is known then, not what is moved
in a device's memory. With the package libtpu (`pip install "jax[tpu]"`), which needs no TPU for that, programs are
compiled for TPUs by XLA's own compiler for them (minutes each). Afterwards `python -m benchmarks.page` writes
docs/scaling.md.
"""

import argparse
import functools
import importlib.metadata
import importlib.util
import io
import itertools
import os
import sys
import tempfile
import time
from pathlib import Path

MOST = 512  # devices
QUICK = '--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true'  # nothing is run
os.environ.setdefault('XLA_FLAGS', f'--xla_force_host_platform_device_count={MOST} {QUICK}')
os.environ.setdefault('JAX_PLATFORMS', 'cpu')
os.environ.setdefault('TPU_SKIP_MDS_QUERY', '1')  # libtpu would ask a TPU's host for its name

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec  # noqa: E402

from benchmarks import record  # noqa: E402
from benchmarks.collectives import collectives, summary  # noqa: E402
from benchmarks.images import sample  # noqa: E402
from benchmarks.jobs import RESIZED, VIEWS, Job  # noqa: E402
from benchmarks.ours import STEPS, config_of, method_of  # noqa: E402
from benchmarks.vendors import DEVICES  # noqa: E402
from ssljax import optim, stages  # noqa: E402
from ssljax.core import init_state, train_step  # noqa: E402
from ssljax.data import decode, folder  # noqa: E402
from ssljax.data.feed import get_stream  # noqa: E402
from ssljax.devices.sharding import replicated  # noqa: E402
from ssljax.program import nothing, run_steps  # noqa: E402
from ssljax.storage import checkpoint, files  # noqa: E402

# `batch`: of one device. The last is compiled for no device: its count of FLOP is that of a schedule.
JOBS = {
    job.name: job
    for job in (
        Job('rotation_resnet50', 'rotation', 'resnet50', 224, 32, RESIZED, views=4, stem='imagenet'),
        Job(
            'mae_vit_b', 'mae', 'vit', 224, 64, RESIZED, 'adamw', width=768, depth=12, heads=12, patch=16,
            decoder=(512, 8, 16),
        ),
        Job('simclr_resnet50', 'simclr', 'resnet50', 224, 64, VIEWS, views=2, stem='imagenet'),
    )
}  # fmt: skip
COMPILED = 'rotation_resnet50', 'mae_vit_b'
SIMULATED = 'cpu'
PHOTO = 500, 375  # pixels, of a usual photograph of ImageNet
PHOTOS, ROUNDS = 256, 3


def abstract(job: Job) -> tuple:
    """(Method, optimiser, TrainState of shapes, step function) of a job in bfloat16, with XLA's own convolutions."""
    config = config_of(job, 'bfloat16', 'xla')
    method, kind = method_of(job, config)
    tx, _ = optim.make(stages.settings(config, kind).cfg.optim, STEPS)
    shapes = {'image': jax.ShapeDtypeStruct((1, job.size, job.size, 3), jnp.uint8)}
    begin = lambda key, batch: init_state(method, tx, method.init(key, batch))
    ts = jax.eval_shape(begin, jax.random.key(0), shapes)
    return method, tx, ts, jax.jit(functools.partial(train_step, method, tx, steps=STEPS), inline=True)


def batch_of(job: Job, images: int, *leading: int) -> dict:
    """The shapes of a batch, with leading axes."""
    image = jax.ShapeDtypeStruct((*leading, images, job.size, job.size, 3), jnp.uint8)
    number = jax.ShapeDtypeStruct((*leading, images), jnp.int32)
    return {'image': image, 'label': number, 'index': number}


def lowered(job: Job, mesh: Mesh):
    """The program of one step of a stream on a mesh, lowered: `job.batch` images a device."""
    _, _, ts, step = abstract(job)
    images, key = job.batch * mesh.size, jax.eval_shape(lambda: jax.random.key(1))
    totals = jax.eval_shape(nothing, jax.eval_shape(step, ts, batch_of(job, images), key)[1])
    whole, parts = replicated(mesh), NamedSharding(mesh, PartitionSpec(None, 'data'))
    put = lambda tree, where: jax.tree.map(lambda s: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=where), tree)
    run = jax.jit(functools.partial(run_steps, step, get_stream), donate_argnums=(0, 1), out_shardings=whole)
    ts, totals, key = put((ts, totals, key), whole)
    return run.lower(ts, totals, {}, put(batch_of(job, images, 1), parts), key)


def mesh_of(kind: str, devices: int) -> Mesh:
    """So many devices that are not here, along 'data'."""
    if kind == SIMULATED:
        found = jax.devices()[:devices]
    else:
        from jax.experimental import topologies

        name, slices = DEVICES[kind].topology[devices]
        several = {'num_slices': slices} if slices > 1 else {}
        found = topologies.get_topology_desc(name, platform='tpu', **several).devices
    return Mesh(np.array(found), ('data',), axis_types=(AxisType.Auto,))


def compiled(job: Job, kind: str, devices: int) -> dict:
    """What the compiler says of a step of a job on devices of a kind."""
    begun = time.perf_counter()
    program = lowered(job, mesh_of(kind, devices)).compile()
    cost, memory = program.cost_analysis(), program.memory_analysis()
    return {
        'job': job.name,
        'kind': kind,
        'devices': devices,
        'batch': job.batch,
        'compile': time.perf_counter() - begun,
        'flop': cost['flops'],
        'bytes': cost['bytes accessed'],
        'memory': {
            'arguments': memory.argument_size_in_bytes,
            'temporary': memory.temp_size_in_bytes,
            'total': memory.argument_size_in_bytes
            + memory.output_size_in_bytes
            - memory.alias_size_in_bytes
            + memory.temp_size_in_bytes,
        },
        'collectives': summary(collectives(program.as_text()), devices),
    }


def of_job(job: Job) -> dict:
    """What depends on no device: parameters, the bytes of a checkpoint, FLOP of an image as XLA counts the program
    before it optimises it."""
    _, _, ts, step = abstract(job)
    cost = step.lower(ts, batch_of(job, job.batch), jax.eval_shape(lambda: jax.random.key(1))).cost_analysis()
    return {
        'parameters': sum(leaf.size for leaf in jax.tree.leaves(ts.params)),
        'checkpoint': sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(ts)),
        'flop_image': cost['flops'] / job.batch,
        'input': job.size * job.size * 3,
    }


def saving(job: Job) -> dict:
    """Seconds to write a checkpoint of a job's state to this machine's disk, with checksums, and to read it again."""
    _, _, ts, _ = abstract(job)
    zeros = jax.device_put(jax.tree.map(lambda s: np.zeros(s.shape, s.dtype), ts._asdict()))
    zeros['progress'] = {'step': zeros.pop('step')}
    items = {k: v for k, v in zeros.items() if jax.tree.leaves(v)}
    found: dict = {'write': [], 'read': []}
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as place:
            manager = checkpoint.open_manager(Path(place) / 'checkpoints')
            begun = time.perf_counter()
            checkpoint.save(manager, 1, items, {})
            found['write'].append(time.perf_counter() - begun)
            manager.close()
            begun = time.perf_counter()
            jax.block_until_ready(checkpoint.resume(Path(place) / 'checkpoints', items)[1])
            found['read'].append(time.perf_counter() - begun)
    return {kind: record.spread(seconds) for kind, seconds in found.items()}


def decoding(photos: str) -> dict:
    """Images a second that one core decodes and crops to 224 pixels, of photographs that are enlarged to PHOTO; and the
    mean bytes of their files, which have less detail than ImageNet's."""
    from PIL import Image

    with tempfile.TemporaryDirectory() as place:
        sample(photos, PHOTOS, Path(place))
        names = folder.listing(str(Path(place) / 'images'))
        encoded = []
        for number in range(min(PHOTOS, len(names.names))):
            out = io.BytesIO()
            image = Image.open(io.BytesIO(names.read(number))).convert('RGB').resize(PHOTO, Image.Resampling.BICUBIC)
            image.save(out, 'JPEG', quality=95)
            encoded.append(out.getvalue())
    rates = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        for data in encoded:
            decode.decode(data, 224, 3)
        rates.append(len(encoded) / (time.process_time() - begun))
    return {'images_s': record.spread(rates), 'bytes': sum(map(len, encoded)) / len(encoded)}


def main(argv) -> int:
    """Compiles, counts and measures what is asked for and not yet in the file, which is written after each program."""
    parser = argparse.ArgumentParser('benchmarks.scaling')
    parser.add_argument('jobs', nargs='*')
    parser.add_argument('--kinds', default='cpu,v5e,v6e')
    parser.add_argument('--devices', default='8,64,512')
    parser.add_argument('--photos', default='', help='a .zip of photographs, to measure how fast they are decoded')
    parser.add_argument('--again', action='store_true', help='compile what the file has, too')
    parser.add_argument('--out', default='benchmarks/results/scaling.json')
    asked = parser.parse_args(argv)
    kinds, counts = asked.kinds.split(',') if asked.kinds else [], [int(n) for n in asked.devices.split(',')]
    record.known_names(asked.jobs, JOBS, 'job')
    known = [SIMULATED, *(kind for kind, device in DEVICES.items() if device.topology)]
    record.known_names(kinds, known, 'kind of device')
    if {*kinds} - {SIMULATED} and importlib.util.find_spec('libtpu') is None:
        raise SystemExit(
            f'error: --kinds={asked.kinds} needs libtpu, which compiles for TPUs: pip install "jax[tpu]", or give '
            '--kinds=cpu.'
        )
    found = {'jobs': {}, 'rows': [], 'saving': {}} | (files.read_json(Path(asked.out)) or {})
    found |= record.begin('scaling', argv)
    found['hardware'].pop('devices')  # simulated
    if {*kinds} - {SIMULATED}:
        found['versions']['libtpu'] = importlib.metadata.version('libtpu')
    names = asked.jobs or list(JOBS)
    found['jobs'] |= {name: of_job(JOBS[name]) for name in names}
    if asked.photos:
        found['decoding'] = decoding(asked.photos)
    for devices, kind, name in itertools.product(counts, kinds, [name for name in names if name in COMPILED]):
        there = [row for row in found['rows'] if (row['job'], row['kind'], row['devices']) == (name, kind, devices)]
        if asked.again or not there:
            found['rows'] = [row for row in found['rows'] if row not in there] + [compiled(JOBS[name], kind, devices)]
            print(found['rows'][-1], flush=True)
            files.write_json(Path(asked.out), found)
    for name in COMPILED:
        if name in names and (asked.again or name not in found['saving']):
            found['saving'][name] = saving(JOBS[name])
    files.write_json(Path(asked.out), found)
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
