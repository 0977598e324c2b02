"""The recipe of MedMNIST, on small sets in its layout: what is read, and which images have labels."""

import json

import numpy as np
import pytest

from ssljax import experiment
from ssljax.data import sources
from ssljax.settings import recipes
from ssljax.settings.checks import check

COUNTS = {'train': 400, 'val': 24, 'test': 40}
CHANNELS = {'tissuemnist': (), 'bloodmnist': (3,)}


@pytest.fixture
def made(tmp_path):
    """(name) -> the path of an .npz with labels uint8 [N, 1] of 8 classes; an image shows its class and its place."""

    def write(name):
        arrays = {}
        for split, n in COUNTS.items():
            labels, places = np.arange(n) % 8, np.arange(n)
            images = np.zeros((n, 28, 28, *CHANNELS[name]), np.uint8)
            images[:, :14] = (20 * labels).reshape(-1, *[1] * (images.ndim - 1))
            images[:, 27, 0], images[:, 27, 1] = (
                v.reshape(-1, *[1] * len(CHANNELS[name])) for v in (places % 256, places // 256)
            )
            arrays |= {f'{split}_images': images, f'{split}_labels': labels.astype(np.uint8)[:, None]}
        np.savez(tmp_path / f'{name}.npz', **arrays)
        return tmp_path / f'{name}.npz'

    return write


@pytest.mark.parametrize('name', CHANNELS)
def test_splits_and_labels_are_those_of_the_file(made, name):
    c = recipes.recipe(f'medmnist:{name}')
    c.data.source = f'npz:{made(name)}'
    check(c)
    source = sources.load(c.data)
    assert source.shape == (28, 28, 3 if name == 'bloodmnist' else 1) and len(source.classes) == 8
    for split, n in COUNTS.items():
        found = getattr(source, split)
        images = found.read(np.arange(len(found)))
        assert len(found) == n and found.labels.shape == (n,) and found.labels.dtype == np.int32
        np.testing.assert_array_equal(images[:, 0, 0, 0], 20 * found.labels)
        np.testing.assert_array_equal(images[:, 27, 0, 0] + 256 * images[:, 27, 1, 0].astype(int), np.arange(n))


@pytest.mark.parametrize('name, budgets', [('tissuemnist', (10, 50)), ('bloodmnist', (5, 10, 20, 50))])
def test_the_budgets_of_the_benchmarks(made, name, budgets):
    c = recipes.recipe(f'medmnist:{name}')
    assert c.study.labels == tuple(f'{n}/class' for n in budgets) and c.data.labels == c.study.labels[0]
    assert [way for way, *_ in c.published] == (['scratch', 'freematch'] if name == 'tissuemnist' else [])


def test_an_unknown_set_is_told_what_there_is():
    with pytest.raises(ValueError, match=r"no recipe for the data 'bloodmnst' \(did you mean bloodmnist"):
        recipes.recipe('medmnist:bloodmnst')


def test_a_run_uses_the_given_validation_images(made, tmp_path, config):
    c = recipes.recipe('medmnist:bloodmnist')
    c.data.source = f'npz:{made("bloodmnist")}'
    c.seeds, c.backbone, c.transfer.batch_size = (0,), config.backbone, 16
    c.data.image_size = 8
    c.transfer.ways = ('freematch',)
    c.transfer.augment, c.semi.strong = 'flip', 'flip|cutout(3)'
    c.semi.update(steps=2, evals=1, batch_size=8, labeled_batch_size=8)
    c.evaluate.update(figures=False, random=False, reference=0)
    result = experiment.run(c, tmp_path / 'run')
    assert result['seeds'][0]['ways']['freematch']['steps'] == 2
    data = json.loads((tmp_path / 'run/data.json').read_text())
    assert data['counts'] == COUNTS and data['val']
    labelled = np.load(tmp_path / 'run/seed0/partition.npz')['labeled']
    assert np.bincount(labelled % 8).tolist() == [5] * 8  # the class of a training image is its place modulo 8
