"""What a compiled program sends, against counts by hand; the tables of docs/scaling.md, against hand-worked bounds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import scaling_tables
from benchmarks.collectives import Collective, collectives, size_of, summary
from benchmarks.vendors import DEVICES

ROOT = Path(__file__).resolve().parents[2]
# A network of two layers, 12 -> 20 -> 5, with biases, trained by SGD with momentum on batches that are split.
MLP = """
import json
import jax, jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
from benchmarks.collectives import collectives
assert jax.device_count() == 8
mesh = jax.make_mesh((8,), ('data',), axis_types=(AxisType.Auto,))
whole, parts = NamedSharding(mesh, P()), NamedSharding(mesh, P('data'))
shape = lambda sharding, *dims: jax.ShapeDtypeStruct(dims, jnp.float32, sharding=sharding)
params = {'a': shape(whole, 12, 20), 'b': shape(whole, 20), 'c': shape(whole, 20, 5), 'd': shape(whole, 5)}

def loss(p, x):
    return (jax.nn.gelu(x @ p['a'] + p['b']) @ p['c'] + p['d']).var(-1).mean()

def step(p, m, x):
    value, grads = jax.value_and_grad(loss)(p, x)
    m = jax.tree.map(lambda m, g: 0.9 * m + g, m, grads)
    return jax.tree.map(lambda p, m: p - 0.1 * m, p, m), m, value

program = jax.jit(step, out_shardings=whole).lower(params, params, shape(parts, 64, 12)).compile()
print(json.dumps([[c.op, c.nbytes, c.group] for c in collectives(program.as_text())]))
"""


def test_two_layers_sum_their_gradients_and_the_loss():
    flags = {'XLA_FLAGS': '--xla_force_host_platform_device_count=8', 'JAX_PLATFORMS': 'cpu', 'PYTHONPATH': str(ROOT)}
    done = subprocess.run([sys.executable, '-c', MLP], env=os.environ | flags, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = [Collective(*each) for each in json.loads(done.stdout.splitlines()[-1])]
    assert {c.op for c in found} == {'all-reduce'} and {c.group for c in found} == {8}
    parameters = 12 * 20 + 20 + 20 * 5 + 5
    assert sum(c.nbytes for c in found) == 4 * (parameters + 1)  # float32, and the mean of the loss
    assert summary(found, 8)['all-reduce']['wire'] == pytest.approx(2 * 7 / 8 * 4 * (parameters + 1))


TEXT = """
  %all-reduce.1 = (f32[64]{0}, bf16[8,128]{1,0:T(8,128)(2,1)S(1)}) all-reduce(%a, %b), replica_groups={{0,1,2,3}}, to=%x
  %all-reduce-start.2 = f32[10]{0} all-reduce-start(%a), replica_groups=[2,256]<=[512], to_apply=%add
  %all-reduce-done.2 = f32[10]{0} all-reduce-done(%all-reduce-start.2)
  %all-gather-start = (f32[4]{0}, f32[32]{0}) all-gather-start(%a), replica_groups=mesh['a'=8,'b'=2] {'a'}, dim={0}
  ROOT %reduce-scatter.3 = f32[4]{0} reduce-scatter(%a), replica_groups=mesh['a'=8,'b'=2] {'a','b'}, dimensions={0}
  %send.1 = (bf16[16]{0}, u32[]{:S(2)}, token[]) send(%a, %token), channel_id=3
  %fusion = f32[999]{0} fusion(%all-reduce.1), kind=kLoop, calls=%all-reduce-body
"""


def test_every_form_of_a_collective_is_read():
    assert collectives(TEXT) == [
        ('all-reduce', 4 * 64 + 2 * 8 * 128, 4),
        ('all-reduce', 40, 256),
        ('all-gather', 128, 8),
        ('reduce-scatter', 16, 16),
        ('send', 32, 0),
    ]
    assert size_of('pred', '3,3') == 9 and size_of('s4', '5') == 3 and size_of('f8e4m3fn', '') == 1


def test_a_ring_sends_what_it_must():
    assert Collective('all-reduce', 800, 8).wire(64) == 2 * 7 / 8 * 800
    assert Collective('all-gather', 800, 0).wire(8) == 700
    assert Collective('reduce-scatter', 100, 8).wire(8) == 700
    assert Collective('collective-permute', 100, 0).wire(8) == 100


def program(**more):
    collective = {'all-reduce': {'count': 3, 'bytes': 80e6, 'wire': 140e6}}
    row = {
        'job': 'j',
        'kind': 'v5e',
        'devices': 8,
        'batch': 32,
        'flop': 1e12,
        'bytes': 8.19e9,
        'collectives': collective,
    }
    return row | {'memory': {'total': 4e9}} | more


def record(*rows):
    spread = {'median': 2.0, 'least': 1.0, 'largest': 3.0}
    job = {'parameters': 20_000_000, 'checkpoint': 160e6, 'flop_image': 1.97e11, 'input': 150_528}
    return {
        'jobs': {'j': job, **dict.fromkeys(('rotation_resnet50', 'simclr_resnet50', 'mae_vit_b'), job)},
        'rows': list(rows) or [program()],
        'saving': {'j': {'write': spread, 'read': spread}},
        'decoding': {'images_s': {'median': 400.0, 'least': 399.0, 'largest': 401.0}, 'bytes': 1e5},
    }


def test_bounds_of_one_slice_are_those_of_its_links():
    found = scaling_tables.bounds(record(), 'j', 'v5e', 8)
    assert found.arithmetic == pytest.approx(32 * 1.97e11 / 197e12)
    assert found.memory == pytest.approx(8.19e9 / 819e9)
    assert found.link == pytest.approx(2 * 7 / 8 * 80e6 / 200e9) and found.network == 0
    assert found.largest() == 'arithmetic'
    fewer = scaling_tables.bounds(record(), 'j', 'v5e', 8, images=8)
    assert fewer.arithmetic == pytest.approx(found.arithmetic / 4) and fewer.link == found.link


def test_beyond_a_slice_each_device_has_a_share_for_the_network():
    device = DEVICES['h100']
    assert scaling_tables.sent(80e6, 64, device.slice) == (2 * 7 / 8 * 80e6, pytest.approx(2 * 7 / 8 * 80e6 / 8))
    found = scaling_tables.bounds(record(), 'j', 'h100', 64)
    assert found.memory is None  # no program was compiled for it
    assert found.network == pytest.approx(2 * 7 / 8 * 10e6 / 50e9)
    assert scaling_tables.bounds(record(), 'j', 'v6e', 512).network is None  # no source for its network


def test_a_number_that_is_missing_is_of_the_nearest_program():
    both = record(program(), program(devices=512))
    assert scaling_tables.row_of(both, 'j', 'v5e', 64)[1] == 8
    assert scaling_tables.row_of(both, 'j', 'v5e', 512)[1] == 512
    with pytest.raises(ValueError, match='no program'):
        scaling_tables.row_of(both, 'k', 'v5e', 8)


def test_the_cost_of_a_schedule_is_its_flop_over_what_a_device_does():
    assert scaling_tables.device_hours(0.4 * 197e12 * 7200, DEVICES['v5e']) == pytest.approx(2)
    text = scaling_tables.costs(record())
    total = 1.97e11 * 800 * 1_281_167
    assert f'{total / (0.4 * 197e12) / 3600:,.0f}' in text


def test_every_table_is_drawn():
    for name, draw in scaling_tables.TABLES.items():
        lines = draw(record()).splitlines()
        assert len(lines) > 2 and len({line.count(' | ') for line in lines[:1] + lines[2:]}) == 1, name
    feeding = scaling_tables.feeding(record())
    assert '| j, TPU v5e | 64 | 25,600 |' in feeding  # 64 devices, 400 images/s each
    assert feeding.splitlines()[2].endswith('| 8 |')  # 8 devices on a host want 3,200 images/s of 400 a core
