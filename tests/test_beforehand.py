"""What would stop a later stage is found before the first one is trained."""

from types import SimpleNamespace

import jax
import pytest

from ssljax import experiment, methods
from ssljax.data import sources
from ssljax.settings import beforehand, suits
from ssljax.storage import checkpoint


def prepared(config, tmp_path, ways=None, **changes):
    config.transfer.ways = ways or config.transfer.ways
    config.update_from_flattened_dict({k.replace('__', '.'): v for k, v in changes.items()})
    return experiment.prepare(config, tmp_path, sources.load(config.data))


@pytest.mark.parametrize(
    'ways, field, value, said',
    [
        (('scratch',), 'transfer__scratch__optim__rules', 'backbone/.*=1', "rules: no optimiser rule of 'backbone"),
        (('scratch',), 'transfer__scratch__optim__decay', 'head/.*=1', 'transfer.scratch.optim.decay: no optimiser'),
        (('frozen', 'two_stage'), 'transfer__second__optim__rules', 'head/.*=1', 'transfer.second.optim.rules: no'),
        (('fixmatch',), 'semi__optim__rules', 'head/.*=1', 'semi.optim.rules: no optimiser rule'),
        (('scratch',), 'pretrain__optim__rules', 'backbone/.*=1', 'pretrain.optim.rules: no optimiser rule'),
        (('scratch',), 'transfer__pool', 'grid3', 'transfer.pool is grid3, 3x3 cells, but the map of the layer conv2'),
        (('scratch',), 'pretrain__pool', 'grid999', 'pretrain.pool is grid999, 999x999 cells'),
        (('scratch',), 'evaluate__probe_pool', 'grid5', 'evaluate.probe_pool is grid5, 5x5 cells, but the largest map'),
        (('tall',), 'variants', (('tall', 'frozen', (('transfer.layer', 'conv2'),)),), 'pretrain.layer=conv1 leaves'),
        (('big',), 'variants', (('big', 'scratch', (('transfer.pool', 'grid9'),)),), 'transfer.pool is grid9'),
        (('odd',), 'variants', (('odd', 'fixmatch', (('semi.optim.rules', 'x=1'),)),), 'semi.optim.rules of odd'),
    ],
)  # fmt: skip
def test_a_later_stage_that_cannot_be_trained(config, tmp_path, ways, field, value, said):
    config.semi.strong = 'flip'
    if ways == ('tall',):
        config.pretrain.layer = config.transfer.layer = 'conv1'
    with pytest.raises(ValueError) as error:
        prepared(config, tmp_path, ways, **{field: value})
    assert said in str(error.value)


@pytest.mark.parametrize(
    'method, pool, said',
    [
        ('rotation', 'avg', ''), ('simclr', 'avg', ''), ('gan', 'avg', ''), ('simclr', 'grid2', ''),
        ('simclr', 'flatten', 'on which simclr cannot be trained with pretrain.pool=flatten: set --config.pretrain.po'),
        ('autoencoder', 'avg', 'pretrain.augment turns images of 8x8 pixels into 6x6, on which autoencoder cannot'),
        ('triplet', 'avg', 'on which triplet cannot be trained: leave out size=.'),
        ('scratch', 'avg', ''), ('sgan', 'avg', ''), ('mean_teacher', 'avg', ''),
        ('scratch', 'flatten', 'transfer.augment turns images of 8x8 pixels into 6x6, on which scratch cannot be'),
        ('fixmatch', 'avg', 'on which fixmatch cannot be trained: leave out size=, or give all pipelines the same.'),
    ],
)  # fmt: skip
def test_views_of_another_size(config, tmp_path, method, pool, said):
    part = 'pretrain' if method in methods.PRETEXT else 'transfer'
    config.semi.strong, config.transfer.pool = 'flip', 'avg'
    config[part].update(pool=pool, augment='random_resized_crop((0.2, 1.0), size=6)')
    if part == 'pretrain':
        config.pretrain.method = method
    ways = ('scratch', 'frozen') if part == 'pretrain' else (method,)
    if not said:
        prepared(config, tmp_path, ways)
        return
    with pytest.raises(ValueError) as error:
        prepared(config, tmp_path, ways)
    assert said in str(error.value)


def test_a_checkpoint_of_another_architecture(config, tmp_path):
    config.transfer.ways = ('scratch',)
    config.evaluate.update(knn=0, probe=False)
    experiment.run(config, tmp_path / 'a')
    given = checkpoint.load_variables(tmp_path / 'a')[0]
    shapes = checkpoint.load_shapes(tmp_path / 'a')
    like = lambda tree: jax.tree.map(lambda leaf: (leaf.shape, str(leaf.dtype)), tree)  # noqa: E731
    assert like(shapes) == like(given) and not any(hasattr(leaf, '__array__') for leaf in jax.tree.leaves(shapes))
    with pytest.raises(ValueError, match='a different architecture'):
        prepared(config, tmp_path / 'b', ('scratch', 'frozen'), backbone__width=24,
                 transfer__checkpoint=str(tmp_path / 'a'))  # fmt: skip


def test_what_is_looked_at(config, tmp_path):
    run = prepared(config, tmp_path, pretrain__pool='grid2', transfer__pool='grid2')
    assert beforehand.kinds(run) == ['pretrain', 'frozen', 'scratch', 'finetune', 'second']
    assert {k: v.shape for k, v in beforehand.maps(config.backbone, (8, 8, 1)).items()} == {
        'conv1': (1, 4, 4, 16), 'conv2': (1, 2, 2, 16)
    }  # fmt: skip


def test_batches_of_variants_and_of_labelled_images(config):
    mesh = SimpleNamespace(size=4)
    config.evaluate.batch_size = config.transfer.batch_size = 16
    config.variants = (('small', 'scratch', (('transfer.batch_size', 6),)),)
    suits.check_batches(config, (8, 8, 1), mesh)
    config.transfer.ways = ('small',)
    with pytest.raises(ValueError, match='transfer.batch_size of small: a batch of 6'):
        suits.check_batches(config, (8, 8, 1), mesh)
    config.transfer.ways = ('fixmatch',)
    config.semi.labeled_batch_size = 6
    with pytest.raises(ValueError, match='semi.labeled_batch_size of fixmatch: a batch of 6'):
        suits.check_batches(config, (8, 8, 1), mesh)
