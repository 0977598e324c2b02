"""Confident learning: which labels a model contradicts."""

import dataclasses
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ssljax import trained
from ssljax.audit import given as givens
from ssljax.audit import noise


def test_the_confident_class_by_hand():
    p = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.4, 0.6], [0.1, 0.9], [0.55, 0.45]])
    labels = np.array([0, 0, 0, 1, 1, 1])
    # Thresholds: 0.6 = (0.9 + 0.7 + 0.2) / 3 and 0.65 = (0.6 + 0.9 + 0.45) / 3.
    assert noise.confident(p, labels).tolist() == [0, 0, 1, -1, 1, -1]
    # Of the first two and the fifth alone: 0.8 and 0.9.
    assert noise.confident(p, labels, np.array([1, 1, 0, 0, 1, 0], bool)).tolist() == [0, -1, -1, -1, 1, -1]


def test_of_several_confident_classes_the_most_probable_is_taken():
    p = np.array([[0.5, 0.4, 0.1], [0.3, 0.4, 0.3], [0.45, 0.5, 0.05], [0.1, 0.1, 0.8]])
    assert noise.confident(p, np.array([0, 0, 1, 2]))[[0, 2]].tolist() == [0, 1]


class Knowing:
    """A model that knows the truth, as the brightness of an image has it."""

    classes, shape, way = ('a', 'b'), (16, 16, 1), 'scratch'
    info: dict = {'input': {'shape': [16, 16, 1], 'range': None}}

    def predict(self, images):
        bright = np.array([np.mean(image) > 128 for image in images])
        return np.where(bright[:, None], [[0.05, 0.95]], [[0.95, 0.05]]).astype(np.float32)


@pytest.fixture
def data(tmp_path):
    """40 dark and 40 bright images, of which the labels of rows 3 and 70 are wrong."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 80, (80, 16, 16, 1), np.uint8) + 160 * (np.arange(80) >= 40)[:, None, None, None].astype(
        np.uint8
    )
    labels = (np.arange(80) >= 40).astype(int)
    labels[[3, 70]] = 1 - labels[[3, 70]]
    np.savez(tmp_path / 'x.npz', train_images=images, train_labels=labels)
    return dataclasses.replace(givens.read(str(tmp_path / 'x.npz')), classes=('a', 'b'))


def test_wrong_labels_are_found_and_no_others(data, monkeypatch, tmp_path):
    monkeypatch.setattr(trained, 'load', lambda run: Knowing())
    found = noise.find(data, np.ones(80, bool), str(tmp_path), 0)
    assert sorted(s.row for s in found.suspects) == [3, 70] and found.trusted
    assert {s.row: s.other for s in found.suspects} == {3: 0, 70: 1}
    assert found.accuracy == pytest.approx(78 / 80) and not any(s.seen for s in found.suspects)


def test_what_the_model_was_trained_on_is_marked(data, monkeypatch, tmp_path):
    monkeypatch.setattr(trained, 'load', lambda run: Knowing())
    (tmp_path / 'seed0').mkdir()
    (tmp_path / 'seed0/labels.txt').write_text('train[3]\ntrain[4]\n')
    found = noise.find(data, np.ones(80, bool), str(tmp_path), 0)
    assert {s.row: s.seen for s in found.suspects} == {3: True, 70: False}


def test_a_model_of_other_classes_is_refused(data, monkeypatch, tmp_path):
    monkeypatch.setattr(trained, 'load', lambda run: Knowing())
    with pytest.raises(ValueError, match="knows the classes 'a', 'b', but not 'c'"):
        noise.find(dataclasses.replace(data, classes=('a', 'c')), np.ones(80, bool), str(tmp_path), 0)


def test_the_model_of_a_run_is_asked(tmp_path):
    with zipfile.ZipFile(Path(__file__).parents[1] / 'old/run.zip') as archive:
        archive.extractall(tmp_path)
    data = givens.read('synthetic:8x8x1:3')
    found = noise.find(data, np.ones(len(data), bool), str(tmp_path), 0)
    assert found.images == 2500 and 0.7 < found.accuracy < 0.8 and 'two_stage' in found.model
    assert all(s.p_label < noise.LOW < s.p_other for s in found.suspects)
