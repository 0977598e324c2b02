"""Fixtures of the tests of data."""

import time

import pytest

from ssljax.data import decoders


@pytest.fixture
def processes(monkeypatch):
    """The queue of the processes that decode: two, ready."""
    monkeypatch.setattr(decoders, 'number', lambda: 2)
    decoders._processes.cache_clear()
    idle = decoders._processes()
    while idle.qsize() < 2:
        time.sleep(0.01)
    yield idle
    while not idle.empty():
        idle.get()._process.communicate()
    decoders._processes.cache_clear()
