"""Memory of a training step on one of several devices that are not here, by XLA's own account of the compiled program:
what weights in parts (fsdp.devices), batches in parts (accumulate) and layers that are computed again (backbone.remat)
save.

    python -m benchmarks.memory [--topology=v5e:2x4] [JOB ...]

Nothing is run. With the package libtpu (`pip install "jax[tpu]"`), which needs no TPU for that, programs are compiled
for TPUs; with --topology=N for N simulated CPU devices, where gradients are added up whole. 'State' is what a step
takes and gives back: weights, optimiser state, averages, and its images. 'Temporary' is what it needs beside that. Both
in MiB of one device.
"""

import argparse
import functools
import os

JOBS = {  # backbone, task, pixels, images a device, fields
    'vit_b_mae': ('vit', 'mae', 224, 32, {
        'backbone.width': 768, 'backbone.depth': 12, 'backbone.heads': 12, 'backbone.patch': 16,
        'pretrain.mae.width': 512, 'pretrain.mae.depth': 8, 'pretrain.mae.heads': 16,
        'pretrain.optim.name': 'adamw',
    }),
    'vit_mae': ('vit', 'mae', 32, 64, {
        'backbone.width': 256, 'backbone.depth': 6, 'pretrain.mae.width': 64, 'pretrain.optim.name': 'adamw',
    }),
    'resnet18_rotation': ('resnet18', 'rotation', 32, 16, {}),
}  # fmt: skip
SETTINGS = (  # (whether in as many parts as devices, accumulate, backbone.remat)
    (False, 1, False), (True, 1, False), (False, 1, True), (False, 4, False), (True, 1, True), (True, 4, True),
)  # fmt: skip


def config_of(job: tuple, parts: int, accumulate: int, remat: bool):
    """The config of a job, as JOBS has them."""
    from ssljax import config as configs

    backbone, task, _, _, fields = job
    config = configs.base()
    config.backbone.update(name=backbone, conv='xla', remat=remat)
    config.pretrain.update(method=task, augment='random_resized_crop((0.2, 1.0))|flip', accumulate=accumulate)
    config.fsdp.devices = parts
    config.update_from_flattened_dict(fields)
    return config


def compiled(config, shape, batch: int, mesh):
    """The compiled step of config.pretrain for images of `shape` (H, W, C) and a global batch, on a mesh."""
    import jax
    import jax.numpy as jnp

    from ssljax import methods
    from ssljax.core import init_state
    from ssljax.devices import fsdp
    from ssljax.devices.sharding import over_batch, replicated
    from ssljax.program import make_program, run_steps, train_options

    method, layout = methods.pretext(config, shape), fsdp.layout(config, mesh)
    get, remat = (lambda arrays, item: item), config.backbone.remat
    program = make_program(
        method, config.pretrain, steps=1000, get=get, mesh=mesh, steps_per_call=1, layout=layout, remat=remat
    )
    options = train_options(config.pretrain.accumulate, mesh, layout, remat)
    if mesh.devices.flat[0].platform != 'cpu':  # make_program has those of the devices that are here
        options.pop('compiler_options')
    run = jax.jit(functools.partial(run_steps, program.step, get), donate_argnums=(0, 1), **options)
    sized = jax.ShapeDtypeStruct
    number = sized((1, batch), jnp.int32)
    rows = {'image': sized((1, batch, *shape), jnp.uint8), 'label': number, 'index': number}
    one, key = jax.tree.map(lambda a: sized(a.shape[1:], a.dtype), rows), jax.eval_shape(lambda: jax.random.key(0))
    ts = jax.eval_shape(lambda key: init_state(method, program.tx, method.init(key, one)), key)
    totals = {'sums': jax.eval_shape(program.step, ts, one, key)[1], 'bad': sized((), jnp.int32)}
    where = layout.of(ts, ts.params) if layout else jax.tree.map(lambda a: replicated(mesh), ts)
    put = lambda tree, to: jax.tree.map(lambda a, s: sized(a.shape, a.dtype, sharding=s), tree, to)
    all_of = lambda tree, to: jax.tree.map(lambda a: sized(a.shape, a.dtype, sharding=to), tree)
    totals, key = (all_of(tree, replicated(mesh)) for tree in (totals, key))
    args = put(ts, where), totals, {}, all_of(rows, over_batch(mesh, 1)), key
    return run.lower(*args).compile()


def mesh_of(topology: str, parts: int):
    """Devices that are not here, 'v5e:2x4', or simulated ones, '8'; each copy of the weights in so many parts."""
    import jax
    import numpy as np

    from ssljax.devices.sharding import make_mesh

    if topology.isdigit():
        return make_mesh(parts)
    from jax.experimental import topologies

    devices = np.array(topologies.get_topology_desc(topology, platform='tpu').devices)
    names = ('data',) if parts == 1 else ('data', 'fsdp')
    auto = (jax.sharding.AxisType.Auto,) * len(names)
    return jax.sharding.Mesh(devices.reshape(-1, *[parts] * (parts > 1)), names, axis_types=auto)


def main():
    """Prints a row for each setting of each job."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('jobs', nargs='*', default=list(JOBS), help=', '.join(JOBS))
    parser.add_argument('--topology', default='v5e:2x4', help='of TPUs, or a number of simulated CPU devices')
    given = parser.parse_args()
    os.environ.setdefault('JAX_PLATFORMS', 'cpu')
    os.environ.setdefault('TPU_SKIP_MDS_QUERY', '1')  # libtpu would ask a TPU's host for its name
    os.environ.setdefault('ALLOW_MULTIPLE_LIBTPU_LOAD', '1')
    if given.topology.isdigit():  # machine code that is never run need not be fast
        flags = '--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true'
        os.environ['XLA_FLAGS'] = f'{flags} --xla_force_host_platform_device_count={given.topology}'
    print('| job | fsdp.devices | accumulate | remat | state | temporary |\n|---|---|---|---|---|---|', flush=True)
    for job in given.jobs:
        _, _, side, images, _ = JOBS[job]
        for split, accumulate, remat in SETTINGS:
            devices = mesh_of(given.topology, 1).size
            parts = devices if split else 1
            config = config_of(JOBS[job], parts, accumulate, remat)
            program = compiled(config, (side, side, 3), images * devices, mesh_of(given.topology, parts))
            used = program.memory_analysis()
            state, spare = used.argument_size_in_bytes / 2**20, used.temp_size_in_bytes / 2**20
            print(f'| {job} | {parts} | {accumulate} | {remat} | {state:,.0f} | {spare:,.0f} |', flush=True)


if __name__ == '__main__':
    main()
