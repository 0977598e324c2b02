"""The strong views of unlabelled images, `semi.strong`: a pipeline of augmentations, one of which may be CTAugment,
whose strength is learnt in training."""

import re
from collections.abc import Callable
from typing import NamedTuple

import jax

from ssljax.data import augment, ct_augment
from ssljax.methods import network

_LEARNT = re.compile(r'(?:(.*)\|)?\s*ct_augment\((\d*)\)\s*(?:\|(.*))?')


class Strong(NamedTuple):
    """draw: (key, images [B, H, W, C] float32 in [0, 1], state) -> the same, augmented.
    memory: collections of the state at the start, {} except for CTAugment.
    learn: (key, net, params, state, labelled images, labels [B] int32) -> the state after a step.
    """

    draw: Callable
    memory: dict
    learn: Callable


def views(config, name: str) -> Strong:
    """The Strong of `semi.strong`, such as 'flip|crop(4)|rand_augment(2, 10)|cutout(16)' or, with two operations per
    image, 'flip|crop(4)|ct_augment(2)|cutout(16)'.

    CTAugment learns from a further view of the labelled images, predicted without a gradient in evaluation mode.

    Raises:
      ValueError: it is empty, or cannot be read.
    """
    spec = config.semi.strong
    if not spec:
        raise ValueError(
            f'{name} compares a weak view with a strong one, but semi.strong is empty: set it, for example '
            "--config.semi.strong='flip|crop(4)|rand_augment(2, 10)|cutout(16)'."
        )
    found = _LEARNT.fullmatch(spec)
    if not found:
        return plain(augment.parse(spec))
    before, after = (augment.parse(part or '') for part in (found[1], found[3]))
    depth = int(found[2] or 2)

    def draw(key, images, state):
        keys = jax.random.split(key, 3)
        return after(keys[2], ct_augment.apply(keys[1], before(keys[0], images), state['ct_augment'], depth))

    def learn(key, net, params, state, images, labels):
        keys = jax.random.split(key, 3)
        x, choice = ct_augment.probe(keys[1], before(keys[0], images), state['ct_augment'], depth)
        x, hold = augment.normalize(after(keys[2], x)), jax.lax.stop_gradient
        logits = network.apply(net, hold(params), state, x, train=False)[0]['head']
        match = ct_augment.match(jax.nn.softmax(logits), jax.nn.one_hot(labels, logits.shape[1]))
        return state | {'ct_augment': hold(ct_augment.update(state['ct_augment'], choice, match))}

    return Strong(draw, {'ct_augment': ct_augment.init()}, learn)


def plain(draw: Callable) -> Strong:
    """The Strong of an augmentation (key, images) -> images that learns nothing."""
    return Strong(lambda key, images, state: draw(key, images), {}, lambda key, net, params, state, *batch: state)
