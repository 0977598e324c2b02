"""Weights in parts: the same numbers as with whole ones, on any mesh, from parts that lie where the rules say."""

import functools
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec

from ssljax import config as configs
from ssljax import experiment, loop, seeds, stages
from ssljax.data import augment, sources
from ssljax.devices import fsdp
from ssljax.devices.sharding import check_batch, make_mesh, over_batch
from ssljax.methods import mae
from ssljax.processes import preempt
from ssljax.report import setup
from ssljax.settings import schema
from ssljax.storage import checkpoint
from tests.devices import on_four

WAYS = ('frozen', 'fixmatch', 'sgan')


def small(devices: int):
    """A run whose weights, but for the smallest, are in that many parts."""
    c = configs.base()
    c.data.update(source='synthetic:8x8x1:3', labels='10/class', val='60')
    c.backbone.conv = 'xla'
    c.pretrain.update(method='byol', augment='crop(2)|flip', epochs=0.0, steps=4, evals=2, batch_size=16, watch=0)
    c.pretrain.optim.update(name='adamw', lr=1e-3)
    c.transfer.update(ways=WAYS, batch_size=16)
    c.transfer.frozen.update(epochs=0.0, steps=2, evals=1)
    c.semi.update(epochs=0.0, steps=2, evals=1, batch_size=16, labeled_batch_size=16, strong='cutout(2)', idle=0.0)
    c.semi.optim.lr = 1e-4
    c.semi.sgan.update(width=8, noise=8)
    c.evaluate.update(batch_size=60, figures=False, reference=0, probe=False)
    c.fsdp.update(devices=devices, least=64)
    c.backbone.remat = devices == 2  # weights are then gathered block by block
    return c


def prepared(devices: int, workdir):
    config = small(devices)
    return experiment.prepare(config, Path(workdir), sources.load(config.data), quiet=True)


def norms(variables) -> list[float]:
    return [float(jnp.linalg.norm(jnp.asarray(leaf).ravel())) for leaf in jax.tree.leaves(variables)]


def held(tree) -> float:
    """The share of a tree's bytes that its busiest device holds."""
    leaves, count = jax.tree.leaves(tree), {}
    for leaf in leaves:
        for shard in leaf.addressable_shards:
            count[shard.device] = count.get(shard.device, 0) + shard.data.nbytes
    return max(count.values()) / sum(leaf.nbytes for leaf in leaves)


def on_meshes(workdir):
    """{parts: what a seed trains and measures, in parts or whole; and how much of it a device holds}."""
    found = {}
    for devices in (1, 4, 2):
        run = prepared(devices, f'{workdir}/{devices}')
        start = stages.initial(run, 'pretrain', 0)
        trained = seeds.train_seed(run, 0)
        record = seeds.evaluate_seed(run, 0)
        found[devices] = {
            'start': norms(start),
            'held': held(start['params']),
            'mesh': dict(run.mesh.shape),
            'pretrained': norms(trained.pretrained),
            'ways': {way: norms(trained.ways[way].variables) for way in WAYS},
            'loss': {way: record['ways'][way]['test']['loss'] for way in WAYS},
        }
    return found


def test_in_parts_it_is_the_same_run(tmp_path):
    """Four devices with whole weights, with two copies in halves and with one in quarters: a momentum teacher, a frozen
    backbone, labelled and unlabelled images, and players in turns."""
    found = on_four(on_meshes, tmp_path)
    whole = found['1']
    assert [found[n]['mesh'] for n in ('1', '2', '4')] == [{'data': 4}, {'data': 2, 'fsdp': 2}, {'data': 1, 'fsdp': 4}]
    assert whole['held'] == 1.0 and found['2']['held'] < 0.55 and found['4']['held'] < 0.3
    for parts in ('2', '4'):
        assert found[parts]['start'] == pytest.approx(whole['start'], rel=1e-6)  # the draws do not depend on the mesh
        assert found[parts]['pretrained'] == pytest.approx(whole['pretrained'], rel=1e-3, abs=1e-5)
        assert found[parts]['loss'] == pytest.approx(whole['loss'], rel=1e-3)
        for way in WAYS:
            assert found[parts]['ways'][way] == pytest.approx(whole['ways'][way], rel=2e-3, abs=1e-4), way


def program_and_checkpoint(workdir):
    """What a step of weights in quarters, and of whole ones, holds and does; and a run that is continued on other
    meshes."""
    found: dict = {'memory': {}, 'spec': {}}
    for devices in (1, 4):
        run = prepared(devices, f'{workdir}/memory{devices}')
        run.config.backbone.update(width=64, depth=2)
        images = seeds.seed_images(run, 0)[1]
        run = run._replace(methods=run.methods | {'pretrain': stages.methods.pretext(run.config, run.source.shape)})
        task = stages.task(run, 'pretrain', 'pretrain', 0, images['unlabeled'], images['val'],
                           stages.initial(run, 'pretrain', 0))  # fmt: skip
        begun = loop.begin(task)
        ts = loop.TrainState(begun['progress']['step'], begun['params'], begun['state'], begun['ema'], begun['opt'])
        payload = next(iter(task.feed.payloads(0, 1, 1)))
        args = ts, begun['progress']['totals'], task.feed.arrays, payload, task.key
        compiled = task.program.run.lower(*args).compile()
        used = compiled.memory_analysis()
        operations = set(re.findall(r' (all-gather|all-reduce|reduce-scatter)(?:-start)?\(', compiled.as_text()))
        shares = {part: held(begun[part]) for part in ('params', 'ema', 'opt')}
        new, totals = task.program.run(*args)
        task.program.run(new, totals, *args[2:])
        found['memory'][devices] = {
            'state': used.argument_size_in_bytes, 'operations': sorted(operations),
            'held': shares, 'compiled': task.program.run._cache_size(),
        }  # fmt: skip
    for first, then in ((4, 2), (4, 1), (1, 4)):
        path, look = f'{workdir}/{first}to{then}', iter([False] * 3 + [True] * 10**6)
        asked, preempt.asked = preempt.asked, lambda: next(look)
        run = prepared(first, path)
        run.config.pretrain.update(evals=1)
        try:
            seeds.train_seed(run, 0)
        except preempt.Preempted:
            found['spec'][f'{first} to {then}'] = checkpoint.newest(Path(path) / 'seed0/pretrain/checkpoints')
        preempt.asked = asked
        run = prepared(then, path)
        run.config.pretrain.update(evals=1)
        found[f'{first} to {then}'] = norms(seeds.train_seed(run, 0).pretrained)
    return found


def test_it_saves_memory_and_goes_on_elsewhere(tmp_path):
    """The state of a step in quarters; a checkpoint of quarters is read as halves, as a whole, and the reverse."""
    found = on_four(program_and_checkpoint, tmp_path)
    whole, parts = found['memory']['1'], found['memory']['4']
    assert all(v == 1 for v in whole['held'].values()) and all(v < 0.3 for v in parts['held'].values())
    assert parts['state'] < 0.5 * whole['state']
    assert 'all-gather' in parts['operations'] and 'all-gather' not in whole['operations']
    assert whole['compiled'] == parts['compiled'] == 1
    assert all(0 < step < 4 for step in found['spec'].values()) and len(found['spec']) == 3
    assert found['4 to 2'] == pytest.approx(found['4 to 1'], rel=1e-3, abs=1e-5)
    assert found['1 to 4'] == pytest.approx(found['4 to 1'], rel=1e-3, abs=1e-5)


def layout(count, **fields):
    mesh = jax.sharding.AbstractMesh((1, count), ('data', 'fsdp'), axis_types=(AxisType.Auto,) * 2)
    return fsdp.Layout(mesh, **fields)


def test_rules_say_which_axis_is_split():
    shapes = {'kernel': (3, 3, 8, 16), 'bias': (16,), 'odd': (5, 7), 'square': (8, 8)}
    params = {'net': {k: jax.ShapeDtypeStruct(v, jnp.float32) for k, v in shapes.items()}}
    spec = lambda layout: {k: s.spec for k, s in layout.weights(params)['net'].items()}
    last, whole = PartitionSpec(None, None, None, 'fsdp'), PartitionSpec()
    found = spec(layout(4, least=32))
    assert found == {'kernel': last, 'bias': whole, 'odd': whole, 'square': PartitionSpec(None, 'fsdp')}
    found = spec(layout(4, rules='net/square=0; .*kernel=-2; .*=none'))
    assert found['square'] == PartitionSpec('fsdp') and found['kernel'] == PartitionSpec(None, None, 'fsdp')
    for rules, said in (('.*=0', 'splits axis 0 of net/kernel, .* over 4 devices'), ('.*kernel=auto', 'end with')):
        with pytest.raises(ValueError, match=said):
            layout(4, rules=rules).weights(params)


@pytest.mark.parametrize('rules, fits', [
    ('.*=auto', True), ('a=0; b=-1; .*=none;', True), ('', False), ('.*', False), ('.*=first', False),
    ('.*=1.5', False), ('(=1', False),
])  # fmt: skip
def test_the_field_of_the_rules(rules, fits):
    assert configs.definitions()['fsdp.rules'].fits(rules) == fits


def test_devices_that_do_not_divide_are_refused(monkeypatch):
    monkeypatch.setattr(jax, 'device_count', lambda: 4)
    with pytest.raises(ValueError, match='fsdp.devices is 3, but there are 4 devices.*use 1, 2, 4'):
        make_mesh(3)
    with pytest.raises(ValueError, match='does not divide over 2 parts .* 1 devices: use 16'):
        check_batch(17, jax.sharding.AbstractMesh((1,), ('data',)), 2)


def test_where_and_how_it_is_computed_is_no_other_run(config):
    new = config.copy_and_resolve_references()
    new.fsdp.update(devices=8, rules='.*=0', least=0)
    new.backbone.remat = True
    assert schema.changes(schema.to_dict(config), schema.to_dict(new)) == []
    new.pretrain.accumulate = 2
    assert schema.changes(schema.to_dict(config), schema.to_dict(new)) == ['pretrain.accumulate: 1 -> 2']


def test_the_page_says_what_saved_memory(config):
    assert setup.spared(None) == setup.spared(schema.to_dict(config)) == {}
    config.fsdp.devices, config.backbone.remat, config.pretrain.accumulate = 4, True, 2
    assert list(setup.spared(schema.to_dict(config)).values()) == [
        'each copy split over 4 devices', 'recomputed for the gradient', 'pretrain in 2 parts'
    ]  # fmt: skip


DRAWS = ('crop(4)|flip|color_jitter(0.4, 0.4, 0.4, 0.1)|cutout(4)', 'rand_augment(2, 10)')


def draws(workdir):
    """What is drawn for a batch on each mesh: sums by image, of augmentations, noise, masks and permutations."""
    images, found = np.random.default_rng(0).random((16, 16, 16, 3)).astype(np.float32), []
    for fsdp_devices in (1, 2, 4, 0):
        mesh = make_mesh(max(fsdp_devices, 1))
        if not fsdp_devices:  # one device
            mesh = jax.make_mesh((1,), ('data',), axis_types=(AxisType.Auto,), devices=jax.devices()[:1])

        @functools.partial(jax.jit, out_shardings=over_batch(mesh))
        def draw(x, key):
            parts = [augment.parse(spec)(key, x).sum((1, 2, 3)) for spec in DRAWS]
            parts += [jax.random.normal(key, (16, 5)).sum(1), jax.random.permutation(key, 16).astype(jnp.float32)]
            parts += [mae.masking(key, 16, 9, 3)[0].sum(1).astype(jnp.float32)]
            return jnp.stack(parts, 1)

        found.append(np.asarray(draw(jax.device_put(images, over_batch(mesh)), jax.random.key(3))).tolist())
    return found


def test_draws_do_not_depend_on_the_mesh(tmp_path):
    first, *others = on_four(draws, tmp_path)
    for other in others:
        np.testing.assert_allclose(other, first, rtol=1e-5)
