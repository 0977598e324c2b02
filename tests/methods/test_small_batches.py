"""Every method with one image a step trains with a finite loss, or says before training how many it needs; a step
leaves the types of its state."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax import methods, optim
from tests import steps

GRAY, COLOUR = (16, 16, 1), (16, 16, 3)
BACKBONE = {'mae': 'vit'}


@pytest.mark.parametrize('name', methods.PRETEXT)
def test_one_image_a_step_in_pretraining(config, key, name):
    shape = COLOUR if name == 'colorization' else GRAY
    config.pretrain.update(method=name, batch_size=1, augment='crop(1)')
    config.backbone.update(name=BACKBONE.get(name, 'cnn'), width=8, depth=1)
    if getattr(methods.PRETEXT[name], 'LEAST', 1) > 1:
        with pytest.raises(ValueError, match=f'batch_size is 1, but {name} compares.*at least 2.*batch_size=2'):
            methods.pretext(config, shape)
        config.pretrain.batch_size = 2
    size = config.pretrain.batch_size
    finite(methods.pretext(config, shape), {'image': images(size, shape)}, size, key)


@pytest.mark.parametrize('name', methods.SEMI)
def test_one_labelled_and_one_unlabelled_image_a_step(config, key, name):
    config.semi.update(batch_size=1, labeled_batch_size=1, strong='cutout(3)')
    config.transfer.augment = 'crop(1)'
    config.backbone.update(width=4, depth=1)
    if 'width' in config.semi.get(name, {}):
        config.semi[name].width = 4
    taught = jnp.array([1 if name == 'noisy_student' else -1])
    unlabeled = {'unlabeled': images(1, GRAY), 'unlabeled_label': taught, 'unlabeled_index': jnp.array([0])}
    batch = {'image': images(1, GRAY), 'unlabeled_count': jnp.array(10)} | unlabeled
    if getattr(methods.SEMI[name], 'LEAST', 1) > 1:
        with pytest.raises(ValueError, match='semi.batch_size is 1.*at least 2'):
            methods.semi(name, config, GRAY, 3)
        return
    finite(methods.semi(name, config, GRAY, 3), batch, 1, key)


def test_a_sum_has_the_least_batch_of_its_parts(config):
    config.pretrain.update(method='rotation + vicreg', batch_size=1, augment='crop(1)')
    with pytest.raises(ValueError, match='vicreg compares the images of a batch'):
        methods.pretext(config, GRAY)


def images(count, shape):
    return jnp.asarray(np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8))


def finite(method, batch, size, key):
    batch |= {'label': jnp.zeros(size, jnp.int32), 'index': jnp.arange(size)}
    tx = optim.optax.sgd(0.01)
    ts = steps.begin(method, tx, batch, key)
    new, metrics = steps.step_of(method, tx, 10)(ts, batch, key)
    assert jax.tree.map(jax.typeof, new) == jax.tree.map(jax.typeof, ts)  # or the next step would be compiled again
    assert math.isfinite(metrics['loss'][0]) and metrics['grad_norm'][0] > 0 and math.isfinite(metrics['grad_norm'][0])
