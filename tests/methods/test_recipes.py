"""Every task of the recipes builds and its step fits the images, without compiling anything."""

import importlib

import jax
import jax.numpy as jnp
import pytest

from ssljax import methods
from ssljax.core import split
from ssljax.settings import checks

SHAPES = {'pretext_fashion_mnist': (28, 28, 1), 'pretext_cifar10': (32, 32, 3)}

SEMI = {
    'sgan_circles': (1, 1, 2),
    'sgan_fashion_mnist': (28, 28, 1),
    'sgan_cifar10': (32, 32, 3),
    'sgan_cats_dogs': (224, 224, 3),
    'semi_fashion_mnist': (28, 28, 1),
    'mobilenet_cifar10': (32, 32, 3),
    'fixmatch_cifar10': (32, 32, 3),
    'medmnist': (28, 28, 1),
}


def recipe(name):
    return importlib.import_module(f'configs.{name}')


@pytest.mark.parametrize('name, task', [(name, task) for name in SHAPES for task in recipe(name).TASKS])
def test_a_task_builds_and_steps(name, task):
    config, shape = recipe(name).get_config(task), SHAPES[name]
    checks.check(config)
    method = methods.pretext(config, shape)
    image = jax.ShapeDtypeStruct((8, *shape), jnp.uint8)
    row = jax.ShapeDtypeStruct((8,), jnp.int32)
    batch = {'image': image, 'label': row, 'index': row, 'progress': jax.ShapeDtypeStruct((), jnp.float32)}
    variables = jax.eval_shape(method.init, jax.random.key(0), batch)
    params, state = split(variables)
    loss, (new, metrics) = jax.eval_shape(method.loss, params, state, params, batch, jax.random.key(1))
    assert loss.shape == () and 'loss' in metrics
    same = lambda tree: jax.tree.map(lambda x: (x.shape, x.dtype), tree)
    assert same(new) == same(state)
    if method.show:
        columns = jax.eval_shape(method.show, params, state, image)
        assert all(x.shape[0] == 8 and x.ndim == 4 for x in columns.values())


@pytest.mark.parametrize('name', SEMI)
def test_a_semi_supervised_recipe_builds_and_steps(name):
    config, shape = recipe(name).get_config(), SEMI[name]
    for way in set(config.transfer.ways) & set(methods.SEMI):
        checks.check(config)
        method = methods.semi(way, config, shape, 2)
        image, row = jax.ShapeDtypeStruct((8, *shape), jnp.uint8), jax.ShapeDtypeStruct((8,), jnp.int32)
        batch = {'image': image, 'unlabeled': image, 'label': row, 'index': row, 'progress': 0.5}
        batch |= {'unlabeled_label': row, 'unlabeled_index': row, 'unlabeled_count': 100}
        variables = jax.eval_shape(method.init, jax.random.key(0), batch)
        params, state = split(variables)
        for _, loss in method.turns or (('', method.loss),):
            value, _ = jax.eval_shape(loss, params, state, params, batch, jax.random.key(1))
            assert value.shape == ()
        if method.sample:
            assert jax.eval_shape(method.sample, params, state).shape[1:] == shape
        assert jax.eval_shape(method.predict, params, state, image).shape == (8, 2)


def test_every_task_has_a_recipe():
    gray = {'colorization'}
    assert set(recipe('pretext_cifar10').TASKS) >= set(methods.PRETEXT)
    assert set(recipe('pretext_fashion_mnist').TASKS) >= set(methods.PRETEXT) - gray


@pytest.mark.parametrize('name', SHAPES)
def test_an_unknown_task_names_the_nearest(name):
    with pytest.raises(ValueError, match='did you mean simclr'):
        recipe(name).get_config('simclar')
