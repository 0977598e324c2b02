"""The loss on labelled images: class weights and logit adjustment, and that every method takes them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax

from ssljax import losses, methods
from ssljax.config import base
from ssljax.methods import labeled_loss, supervised

SHAPE, CLASSES, COUNTS = (8, 8, 1), 3, (80, 15, 5)
compiled = functools.partial(jax.jit, compiler_options={'xla_backend_optimization_level': 0})


def config(**fields):
    c = base()
    c.backbone.update(width=4, depth=1, conv='xla')
    c.semi.strong = 'cutout(3)'
    c.transfer.update(**fields)
    return c


def rows(n=12, logits=CLASSES, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % CLASSES
    return rng.normal(size=(n, logits)).astype(np.float32), {'label': labels, 'class_counts': np.array(COUNTS)}


def reference(logits, labels, weights, shift, smoothing):
    """Equation by equation, in float64; the logits beyond the classes have weight 1 and no shift."""
    extra = logits.shape[1] - CLASSES
    weights, shift = np.append(weights, np.ones(extra)), np.append(shift, np.zeros(extra))
    targets = (1 - smoothing) * np.eye(logits.shape[1])[labels] + smoothing / logits.shape[1]
    return -(weights * targets * log_softmax(logits.astype(np.float64) + shift, axis=1)).sum(1)


@pytest.mark.parametrize('logits', [CLASSES, CLASSES + 1])
@pytest.mark.parametrize('smoothing', [0.0, 0.1])
@pytest.mark.parametrize('kind, tau', [('balanced', 0.0), ('effective', 0.0), ('none', 1.0), ('balanced', 0.7)])
def test_the_loss_against_numpy(logits, smoothing, kind, tau):
    n, share = np.array(COUNTS, float), np.array(COUNTS) / sum(COUNTS)
    weights = {'none': 1 / n, 'balanced': 1 / n, 'effective': 1 / (1 - 0.9**n)}[kind]
    weights = np.ones(CLASSES) if kind == 'none' else weights * n.sum() / (weights * n).sum()
    c = config(class_weights=kind, class_weights_beta=0.9, logit_adjustment=tau)
    x, batch = rows(logits=logits)
    expected = reference(x, batch['label'], weights, tau * np.log(CLASSES * share), smoothing)
    np.testing.assert_allclose(labeled_loss.cross_entropy(c, x, batch, smoothing), expected, rtol=1e-5)


def test_adjustment_is_the_pairwise_margin_of_the_paper():
    """log(1 + sum over others of (pi' / pi)^tau exp(f' - f)), equation 10 of Menon et al."""
    x, batch = rows()
    share = np.array(COUNTS) / sum(COUNTS)
    for row, label, got in zip(x, batch['label'], labeled_loss.cross_entropy(config(logit_adjustment=1.5), x, batch)):
        others = [k for k in range(CLASSES) if k != label]
        margins = sum((share[k] / share[label]) ** 1.5 * np.exp(row[k] - row[label]) for k in others)
        assert got == pytest.approx(np.log1p(margins), rel=1e-5)


def test_off_is_the_plain_loss_bit_for_bit():
    x, batch = rows()
    del batch['class_counts']
    plain = losses.cross_entropy(x, batch['label'], smoothing=0.1)
    assert (labeled_loss.cross_entropy(config(), x, batch, 0.1) == plain).all()
    targets = np.eye(CLASSES, dtype=np.float32)[batch['label']]
    assert (labeled_loss.soft_cross_entropy(config(), x, targets, batch) == losses.soft_cross_entropy(x, targets)).all()


def images(n=6):
    rng, labels = np.random.default_rng(0), np.arange(n) % CLASSES
    one = lambda count: rng.integers(0, 255, (count, *SHAPE)).astype(np.uint8)
    return {
        'image': one(n), 'label': labels.astype(np.int32), 'index': np.arange(n), 'unlabeled': one(8),
        'unlabeled_label': np.arange(8) % CLASSES, 'unlabeled_index': np.arange(8), 'unlabeled_count': 8,
        'progress': jnp.float32(0.5),
    }  # fmt: skip


def labelled_losses(name, c, counts):
    """What the method's loss says of labelled images."""
    if name == 'supervised':
        method = supervised.make(c, CLASSES)
    else:
        method = methods.semi(name, c, SHAPE, CLASSES)
    batch = images() | {'class_counts': jnp.array(counts)}
    variables = method.init(jax.random.key(0), batch)
    params, state = variables['params'], {k: v for k, v in variables.items() if k != 'params'}
    found = {}
    for loss in [turn for _, turn in method.turns] or [method.loss]:
        found |= compiled(loss)(params, state, params, batch, jax.random.key(1))[1][1]
    total, count = found['supervised' if name != 'supervised' else 'loss']
    return float(total / count)


@pytest.mark.parametrize('name', ['supervised', *methods.SEMI])
def test_every_method_takes_them(name):
    """Of equally frequent classes neither changes the loss; of others both do."""
    plain = labelled_losses(name, config(), COUNTS)
    both = config(class_weights='balanced', logit_adjustment=1.0)
    assert labelled_losses(name, both, (9, 9, 9)) == pytest.approx(plain, rel=1e-4)
    assert labelled_losses(name, both, COUNTS) != pytest.approx(plain, rel=1e-2)
