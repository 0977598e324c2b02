import inspect

import numpy as np
import pytest

from ssljax import collapse, experiment, methods
from ssljax.evals import watch
from ssljax.targets import OneClass

START = {'embedding_std': 0.4, 'embedding_rank': 20.0, 'features_std': 0.005, 'features_rank': 20.0}
FINE = START | {'features_std': 0.2}
GONE = START | {'embedding_std': 1e-5, 'embedding_rank': 3.0}


def judge(joint=True, start=START, steps=1000, least=0.01):
    return collapse.Judge(least, steps, joint, 'do something', lambda: start)


def test_a_collapse_takes_two_evaluations_in_a_row_or_the_last():
    assert judge().look(500, FINE, GONE) == ('', '')
    why, warning = judge().look(500, GONE, GONE)
    assert 'embedding collapsed' in why and why.endswith(': do something') and warning == ''
    assert 'embedding collapsed' in judge().look(1000, None, GONE)[0]
    assert judge().look(60, GONE, GONE) == ('', '')  # of 1000 steps
    assert judge(steps=12).look(12, GONE, GONE) == ('', '')  # BatchNorm has seen little
    assert judge(least=0).look(500, GONE, GONE) == ('', '')
    assert judge().look(500, {}, {'loss': 1.0}) == ('', '')  # too few images for a spread


def test_features_that_were_as_near_before_training_have_not_collapsed():
    dark = {'features_std': 0.004, 'features_rank': 15.0}
    assert judge(joint=False).look(500, dark, dark) == ('', '')
    gone = {'features_std': 0.001, 'features_rank': 15.0}
    why, warning = judge(joint=False).look(500, gone, gone)
    assert why == '' and 'features collapsed' in warning and 'so training continues' in warning
    line = GONE | {'embedding_std': 0.3, 'embedding_rank': 1.01}
    assert 'rank 1.01' in judge().look(500, line, line)[0]


def test_every_pretext_task_says_what_helps():
    for name, module in methods.PRETEXT.items():
        assert len(module.REMEDY) > 10, name
    assert 'temperature' in methods.PRETEXT['simclr'].REMEDY and 'predictor' not in methods.PRETEXT['simclr'].REMEDY
    named = {n for n in methods.PRETEXT if f'{n!r}' in inspect.getsource(collapse)}
    assert not named


@pytest.mark.parametrize('val', ['3', '60'])
def test_a_spread_is_never_of_a_few_images(config, tmp_path, val):
    config.data.val = val
    config.transfer.ways = ()
    config.evaluate.update(knn=5, probe=False)
    result = experiment.run(config, tmp_path)
    found = result['seeds'][0]['pretrain']['val']
    assert 'knn' in found and found['features_rank'] > 3  # of three images it would be at most two


def test_dark_images_pretrain(config, tmp_path):
    """Nearly black images of small differences, on which an untrained network's features hardly differ."""
    rng = np.random.default_rng(0)
    images = np.where(rng.random((300, 8, 8, 1)) < 0.1, rng.integers(0, 5, (300, 8, 8, 1)), 0).astype(np.uint8)
    labels = np.arange(300) % 3
    np.savez(tmp_path / 'dark.npz', train_images=images, train_labels=labels)
    config.data.source = f'npz:{tmp_path}/dark.npz'
    config.transfer.ways = ()
    config.evaluate.update(knn=0, probe=False)
    result = experiment.run(config, tmp_path / 'run')
    pretrain = result['seeds'][0]['pretrain']
    assert pretrain['steps'] == 12 and 'warnings' not in pretrain and 'stopped' not in result['seeds'][0]


def test_the_watch_gives_no_spread_of_too_few_images(config):
    from ssljax.data import sources
    from ssljax.devices.sharding import make_mesh

    source = sources.load(config.data)
    mesh, method = make_mesh(), methods.pretext(config, source.shape)
    see = watch.compiled(config, method, source.shape)
    import jax

    variables = method.init(jax.random.key(0), {'image': np.zeros((1, *source.shape), np.uint8)})
    few = source.train.take(np.arange(5))
    fields = {'k': 3, 'targets': OneClass(3), 'batch_size': 8, 'mesh': mesh}
    assert set(watch.look(see, variables, few, few, few, **fields)) == {'knn'}
    many = source.train.take(np.arange(20))
    found = watch.look(see, variables, few, few, many, **fields)
    assert found['features_rank'] == watch.look(see, variables, few, many, few, **fields)['features_rank']
