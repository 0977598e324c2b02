"""A whole run of a semi-supervised way beside its control."""

import jax
import numpy as np
import pytest

from ssljax import experiment, guard, loop
from ssljax.data import feed as feeds
from ssljax.data import sources, split
from ssljax.evals import gallery
from ssljax.processes import preempt
from ssljax.progress.log import read
from ssljax.report import embed
from ssljax.settings import checks
from ssljax.storage import checkpoint


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


@pytest.mark.usefixtures('drawn')
def test_a_run_has_both_ways_and_keeps_what_was_generated(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(embed, 'FEWEST_FOR_UMAP', 10**6)  # which takes long to compile
    result = experiment.run(tiny, tmp_path)
    assert set(result['summary']) == {'scratch', 'sgan'} and set(result['versus_scratch']) == {'sgan'}
    assert result['seeds'][0]['ways']['sgan']['steps'] == 8
    assert '8 steps of 32 unlabelled images plus labelled ones' in result['protocol']
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


@pytest.fixture
def joint(config):
    config.pretrain.method = 'none'
    config.transfer.ways = ('scratch', 'fixmatch')
    config.transfer.scratch.update(steps=6, evals=2)
    config.semi.update(epochs=0.0, steps=8, evals=2, batch_size=16, strong='cutout(3)', idle=0.0)
    config.semi.optim.update(name='sgd', lr=0.05)
    config.evaluate.update(knn=0, probe=False)
    return config


def test_a_joint_way_is_evaluated_by_its_averaged_weights_and_resumes(joint, tmp_path, monkeypatch):
    whole = experiment.run(joint, tmp_path / 'whole')
    assert whole['seeds'][0]['ways']['fixmatch']['steps'] == 8
    rows = read(tmp_path / 'whole/seed0/fixmatch/metrics.jsonl')
    assert {'train/supervised', 'train/unlabeled', 'train/coverage', 'train/top_class'} <= set(rows[0])
    asked = iter([False] * 9 + [True] * 100)  # SIGTERM in the middle of the second stage
    monkeypatch.setattr(preempt, 'asked', lambda: next(asked))
    with pytest.raises(preempt.Preempted):
        experiment.run(joint, tmp_path / 'again')
    monkeypatch.undo()
    again = experiment.run(joint, tmp_path / 'again')
    assert again['summary'] == whole['summary']


def test_a_joint_way_can_start_from_the_supervised_or_the_pretrained_weights(joint, tmp_path, monkeypatch):
    first = {}
    fit = loop.fit
    keep = lambda task, watch=None: first.update({task.title: task.variables}) or fit(task, watch)
    monkeypatch.setattr(loop, 'fit', keep)
    joint.semi.start = 'scratch'
    experiment.run(joint, tmp_path / 'supervised')
    done = checkpoint.load_variables(tmp_path / 'supervised/seed0/scratch/model')[0]
    jax.tree.map(np.testing.assert_array_equal, first['seed 0 · fixmatch']['params'], done['params'])
    joint.semi.start, joint.pretrain.method = 'pretrained', 'rotation'
    experiment.run(joint, tmp_path / 'rotation')
    done = checkpoint.load_variables(tmp_path / 'rotation/seed0/pretrain/model')[0]
    begun = first['seed 0 · fixmatch']['params']
    jax.tree.map(np.testing.assert_array_equal, begun['backbone'], done['params']['backbone'])
    joint.pretrain.method = 'none'
    with pytest.raises(ValueError, match='fixmatch, which starts from a pretrained backbone'):
        experiment.run(joint, tmp_path / 'none')


def test_students_follow_each_other(joint, tmp_path, monkeypatch):
    joint.transfer.ways = ('noisy_student', 'fixmatch')
    joint.semi.noisy_student.update(threshold=0.0, width=24)
    joint.evaluate.figures = True
    seen, make = [], feeds.JointFeed
    monkeypatch.setattr(feeds, 'JointFeed', lambda a, b: seen.append(b) or make(a, b))
    result = experiment.run(joint, tmp_path)
    assert sorted(p.name for p in (tmp_path / 'seed0').iterdir() if p.is_dir()) == [
        'fixmatch', 'noisy_student', 'noisy_student_1', 'scratch',
    ]  # fmt: skip
    shown = seen[1].payloads(0, -(-seen[1].n // seen[1].batch_size))
    labels = np.concatenate([np.asarray(item).reshape(-1, 3) for item in shown])[: seen[1].n, 1]
    assert (labels >= 0).all() and len(set(np.bincount(labels))) == 1
    kernel = checkpoint.load_variables(tmp_path / 'seed0/noisy_student/model')[0]['params']['backbone']['conv1']
    assert kernel['conv']['kernel'].shape[-1] == 24
    assert set(result['summary']) == {'noisy_student', 'fixmatch'}
    with np.load(tmp_path / 'seed0/figures.npz') as figures:
        assert figures['features_of'] == 'fixmatch'  # the larger student's features are not the run's backbone's


@pytest.mark.usefixtures('drawn')
def test_variants_are_further_ways(joint, tmp_path):
    joint.transfer.ways = ('scratch', 'longer', 'fixmatch', 'loose')
    joint.variants = (
        ('longer', 'scratch', (('transfer.scratch.steps', 9),)),
        ('loose', 'fixmatch', (('semi.fixmatch.threshold', 0.0), ('semi.steps', 5))),
    )
    ways = experiment.run(joint, tmp_path)['seeds'][0]['ways']
    assert {w: r['steps'] for w, r in ways.items()} == {'scratch': 6, 'longer': 9, 'fixmatch': 8, 'loose': 5}
    coverage = [r['train/coverage'] for r in read(tmp_path / 'seed0/loose/metrics.jsonl') if 'train/coverage' in r]
    assert coverage == [1.0] * len(coverage)
    page = (tmp_path / 'report.html').read_text()
    assert 'semi.fixmatch.threshold' in page and 'longer' in page


@pytest.mark.parametrize(
    'variant, message',
    [
        (('scratch', 'scratch', ()), 'differ from every other way'),
        (('Plain', 'scratch', ()), 'lowercase letters'),
        (('plain', 'scrach', ()), 'did you mean scratch'),
        (('plain', 'scratch', (('transfer.augmnt', ''),)), 'did you mean transfer.augment'),
        (('plain', 'scratch', (('data.labels', '5'),)), 'only fields of transfer and semi can be changed'),
        (('plain', 'scratch'), 'each of the form'),
    ],
)
def test_a_variant_that_cannot_be_trained_is_explained(joint, variant, message):
    joint.variants = (variant,)
    with pytest.raises(ValueError, match=message):
        checks.check(joint)


def test_an_unlabelled_loss_without_effect_warns_and_then_stops(joint, tmp_path, capfd):
    joint.semi.fixmatch.threshold = 1.0
    joint.semi.steps = 24
    result = experiment.run(joint, tmp_path / 'warned')
    assert 'no unlabelled image is used' in capfd.readouterr().err
    assert 'no unlabelled image is used' in result['seeds'][0]['ways']['fixmatch']['warnings'][0]
    joint.semi.idle = 0.25
    result = experiment.run(joint, tmp_path / 'stopped')
    stopped = result['seeds'][0]['stopped']['fixmatch']
    assert 'lower the threshold' in stopped['why'] and stopped['kind'] == 'stopped' and stopped['step'] == 8


def test_labels_in_the_unlabelled_stream_are_found(joint, tmp_path, monkeypatch):
    monkeypatch.setattr(split.Split, 'hide', lambda self: self)
    with pytest.raises(guard.Stopped, match='carry their label into the training step'):
        experiment.run(joint, tmp_path)


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
