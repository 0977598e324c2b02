"""What is computed again for the gradient is the same, and takes less memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax import config as configs
from ssljax import models
from ssljax.devices.platform import compiler_options
from tests import steps


def gradient(remat: bool, **options):
    """(compiled (params, state, x) -> (loss, new state), gradients; arguments) of a network of 32 x 32 images."""
    config = configs.base().backbone
    config.update(conv='xla', remat=remat, **options)
    net, x = models.build(config), jax.random.normal(jax.random.key(0), (16, 32, 32, 3))
    variables = steps.compiled(lambda key: net.init(key, x[:1], train=False))(jax.random.key(1))
    params, state = variables['params'], {k: v for k, v in variables.items() if k != 'params'}

    def loss(params, state, x):
        layers, new = net.apply({'params': params, **state}, x, train=True, mutable=list(state) or False), state
        layers, new = layers if state else (layers, new)
        return jnp.mean(jnp.square(layers[list(layers)[-1]] - 1.0)), new

    make = jax.jit(jax.value_and_grad(loss, has_aux=True), compiler_options=compiler_options(remat))
    return make.lower(params, state, x).compile(), (params, state, x)


@pytest.mark.parametrize(
    'options, share',
    [
        (dict(name='resnet18', stem='cifar'), 0.75),
        (dict(name='wrn28_2', width=8), 0.75),
        (dict(name='vit', width=32, depth=6, heads=4), 0.5),
        (dict(name='cnn'), None),
    ],
    ids=lambda value: value.get('name') if isinstance(value, dict) else None,
)
def test_the_gradient_stays_and_the_memory_shrinks(options, share):
    (plain, given), (again, same) = (gradient(remat, **options) for remat in (False, True))
    jax.tree.map(np.testing.assert_array_equal, given, same)
    found, wanted = again(*same), plain(*given)
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted)):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * float(jnp.abs(b).max()) + 1e-9)
    if share:
        used, before = (program.memory_analysis().temp_size_in_bytes for program in (again, plain))
        assert used < share * before, (used, before)


def test_evaluation_computes_nothing_twice():
    config = configs.base().backbone
    config.update(name='vit', width=8, depth=2, heads=2, remat=True)
    net, x = models.build(config), jnp.zeros((1, 8, 8, 3))
    variables = net.init(jax.random.key(0), x, train=False)
    for train in (False, True):
        said = str(jax.make_jaxpr(lambda x: net.apply(variables, x, train=train))(x))
        assert ('checkpoint' in said or 'remat' in said) == train
