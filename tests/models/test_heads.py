import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.models.heads import Head, MinibatchFeatures, Projector, Prototypes, pool_features

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


def test_projector():
    variables = Projector((8, 4), 'flatten', last_norm=True).init(jax.random.key(0), X)
    assert jax.tree.map(jnp.shape, variables['params']) == {
        'dense1': {'kernel': (75, 8)},
        'norm1': {'scale': (8,), 'bias': (8,)},
        'embedding': {'kernel': (8, 4)},
    }
    assert set(Projector((4,)).init(jax.random.key(0), X)['params']) == {'embedding'}
    x = jax.random.normal(jax.random.key(1), (64, 5))
    mlp = Projector((8, 4), last_norm=True)
    z, _ = mlp.apply(mlp.init(jax.random.key(0), x), x.astype(jnp.bfloat16), True, mutable=['batch_stats'])
    assert z.shape == (64, 4) and z.dtype == jnp.float32
    np.testing.assert_allclose(z.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(z.std(0), 1, atol=1e-3)


def test_minibatch_features_equal_a_loop():
    x = np.random.default_rng(0).normal(size=(5, 4))
    tensor = np.random.default_rng(1).normal(scale=0.3, size=(4, 3, 2))
    expected = np.zeros((5, 3))
    for i in range(5):
        for j in range(5):
            for b in range(3):
                if i != j:
                    expected[i, b] += np.exp(-np.sum(np.abs((x[i] - x[j]) @ tensor[:, b]))) / 4
    params = {'params': {'tensor': {'kernel': jnp.asarray(tensor.reshape(4, 6), jnp.float32)}}}
    module = MinibatchFeatures(3, 2)
    y = jax.jit(module.apply)(params, jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(y, np.concatenate([x, expected], 1), rtol=1e-4)
    same = module.apply(params, jnp.ones((4, 4)))  # a generator that has collapsed
    np.testing.assert_allclose(same[:, 4:], 1, rtol=1e-6)
    alone = module.apply(params, jnp.ones((1, 4)))
    np.testing.assert_allclose(alone[:, 4:], 0, atol=1e-6)
    gradient = jax.grad(lambda x: module.apply(params, x).sum())(jnp.ones((4, 4)))
    assert jnp.isfinite(gradient).all()
    with pytest.raises(ValueError, match='kernels=3, dims=0'):
        MinibatchFeatures(3, 0).init(jax.random.key(0), jnp.ones((2, 4)))


def test_a_head_with_minibatch_features():
    x = jax.random.normal(jax.random.key(1), (6, 2, 2, 3))
    head = Head(2, (4,), minibatch=7)
    variables = jax.jit(head.init)(jax.random.key(0), x)
    assert jax.tree.map(jnp.shape, variables['params']['minibatch']) == {'tensor': {'kernel': (3, 35)}}
    assert variables['params']['dense1']['kernel'].shape == (3 + 7, 4)
    whole, few = head.apply(variables, x), head.apply(variables, x[:2])
    assert not np.allclose(whole[:2], few, atol=1e-4)  # an image's logits depend on its batch


def test_prototypes_are_cosines():
    x = jnp.array([[3.0, 4.0], [0.0, 0.0]])
    cosines = Prototypes(3).apply({'params': {'kernel': jnp.array([[2.0, 0.0, -3.0], [0.0, 0.1, -4.0]])}}, x)
    np.testing.assert_allclose(cosines, [[0.6, 0.8, -1], [0, 0, 0]], atol=1e-6)


def test_prototypes_begin_as_long_as_their_sources():
    """SwAV's have length 1; DINO's are drawn as PyTorch draws a linear layer, uniform in +- 1 / sqrt(D)."""
    x = jnp.ones((1, 64))
    length = lambda **kw: jnp.linalg.norm(Prototypes(500, **kw).init(jax.random.key(0), x)['params']['kernel'], axis=0)
    np.testing.assert_allclose(length(on_sphere=True), 1, rtol=1e-5)
    drawn = Prototypes(500).init(jax.random.key(0), x)['params']['kernel']
    assert abs(drawn).max() <= 1 / 8 and float(length().mean()) == pytest.approx(3**-0.5, rel=0.02)


def test_a_prototype_turns_as_far_as_with_weight_normalisation():
    """The gradient of the scores reaches the direction alone, divided by its length (Salimans & Kingma 2016, equation
    3, with the length fixed at 1)."""
    x, v = np.random.default_rng(0).normal(size=(3, 5)), np.random.default_rng(1).normal(size=(5, 4))
    given = np.random.default_rng(2).normal(size=(3, 4))
    score = lambda kernel: jnp.sum(Prototypes(4).apply({'params': {'kernel': kernel}}, jnp.asarray(x)) * given)
    got = jax.grad(score)(jnp.asarray(v))
    z, size = x / np.linalg.norm(x, axis=1, keepdims=True), np.linalg.norm(v, axis=0)
    of_w = z.T @ given
    unit = v / size
    np.testing.assert_allclose(got, (of_w - unit * (unit * of_w).sum(0)) / size, rtol=1e-4, atol=1e-6)


def test_a_convolutional_head_and_normalised_logits():
    x = jax.random.normal(jax.random.key(0), (2, 4, 4, 3))
    made = Head(5, conv=6).init(jax.random.key(1), x)
    kernels = [made['params'][f'conv{i}']['conv']['kernel'].shape for i in (1, 2, 3)]
    assert kernels == [(3, 3, 3, 6), (1, 1, 6, 6), (1, 1, 6, 6)]
    assert Head(5, conv=6).apply(made, x).shape == (2, 5)
    normed = Head(5, norm='weight')
    made = normed.init(jax.random.key(1), x)
    kernel, (scale,) = made['params']['logits']['kernel'], jax.tree.leaves(made['params']['norm'])
    features = x.mean((1, 2))
    want = features @ (kernel / jnp.linalg.norm(kernel, axis=0) * scale) + made['params']['logits']['bias']
    np.testing.assert_allclose(normed.apply(made, x), want, rtol=1e-4, atol=1e-5)
