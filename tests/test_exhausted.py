"""Memory that runs out is one message that says what to make smaller."""

import errno

import jax
import numpy as np
import pytest

from ssljax import experiment
from ssljax.devices import exhausted


@pytest.mark.parametrize(
    'error, size',
    [
        (jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory allocating 268435456 bytes.'), '0.25 GiB'),
        (jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory while trying to allocate 1.5GiB.'), '1.5 GiB'),
        (MemoryError(), 'of memory. Reduce'),
        (MemoryError('Unable to allocate 3.21 GiB for an array with shape (1,)'), '3.21 GiB'),
        (OSError(errno.ENOMEM, 'Cannot allocate memory'), 'of memory. Reduce'),
    ],
)
def test_what_is_said(config, tmp_path, monkeypatch, error, size):
    def fails(*_):
        raise error

    monkeypatch.setattr(experiment.sources, 'load', fails)
    with pytest.raises(ValueError) as said:
        experiment.run(config, tmp_path)
    assert size in str(said.value) and 'pretrain.batch_size (16)' in str(said.value)


def test_a_real_one(config):
    with pytest.raises(ValueError, match='is out of memory'), exhausted.explained(config):
        np.ones(2**55)


def test_other_errors_stay(config):
    for error in (jax.errors.JaxRuntimeError('INTERNAL: x'), OSError(errno.ENOENT, 'x')):
        with pytest.raises(type(error)), exhausted.explained(config):
            raise error
