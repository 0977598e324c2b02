"""What the README shows in Python runs, on a folder of a few images."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ssljax

ROOT = Path(__file__).parents[1]
SHORT = """
config.update(seeds=(0,))
config.pretrain.update(epochs=0.0, steps=4, evals=1, watch=0)
config.transfer.frozen.update(epochs=0.0, steps=4, evals=1)
config.transfer.scratch.update(epochs=0.0, steps=4, evals=1)
config.transfer.second.update(epochs=0.0, steps=4, evals=1)
config.semi.update(epochs=0.0, steps=4, evals=1)
config.evaluate.update(figures=False, probe=False)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """`photos` with two classes and unlabelled ones, and `new`, in the current directory."""
    rng = np.random.default_rng(0)
    for name, count in (('photos/cat', 60), ('photos/dog', 60), ('photos/unlabeled', 60), ('new', 2)):
        (tmp_path / name).mkdir(parents=True)
        for i in range(1, count + 1):
            x = rng.integers(0, 128, (40, 36, 3)) + 64 * ('dog' in name)
            Image.fromarray(x.astype(np.uint8)).save(tmp_path / name / f'{i}.jpg')
    monkeypatch.chdir(tmp_path)


def test_the_example_of_training_and_predicting(folder):
    text = (ROOT / 'README.md').read_text()
    (code,) = (b for b in re.findall(r'```python\n(.*?)```', text, re.S) if 'ssljax.load(' in b)
    assert len(code.strip().splitlines()) <= 10
    first, rest = code.split('ssljax.train', 1)
    names = {}
    exec(first + SHORT + 'ssljax.train' + rest, names)
    assert names['probabilities'].shape == (2, 2) and np.allclose(names['probabilities'].sum(1), 1, atol=1e-5)
    again = ssljax.load('photo_model')
    assert again.classes == ('cat', 'dog') and again.chosen == names['model'].chosen
    assert np.allclose(again.predict(['new/1.jpg', 'new/2.jpg']), names['probabilities'], atol=1e-6)
    assert np.allclose(again.embed('new/1.jpg'), names['features'], atol=1e-6)


def test_a_recipe_takes_fields_and_refuses_others():
    config = ssljax.recipe('quickstart', transfer__second__optim__lr=0.5, seeds=(3,))
    assert config.transfer.second.optim.lr == 0.5 and config.seeds == (3,) and config.name == 'quickstart'
    assert ssljax.recipe('pretext_cifar10', 'jigsaw').pretrain.method == 'jigsaw'
    for fields, said in (
        (dict(data__lables='50'), 'did you mean data.labels'),
        (dict(data__labels=50), 'data.labels'),
        (dict(seeds=(1.5,)), 'seeds'),
    ):
        with pytest.raises(ValueError, match=said):
            ssljax.recipe('quickstart', **fields)
    with pytest.raises(ValueError, match='did you mean quickstart'):
        ssljax.recipe('quikstart')


def test_data_can_be_looked_at(folder):
    source = ssljax.load_data('folder:photos', image_size=16)
    assert source.shape == (16, 16, 3) and source.classes == ('cat', 'dog') and len(source.unlabeled) == 60
    assert len(source.train) + len(source.test) == 120 and source.train.read(np.arange(2)).shape == (2, 16, 16, 3)
