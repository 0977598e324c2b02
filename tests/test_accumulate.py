"""A batch in parts has the gradient of the whole where the loss is a mean over images, and is refused elsewhere."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax import accumulate, core, experiment, methods, seeds
from ssljax.data import sources
from ssljax.methods import supervised
from ssljax.program import make_program
from tests import steps

KEY = jax.random.key(1)
IMAGES = np.random.default_rng(0).integers(0, 256, (16, 16, 16, 3)).astype(np.uint8)
PLACES = np.arange(16, dtype=np.int32)
BATCH = {'image': IMAGES, 'label': PLACES % 3, 'index': PLACES, 'progress': np.float32(0.5)}
UNLABELED = {'unlabeled': IMAGES[::-1], 'unlabeled_index': PLACES, 'unlabeled_label': PLACES % 3}
JOINT = BATCH | UNLABELED | {'unlabeled_count': np.int32(16)}
ALIKE = ('rotation', 'byol', 'simsiam', 'dino', 'autoencoder', 'context_encoder', 'mae', 'jigsaw', 'jigsaw_grid')
ALIKE += ('relative_position', 'exemplar', 'rotation + 0.5*byol', 'pseudo_label', 'pi_model', 'mean_teacher', 'uda')
ALIKE += ('fixmatch', 'noisy_student', 's4l_rotation')


def made(config, name):
    """The Method of a name, for images of 16 x 16."""
    config.pretrain.augment, config.semi.strong = 'crop(2)|flip', 'cutout(4)'
    config.pretrain.method, config.pretrain.exemplar.classes = name, 16
    config.backbone.update(width=8, depth=1)
    if name == 'mae':
        config.backbone.update(name='vit', width=8, depth=1, heads=2)
    if name in methods.SEMI:
        return methods.semi(name, config, IMAGES.shape[1:], 3)
    return methods.pretext(config, IMAGES.shape[1:])


def gradients(method, batch, parts, params, state, ema=None):
    """(gradient, state, metrics) of the whole batch, or of its parts."""
    own = core.gradient if parts == 1 else functools.partial(accumulate.gradient, parts, True)
    return steps.compiled(lambda p, s, e, b: own(method.loss, p, {}, s, e, b, KEY))(params, state, ema, batch)


def close(a, b, rtol=1e-4):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=rtol, atol=1e-5), a, b)


@pytest.mark.parametrize('parts', [2, 8])
def test_without_batchnorm_it_is_the_gradient_of_the_whole_batch(config, parts):
    """Rotation draws nothing where all rotations are shown."""
    config.backbone.update(name='mlp', norm='none')
    method = methods.pretext(config, IMAGES.shape[1:])
    params, state = steps.variables(method, BATCH, KEY)
    assert not state.get('batch_stats', {}).get('backbone')
    (a, _, found), (b, _, wanted) = (gradients(method, BATCH, n, params, state) for n in (parts, 1))
    close(a, b)
    close(found, wanted)


def test_a_frozen_backbone_has_the_gradient_of_the_whole_batch(config):
    method = supervised.make(config, 3, frozen=True)
    params, state = steps.variables(method, BATCH, KEY)
    assert state['batch_stats']['backbone']
    (a, new, _), (b, old, _) = (gradients(method, BATCH, n, params, state) for n in (4, 1))
    close(a, b)
    close(new, old)


def test_what_becomes_of_batchnorm_statistics(config):
    """The running mean is that of the whole batch; the running variance lacks what lies between the parts."""
    method = methods.pretext(config, IMAGES.shape[1:])
    params, state = steps.variables(method, BATCH, KEY)
    parts, whole = (gradients(method, BATCH, n, params, state)[1]['batch_stats']['backbone'] for n in (4, 1))
    first = next(iter(whole))
    close(parts[first]['norm']['mean'], whole[first]['norm']['mean'])
    assert (parts[first]['norm']['var'] <= whole[first]['norm']['var'] + 1e-6).all()


@pytest.mark.parametrize('name', ALIKE)
def test_the_parts_are_averaged(config, name):
    """Gradient, state and metrics are those of the parts, computed one by one."""
    method, batch = made(config, name), JOINT if name in methods.SEMI else BATCH
    assert method.per_image
    params, state = core.split(steps.compiled(lambda key: method.init(key, batch))(KEY))
    ema = params if method.ema_decay else None
    found = gradients(method, batch, 2, params, state, ema)
    rows = lambda i: {k: v if k in accumulate.WHOLE else v[i::2] for k, v in batch.items()}
    one = steps.compiled(lambda b, key: core.gradient(method.loss, params, {}, state, ema, b, key))
    a, b = (one(rows(i), jax.random.fold_in(KEY, i)) for i in range(2))
    close(found[:2], jax.tree.map(lambda x, y: (x + y) / 2, a[:2], b[:2]), rtol=1e-3)
    close(found[2], jax.tree.map(jnp.add, a[2], b[2]), rtol=1e-3)


def test_methods_that_look_at_the_batch_are_refused(config, tmp_path):
    """Each of those that are not in ALIKE; and mixup, with the field and what to do."""
    source = sources.load(config.data)
    for name in (*methods.PRETEXT, *methods.SEMI):
        config.data.channels = 3
        if name not in ALIKE and name != 'gan':
            assert not made(config, name).per_image, name
    config.backbone.update(name='cnn', width=0, depth=0)
    config.pretrain.update(method='simclr', accumulate=2)
    with pytest.raises(ValueError, match=r'pretrain.accumulate is 2, but simclr compares, .*accumulate=1'):
        experiment.prepare(config, tmp_path / 'a', source)
    config.pretrain.update(method='rotation')
    config.transfer.update(mixup=0.2, ways=('frozen',))
    config.transfer.frozen.accumulate = 2
    with pytest.raises(ValueError, match=r'transfer.frozen.accumulate is 2, but mixup'):
        experiment.prepare(config, tmp_path / 'b', source)
    config.transfer.mixup, config.pretrain.accumulate = 0.0, 3
    with pytest.raises(ValueError, match=r'pretrain.batch_size: a batch of 16 does not divide over 3 parts'):
        experiment.prepare(config, tmp_path / 'c', source)


def test_a_run_in_parts_equals_the_plain_run(config, tmp_path):
    """With a network without BatchNorm; by the loop, several steps a call."""
    config.backbone.update(name='mlp', norm='none')
    config.steps_per_call = 2
    config.transfer.ways = ('scratch', 'frozen')
    found = {}
    for parts in (1, 4):
        config.pretrain.accumulate = config.transfer.frozen.accumulate = config.transfer.scratch.accumulate = parts
        run = experiment.prepare(config, tmp_path / str(parts), sources.load(config.data), quiet=True)
        trained = seeds.train_seed(run, 0)
        found[parts] = [trained.pretrained, *(trained.ways[way].variables for way in trained.ways)]
    close(found[1], found[4], rtol=1e-3)


def test_it_takes_less_memory(config, tmp_path):
    config.pretrain.update(batch_size=256)
    config.backbone.update(name='wrn28_2', width=8, depth=1, conv='xla')
    method, used = methods.pretext(config, (8, 8, 3)), []
    rows = np.zeros((1, 256, 8, 8, 3), np.uint8)
    payload = {'image': rows, 'label': np.zeros((1, 256), np.int32), 'index': np.zeros((1, 256), np.int32)}
    for parts in (1, 8):
        config.pretrain.accumulate = parts
        mesh = jax.make_mesh((1,), ('data',), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:1])
        program = make_program(
            method, config.pretrain, steps=10, get=lambda arrays, item: item, mesh=mesh, steps_per_call=1
        )
        start = lambda key: core.init_state(method, program.tx, method.init(key, {'image': rows[0]}))
        ts, batch = jax.eval_shape(start, KEY), jax.tree.map(lambda a: a[0], payload)
        metrics = jax.eval_shape(program.step, ts, batch, KEY)[1]
        totals = {'sums': metrics, 'bad': jax.ShapeDtypeStruct((), jnp.int32)}
        compiled = program.run.lower(ts, totals, {}, payload, KEY).compile()
        used.append(compiled.memory_analysis().temp_size_in_bytes)
    assert used[1] < used[0] / 2, used
