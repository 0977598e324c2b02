import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.models.heads import Head, pool_features

X = jnp.arange(2 * 5 * 5 * 3, dtype=jnp.float32).reshape(2, 5, 5, 3)


def test_pool_features():
    np.testing.assert_allclose(pool_features(X, 'avg'), X.mean((1, 2)), rtol=1e-6)
    assert pool_features(X, 'flatten').shape == (2, 75)
    grid = pool_features(X, 'grid2').reshape(2, 2, 2, 3)  # PyTorch's cells of 5 pixels: 0..2 and 2..4
    np.testing.assert_allclose(grid[:, 0, 1], X[:, :3, 2:].mean((1, 2)), rtol=1e-5)
    np.testing.assert_allclose(pool_features(X, 'grid5'), X.reshape(2, -1), rtol=1e-6)
    assert pool_features(X[:, 0, 0], 'avg').shape == (2, 3)


def test_unknown_pool_is_named():
    with pytest.raises(ValueError, match='gridN'):
        pool_features(X, 'max')


def test_heads():
    linear = Head(7).init(jax.random.key(0), X)
    assert jax.tree.map(jnp.shape, linear['params']) == {'logits': {'kernel': (3, 7), 'bias': (7,)}}
    mlp = Head(7, (8, 9), 'flatten')
    variables = mlp.init(jax.random.key(0), X, True)
    assert set(variables['params']) == {'dense1', 'norm1', 'dense2', 'norm2', 'logits'}
    logits, _ = mlp.apply(variables, X.astype(jnp.bfloat16), True, mutable=['batch_stats'])
    assert logits.shape == (2, 7) and logits.dtype == jnp.float32
