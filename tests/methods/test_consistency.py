"""Joint semi-supervised methods: their formulas by hand, and what they all have in common."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax import methods, optim, stages
from ssljax.config import base
from ssljax.core import evaluated
from ssljax.data.mixup import mixup
from ssljax.losses import cross_entropy
from ssljax.methods import consistency, flexmatch, freematch, mixmatch, network, noisy_student
from tests import steps

SHAPE, CLASSES = (8, 8, 1), 3
KEY = jax.random.key(0)


def images(n, seed=0):
    """One bright third of the rows for each class, with noise."""
    labels = np.arange(n) % CLASSES
    x = np.random.default_rng(seed).integers(0, 120, (n, *SHAPE))
    for row, label in enumerate(labels):
        x[row, 3 * label : 3 * label + 2] += 100
    return x.astype(np.uint8), labels.astype(np.int32)


def batch(labeled=6, unlabeled=12):
    image, label = images(labeled)
    return {
        'image': image, 'label': label, 'index': np.arange(labeled), 'unlabeled': images(unlabeled, 1)[0],
        'unlabeled_label': images(unlabeled, 1)[1], 'unlabeled_index': np.arange(unlabeled),
        'unlabeled_count': unlabeled,
    }  # fmt: skip


def configure(name, ema=0.9, strong='cutout(3)|color_jitter(0.2, 0.2)', **options):
    c = base()
    c.backbone.update(width=8, depth=1, conv='xla')
    c.semi.update(ema=ema, strong=strong)
    c.semi[name].update(options)
    return c


def build(name, lr=0.1, **options):
    c = configure(name, **options)
    c.semi.optim.update(name='sgd', lr=lr, weight_decay=0.0, schedule='constant')
    method = methods.semi(name, c, SHAPE, CLASSES)
    tx, _ = optim.make(c.semi.optim, 40)
    return method, tx, steps.begin(method, tx, batch(), KEY)


def seen(guess, trained=None, **fields):
    guess = jnp.asarray(guess, jnp.float32)
    rest = dict(labeled=guess, labels=jnp.zeros(len(guess), int), places=jnp.arange(len(guess)), total=len(guess))
    return consistency.Seen(guess, guess if trained is None else trained, **(rest | {'progress': 0.5} | fields))


def compare_of(monkeypatch, name, **options):
    """The `compare` and the first memory of a method."""
    kept = {}
    monkeypatch.setattr(consistency, 'make', lambda *a, memory=None, **k: kept.update(compare=a[3], memory=memory, **k))
    c = base()
    c.semi[name].update(options)
    methods.SEMI[name].make(c, SHAPE, CLASSES)
    return kept


def test_one_batch_has_one_set_of_statistics():
    """With `one_batch` the running statistics are those of labelled, strong and weak views together, taken up once."""
    found = {}
    for one in (False, True):
        c = configure('fixmatch')
        c.semi.one_batch, c.semi.strong, c.semi.augment = one, 'cutout(1, p=0.0)', ''
        method = methods.semi('fixmatch', c, SHAPE, CLASSES)
        params, state = steps.variables(method, batch(), KEY)
        found[one] = steps.compiled(method.loss)(params, state, params, batch() | {'progress': 0.5}, KEY)[1][0]
    data = batch()
    x = np.concatenate([data['image'], data['unlabeled'], data['unlabeled']])
    net = network.classifier(c, CLASSES)
    _, want = network.apply(net, params, state, network.to_input(x), train=True)
    leaves = lambda tree: jax.tree.leaves(tree['batch_stats'])
    for a, b in zip(leaves(found[True]), leaves(want), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    assert any(not np.allclose(a, b, rtol=1e-3) for a, b in zip(leaves(found[True]), leaves(found[False])))


def test_every_rotation_of_a_labelled_image_has_its_class():
    """The loss on labels is the mean over four rotations by hand; with `upright` that of the image as it is."""
    for classified, turns in (('all', 4), ('upright', 1)):
        c = configure('s4l_rotation')
        c.semi.s4l_rotation.classified = classified
        method = methods.semi('s4l_rotation', c, SHAPE, CLASSES)
        params, state = steps.variables(method, batch(), KEY)
        data = batch()
        metrics = steps.compiled(method.loss)(params, state, params, data | {'progress': 0.5}, KEY)[1][1]
        whole = np.concatenate([data['image'], data['unlabeled']])
        turned = [np.rot90(whole, k, axes=(1, 2)) for k in range(4)]
        x = np.concatenate(turned + ([data['image']] if turns == 1 else []))
        net = network.classifier(c, CLASSES)
        y = network.apply(network.Network(net.backbone, net.layer), params, state, network.to_input(x), train=True)[0]
        rows = [k * len(whole) + i for k in range(4) for i in range(6)] if turns == 4 else range(len(x) - 6, len(x))
        logits = network.part(net.heads[0][1], 'head', params, state, y['backbone'][np.array(rows)], train=True)[0]
        want = cross_entropy(logits, np.tile(data['label'], turns)).mean()
        assert float(metrics['supervised'][0]) == pytest.approx(float(want), rel=1e-3)


@pytest.mark.parametrize('name', methods.SEMI)
def test_an_open_optimiser_is_that_of_the_kind_of_method(name):
    c = base()
    own = methods.with_optimiser(c, name).semi.optim
    sgd = dict(name='sgd', lr=0.03, momentum=0.9, nesterov=True, weight_decay=5e-4, schedule='slow_cosine')
    adam = dict(name='adamw', lr=3e-4, b1=0.5, weight_decay=0.0, schedule='cosine')
    want = sgd if name in methods.JOINT else adam
    assert {k: own[k] for k in want} == want and c.semi.optim.name == 'auto'
    c.semi.optim.update(name='adamw', lr=0.002)
    own = methods.with_optimiser(c, name).semi.optim
    assert (own.name, own.lr, own.weight_decay, own.schedule) == ('adamw', 0.002, 0.0, 'cosine')
    kind = stages.settings(c.unlock(), name)
    assert kind.cfg.optim.lr == 0.002 and kind.cfg.optim.schedule == 'cosine'


@pytest.mark.parametrize('name', methods.JOINT)
def test_a_method_learns_and_never_looks_at_the_labels_of_unlabelled_images(name):
    own = {'classified': 'upright'} if name == 's4l_rotation' else {}  # the classes change places on their heads
    method, tx, ts = build(name, weight=0.1, **own)
    step = steps.step_of(method, tx, 40)
    blind, other = batch(), ts
    if not method.teach:
        blind = blind | {'unlabeled_label': np.full(12, -1, np.int32)}
    held = batch(30) | {'mask': np.ones(30, np.float32)}
    look = steps.compiled(lambda ts: method.measure(evaluated(method, ts), ts.state, held))
    before = look(ts)
    for _ in range(40):
        ts, metrics = step(ts, batch(), KEY)
        other, _ = step(other, blind, KEY)
    after = look(ts)
    assert {'supervised', 'unlabeled', 'top1'} <= metrics.keys()
    assert all(np.isfinite(v).all() for v in jax.tree.leaves((metrics, ts)))
    jax.tree.map(np.testing.assert_array_equal, ts.params, other.params)
    assert after['loss'][0] < 0.95 * before['loss'][0] and after['top1'][0] >= 20


def test_what_is_evaluated_is_the_average():
    method, tx, ts = build('fixmatch')
    new, _ = steps.step_of(method, tx, 40)(ts, batch(), KEY)
    tau = 0.1  # the first step's: (1 + 0) / (10 + 0) is below 0.9
    want = jax.tree.map(lambda e, p: tau * e + (1 - tau) * p, ts.ema, new.params)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7), evaluated(method, new), want)
    without, _, ts = build('fixmatch', ema=0.0)
    assert ts.ema is None and evaluated(without, ts) is ts.params


def test_the_guess_has_no_gradient_and_a_threshold_counts():
    method, _, ts = build('fixmatch', threshold=0.0)
    none, _, _ = build('fixmatch', threshold=1.0)
    for m, share in ((method, 1.0), (none, 0.0)):
        _, (_, metrics) = m.loss(ts.params, ts.state, ts.ema, batch() | {'progress': 0.5}, KEY)
        assert metrics['coverage'][0] / metrics['coverage'][1] == share
        assert (metrics['unlabeled'][0] > 0) == bool(share)


@pytest.mark.parametrize('name', ['fixmatch', 'noisy_student'])
def test_ctaugment_learns_how_strong_it_may_be(name):
    method, tx, ts = build(name, strong='flip|ct_augment(1)|cutout(3)')
    assert set(ts.state['ct_augment']) >= {'rotate', 'solarize'}
    new, _ = steps.step_of(method, tx, 40)(ts, batch(), KEY)
    rates = new.state['ct_augment']
    changed = [k for k in rates if (rates[k] != 1).any()]
    assert 1 <= len(changed) <= 6 and all(0.99**6 <= rates[k].min() <= 1 for k in changed)


def test_the_weight_of_the_unlabelled_loss_rises():
    options = base().semi.pi_model
    values = [float(consistency.weight(options, jnp.float32(t))) for t in (0.0, 0.2, 0.4, 0.9)]
    np.testing.assert_allclose(values, [0, 5, 10, 10])


def test_flexmatch_lowers_the_threshold_of_classes_that_are_learnt_less():
    last = jnp.array([0, 0, 0, 0, 1, 1, -1, -1])
    np.testing.assert_allclose(flexmatch.shares(last, 3, 8), [1, 0.5 / 1.5, 0])
    # While most are unused, these stand for the best class.
    np.testing.assert_allclose(flexmatch.shares(jnp.array([0, -1, -1, -1, -1]), 2, 5), [0.25 / 1.75, 0])


def test_flexmatch_remembers_confident_guesses(monkeypatch):
    kept = compare_of(monkeypatch, 'flexmatch', threshold=0.9)
    rows, memory = kept['compare'](
        seen([[9.0, 0, 0], [0.5, 0, 0], [0, 9.0, 0]], places=jnp.array([4, 2, 0])), kept['memory'](6)
    )
    assert memory['last'].tolist() == [1, -1, -1, -1, 0, -1]
    assert rows['coverage'].tolist() == [True, True, True]  # no class is learnt yet: every threshold is 0


def test_freematch_follows_the_confidence(monkeypatch):
    kept = compare_of(monkeypatch, 'freematch', momentum=0.5, fairness=0.0)
    p = np.array([[0.8, 0.1, 0.1], [0.2, 0.6, 0.2]])
    rows, memory = kept['compare'](seen(np.log(p)), kept['memory'](2))
    tau, classes = 0.5 / 3 + 0.5 * 0.7, 0.5 / 3 + 0.5 * p.mean(0)
    np.testing.assert_allclose(memory['confidence'], tau, rtol=1e-5)
    np.testing.assert_allclose(memory['probability'], classes, rtol=1e-5)
    limits = tau * classes / classes.max()
    assert rows['coverage'].tolist() == [bool(0.8 >= limits[0]), bool(0.6 >= limits[1])]


def test_the_fairness_of_freematch_by_hand():
    p = np.array([[0.7, 0.3], [0.6, 0.4], [0.2, 0.8]])
    confident, running, histogram = np.array([True, True, False]), np.array([0.5, 0.5]), np.array([0.25, 0.75])
    a = np.array([0.5 / 0.25, 0.5 / 0.75])
    b = np.array([0.65 / 1.0, 0.0])  # the confident ones are all of class 0: class 1 has no histogram to divide by
    want = np.sum(a / a.sum() * np.log(b / b.sum() + 1e-12))
    got = freematch.imbalance(jnp.log(p), jnp.asarray(confident), jnp.asarray(running), jnp.asarray(histogram))
    np.testing.assert_allclose(got, want, rtol=1e-4)
    assert freematch.imbalance(jnp.log(p), jnp.zeros(3, bool), jnp.asarray(running), jnp.asarray(histogram)) == 0


def test_softmatch_weighs_by_a_gaussian(monkeypatch):
    kept = compare_of(monkeypatch, 'softmatch', momentum=0.0, align=False)
    p = np.array([[0.9, 0.05, 0.05], [0.5, 0.25, 0.25], [0.7, 0.2, 0.1]])
    rows, memory = kept['compare'](seen(np.log(p)), kept['memory'](3))
    np.testing.assert_allclose([memory['mean'], memory['variance']], [0.7, 0.04], rtol=1e-4)
    np.testing.assert_allclose(rows['coverage'], [1, np.exp(-(0.2**2) / (2 * 0.04 / 4)), 1], rtol=1e-3)
    aligned = compare_of(monkeypatch, 'softmatch', momentum=0.0)
    rows, _ = aligned['compare'](seen(np.log(np.tile(p[:1], (3, 1)))), aligned['memory'](3))
    assert np.isfinite(rows['loss']).all()  # equal confidences: a variance of 0 keeps all


def test_uda_counts_labelled_images_until_they_are_known(monkeypatch):
    kept = compare_of(monkeypatch, 'uda', anneal='linear')
    p = jnp.log(jnp.array([[0.9, 0.05, 0.05], [0.5, 0.25, 0.25]]))  # the limit is 1/3 + 1/2 * 2/3 = 2/3
    assert kept['labeled_rows'](seen(p)).tolist() == [0.0, 2.0]


def test_mixmatch_sharpens_and_keeps_half_of_itself():
    np.testing.assert_allclose(
        mixmatch.sharpened(jnp.array([[0.6, 0.4]]), 0.5), [[0.36 / 0.52, 0.16 / 0.52]], rtol=1e-5
    )
    x, targets = jnp.arange(64.0).reshape(64, 1, 1, 1), jnp.eye(64)
    mixed, labels = mixup(KEY, x, targets, 0.75, own=0.5)
    own = jnp.diag(labels)
    assert (own >= 0.5).all() and (own < 0.95).any()
    np.testing.assert_allclose(mixed[:, 0, 0, 0], labels @ x[:, 0, 0, 0], rtol=1e-5)
    assert (jnp.diag(mixup(KEY, x, targets, 0.75)[1]) < 0.5).any()


def test_the_noisy_students_teacher_is_confident_and_balanced():
    p = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.45, 0.55], [0.6, 0.4], [0.05, 0.95]])
    rows, classes = noisy_student.chosen(np.log(p), 0.65)
    assert rows.tolist() == [0, 1, 5, 5] and classes.tolist() == [0, 0, 1, 1]
    with pytest.raises(ValueError, match='not confident about any unlabelled image'):
        noisy_student.chosen(np.log(p), 0.99)


@pytest.mark.parametrize(
    'name, change, message',
    [
        ('fixmatch', {'semi.strong': ''}, 'semi.strong is empty'),
        ('fixmatch', {'semi.fixmatch.threshold': 1.5}, 'threshold is 1.5; it must be a number from 0 to 1'),
        ('fixmatch', {'semi.fixmatch.weight': -1.0}, 'weight is -1.0; it must be a number from 0'),
        ('mean_teacher', {'semi.ema': 0.0}, 'set semi.ema'),
        ('uda', {'semi.uda.anneal': 'cubic'}, 'one of .*log, linear, exp'),
        ('uda', {'semi.uda.temperature': 0.0}, 'a number from 0.001'),
        ('mixmatch', {'semi.mixmatch.guesses': 0}, 'a whole number from 1'),
        ('noisy_student', {'semi.noisy_student.generations': 0}, 'a whole number from 1'),
        ('s4l_rotation', {'semi.s4l_rotation.views': 'two'}, 'one of all, one'),
    ],
)
def test_an_option_out_of_range_is_named(name, change, message):
    c = base()
    c.semi.strong = 'flip'
    c.update_from_flattened_dict(change)
    with pytest.raises(ValueError, match=message):
        methods.semi(name, c, SHAPE, CLASSES)
