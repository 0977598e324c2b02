"""Models with random weights, which nobody has trained."""

import jax
import numpy as np
import pytest

from ssljax import config as configs
from ssljax import stages
from ssljax.model import Model
from ssljax.model_json import normalization
from ssljax.settings import schema


def random_weights(variables, seed: int):
    """Variables of the given shapes, every leaf away from what it begins at, variances positive."""
    rng = np.random.default_rng(seed)

    def draw(path, leaf):
        noise = rng.standard_normal(leaf.shape).astype(np.float32)
        match path[-1].key:
            case 'var':
                return np.exp(noise / 4)
            case 'scale':
                return 1 + noise / 4
            case 'kernel':
                return noise / np.sqrt(np.prod(leaf.shape[:-1])).astype(np.float32)
        return noise / 4

    return jax.tree_util.tree_map_with_path(draw, variables)


def model_json(config, shape, classes, method: str) -> dict:
    plain, pretrain = schema.to_dict(config), method == 'pretrain'
    return {
        'schema': schema.SCHEMA, 'classes': list(classes), 'way': method, 'method': method,
        'input': {'shape': list(shape), 'range': None, 'resize': 'none', 'normalize': normalization(config.backbone)},
        'backbone': config.backbone.name, 'seed': 0, 'chosen': 'the only one', 'metrics': {'val': {'top1': 0.5}},
        'head': None if pretrain else {k: plain['transfer'][k] for k in ('layer', 'hidden', 'pool')},
        'config': {k: plain[k] for k in ('backbone', 'transfer', 'pretrain', 'semi')} | {
            'data': {'image_size': 0, 'max_pixels': 10**8}
        }, 'data': {}, 'versions': {},
    }  # fmt: skip


@pytest.fixture(scope='session')
def make():
    """(name, shape, classes, seed, way, {field of the config: value}, options of the backbone) -> Model"""

    def made(name, shape=(8, 8, 1), classes=('a', 'b', 'c'), seed=0, method='scratch', fields=(), **options):
        config = configs.base()
        config.backbone.update(name=name, **options)
        config.update_from_flattened_dict(dict(fields))
        net = stages.classifier(config, shape, max(len(classes), 1), 'scratch' if method == 'pretrain' else method)
        batch = {'image': np.zeros((1, *shape), np.uint8), 'unlabeled_count': 1}
        variables = jax.eval_shape(lambda key: net.init(key, batch), jax.random.key(0))
        if method == 'pretrain':
            variables = {c: {'backbone': v['backbone']} for c, v in variables.items() if v.get('backbone')}
        return Model(random_weights(variables, seed), model_json(config, shape, classes, method))

    return made
