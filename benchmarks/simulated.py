"""A simulated scaling curve: what a step that is split over 1 to 16 devices computes and sends on each, beside the same
step on one device with its share of the batch.

    python -m benchmarks.simulated [--devices=1,2,4,8,16] [JOB ...]

The devices are simulated and nothing is run: FLOP and bytes are XLA's own account of the compiled programs, so no
number depends on the machine. 'FLOP' and 'bytes' are those of one device relative to the program of one device; at 1.00
nothing is computed twice. 'Sent' is what each device sends at least in a ring, in MiB.
"""

import argparse
import os

JOBS = {  # backbone, task, pixels, images a device, fields
    'rotation_resnet18': ('resnet18', 'rotation', 32, 32, {}),
    'simclr_resnet18': ('resnet18', 'simclr', 32, 32, {
        'pretrain.augment': 'crop(4)|flip|color_jitter(0.4, 0.4, 0.4, 0.1)',
    }),
    'mae_vit_s': ('vit', 'mae', 64, 32, {
        'backbone.width': 384, 'backbone.depth': 6, 'backbone.heads': 6, 'backbone.patch': 8, 'pretrain.mae.width': 192,
        'pretrain.mae.depth': 2, 'pretrain.mae.heads': 6, 'pretrain.optim.name': 'adamw',
    }),
}  # fmt: skip


def row(job: str, devices: int, parts: int, one: dict | None) -> dict:
    """FLOP, bytes and collectives of one of `devices`, the weights in so many parts; one: the row of a single one."""
    import jax

    from benchmarks.collectives import collectives, summary
    from benchmarks.memory import compiled, config_of

    _, _, side, images, _ = JOBS[job]
    shape, names = ((devices,), ('data',)) if parts == 1 else ((devices // parts, parts), ('data', 'fsdp'))
    auto = (jax.sharding.AxisType.Auto,) * len(names)
    mesh = jax.make_mesh(shape, names, axis_types=auto, devices=jax.devices()[:devices])
    program = compiled(config_of(JOBS[job], parts, 1, False), (side, side, 3), images * devices, mesh)
    cost, sent = program.cost_analysis(), summary(collectives(program.as_text()), devices)
    found = {'flop': cost['flops'], 'bytes': cost['bytes accessed']}
    return found | {
        'share': {k: v / (one or found)[k] for k, v in found.items()},
        'sent': sum(c['wire'] for c in sent.values()) / 2**20,
        'operations': ', '.join(f'{c["count"]} {op}' for op, c in sent.items()) or 'none',
    }


def main():
    """Prints a row for each number of devices of each job, with weights whole and in parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('jobs', nargs='*', default=list(JOBS), help=', '.join(JOBS))
    parser.add_argument('--devices', default='1,2,4,8,16')
    given = parser.parse_args()
    counts = [int(n) for n in given.devices.split(',')]
    os.environ['JAX_PLATFORMS'] = 'cpu'
    flags = '--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true'
    os.environ['XLA_FLAGS'] = f'{flags} --xla_force_host_platform_device_count={max(counts)}'
    print('| job | devices | fsdp.devices | FLOP | bytes | sent | operations |\n' + '|---' * 7 + '|', flush=True)
    for job in given.jobs:
        one = None
        for devices, parts in [(n, p) for n in counts for p in ((1, n) if n == max(counts) else (1,))]:
            found = row(job, devices, parts, one)
            one = one or found
            share = found['share']
            print(
                f'| {job} | {devices} | {parts} | {share["flop"]:.3f} | {share["bytes"]:.3f} | {found["sent"]:,.1f} | '
                f'{found["operations"]} |', flush=True,
            )  # fmt: skip


if __name__ == '__main__':
    main()
