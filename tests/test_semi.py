"""A whole run of a semi-supervised way beside its control."""

import numpy as np
import pytest

from ssljax import experiment
from ssljax.data import feed as feeds
from ssljax.data import sources
from ssljax.evals import gallery
from ssljax.log import read


@pytest.fixture
def tiny(config):
    config.data.source = 'circles'
    config.data.labels = '4/class'
    config.backbone.update(name='mlp', width=16, depth=2, norm='none')
    config.pretrain.method = 'none'
    config.transfer.ways = ('scratch', 'sgan')
    config.transfer.pool = 'flatten'
    config.transfer.scratch.update(steps=6, evals=2)
    config.semi.update(epochs=0.0, steps=8, evals=2, batch_size=32)
    config.semi.sgan.update(noise=4, width=4)
    config.evaluate.update(knn=0, probe=False, figures=True)
    return config


def test_a_run_has_both_ways_and_keeps_what_was_generated(tiny, tmp_path):
    result = experiment.run(tiny, tmp_path)
    assert set(result['summary']) == {'scratch', 'sgan'} and set(result['versus_scratch']) == {'sgan'}
    assert result['seeds'][0]['ways']['sgan']['steps'] == 8
    assert '8 steps of 32 unlabelled images beside labelled ones' in result['protocol']
    kept = gallery.collect(tmp_path / 'seed0/sgan')
    assert kept['steps'].tolist() == [4, 8] and kept['boundary'].shape == (2, 64, 64, 2)
    assert kept['samples'].shape == (2, 256, 1, 1, 2) and (kept['samples'][0] != kept['samples'][1]).any()
    np.testing.assert_allclose(kept['boundary'].sum(-1), 1.0, rtol=1e-5)
    rows = read(tmp_path / 'seed0/sgan/metrics.jsonl')
    assert {'train/supervised', 'train/discriminator', 'train/generator', 'train/d_real'} <= set(rows[0])
    assert all(0 < r['val/d_heldout'] < 1 for r in rows if 'val/top1' in r)
    page = (tmp_path / 'report.html').read_text()
    assert 'Semi-supervised GAN' in page and 'Points in the plane' in page


def test_the_joint_feed_is_its_two_feeds(tiny, mesh):
    split = sources.load(tiny.data).train
    labeled, unlabeled = split.take(np.arange(5)), split.take(np.arange(100, 150)).hide()
    one, two = (feeds.make_feed(s, batch_size=b, seed=3, mesh=mesh) for s, b in ((labeled, 4), (unlabeled, 16)))
    joint = feeds.JointFeed(one, two)
    assert (joint.n, joint.batch_size, joint.path) == (50, 16, 'resident')
    for both, a, b in zip(joint.payloads(2, 6), one.payloads(2, 6), two.payloads(2, 6), strict=True):
        both, a, b = ({k: v[0] for k, v in both.items()}, a[0], b[0])
        batch, left, right = joint.get(joint.arrays, both), one.get(one.arrays, a), two.get(two.arrays, b)
        assert np.array_equal(batch['unlabeled'], right['image'])
        assert all(np.array_equal(batch[k], left[k]) for k in ('image', 'label', 'index'))


def test_all_of_few_labels_are_one_batch(config, mesh):
    assert experiment.labeled_batch(config, 8, mesh) == 8
    assert experiment.labeled_batch(config, 10**6, mesh) == config.semi.batch_size
    config.semi.labeled_batch_size = 20
    assert experiment.labeled_batch(config, 8, mesh) == 20


def test_an_unknown_way_names_the_nearest(config, tmp_path):
    config.transfer.ways = ('scratch', 'sgn')
    with pytest.raises(ValueError, match='did you mean sgan'):
        experiment.run(config, tmp_path)


def test_label_sets_are_kept_listed_and_chosen_by_features(config, tmp_path):
    config.pretrain.update(method='rotation', augment='')
    config.transfer.ways = ()
    config.evaluate.update(knn=0, probe=False)
    experiment.run(config, tmp_path / 'first')
    assert not (tmp_path / 'first/seed0/labels.txt').exists()  # synthetic images have no names
    config.pretrain.method = 'none'
    config.data.update(choose='typical', labels='9', features=str(tmp_path / 'first'))
    chosen = experiment.run(config, tmp_path / 'typical')['seeds'][0]['partition']['labeled']
    assert chosen['count'] == 9
    again = experiment.run(config, tmp_path / 'again')['seeds'][0]['partition']['labeled']
    assert again['hash'] == chosen['hash']
    config.data.source = 'synthetic:16x16x1:3'
    with pytest.raises(ValueError, match='was trained on images of'):
        experiment.run(config, tmp_path / 'other')
    config.data.features = ''
    with pytest.raises(ValueError, match='data.features'):
        experiment.run(config, tmp_path / 'none')
