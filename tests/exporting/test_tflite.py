"""A network in TFLite computes what the model does."""

import importlib.util

import numpy as np
import pytest

import ssljax

if importlib.util.find_spec('tensorflow') is None:
    pytest.skip('tensorflow is in the extra `tfds`', allow_module_level=True)

VIT = {'width': 16, 'depth': 1, 'heads': 2, 'token': True, 'gelu': 'exact'}


@pytest.mark.parametrize(
    'name, shape, fields, options',
    [
        ('cnn', (8, 8, 1), {}, {}),
        ('vit', (8, 12, 3), {}, VIT),
        ('mobilenet', (9, 8, 1), {'transfer.layer': 'conv2'}, {}),
        ('resnet18', (16, 16, 3), {'transfer.layer': 'stem'}, {'stem': 'imagenet'}),
    ],
)
def test_predictions_are_those_of_the_model(make, name, shape, fields, options, tmp_path):
    model = make(name, shape, fields=fields, **options)
    again = ssljax.load(model.export(tmp_path / 'x.tflite'))
    images = np.random.default_rng(1).integers(0, 256, (4, *shape), np.uint8)
    expected = model.predict(images)
    assert expected.std() > 1e-3
    np.testing.assert_allclose(again.predict(images), expected, atol=1e-5)
    np.testing.assert_allclose(again.predict(images[:1]), expected[:1], atol=1e-5)


def test_features_are_those_of_the_model(make, tmp_path):
    model = make('cnn', (8, 8, 1))
    again = ssljax.load(model.export(tmp_path / 'x.tflite', features=True))
    images = np.random.default_rng(1).integers(0, 256, (4, 8, 8, 1), np.uint8)
    np.testing.assert_allclose(again.embed(images), model.embed(images), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(again.predict(images), model.predict(images), atol=1e-5)
