"""Colourisation: which colours does a gray picture have? Zhang, Isola & Efros, ECCV 2016 (arXiv:1603.08511).

The network sees the lightness L, repeated to three channels so that it can be carried over to RGB, and predicts for
each cell of a coarse grid a distribution over bins of the colour plane (a, b) of CIE Lab, against the soft-encoded
true colour. Rare colours weigh more. Deviations: bins are those of the sRGB gamut (see `data.color.ab_bins`), the prior
of the colours is a running mean over the training batches and not counted beforehand, the head is linear by default and
on the backbone's last map (the authors' network is dilated and decodes to a quarter of the image), and the true colours
are averaged over a cell, not sampled.
"""

import jax
import jax.numpy as jnp

from ssljax.core import Method
from ssljax.data import augment, color
from ssljax.losses import soft_cross_entropy
from ssljax.methods import network, shapes
from ssljax.models.heads import Head
from ssljax.settings.fields import share, temperature, whole

OPTIONS = dict(
    # Share of the uniform distribution in the prior by which bins are weighted (lambda); 1: all weights are equal.
    uniform=share(0.5),
    momentum=share(0.99),  # of the running prior
    upsample=whole(0, 0, 64),  # colours a side for each cell of the map; 0: enough for one in 4 x 4 pixels, at most 4
    temperature=temperature(0.38),  # of the annealed mean that makes the picture
)
REMEDY = 'lower optim.lr, or set optim.clip or optim.warmup'


def make(config, shape) -> Method:
    """Predicts the colours from the backbone's last map; pretrain.pool is not used, pretrain.hidden is applied to each
    cell.

    The prior is state['prior']['ab'] [Q] float32 divided by state['prior']['weight'], which corrects for the start of
    the running mean. loss and top1 (the nearest bin) are means over cells.

    Raises:
      ValueError: images that are not RGB, a backbone without a map, or an option out of range.
    """
    cfg, options = config.pretrain, config.pretrain.colorization
    if shape[2] != 3:
        raise ValueError(
            f'colorization needs RGB images; these have {shape[2]} channel{"s" * (shape[2] > 1)}: choose another '
            'pretext task for gray images, or set --config.data.channels=3 for colour images with alpha.'
        )
    if not (0 <= options.uniform <= 1 and 0 <= options.momentum < 1):
        raise ValueError(
            f'pretrain.colorization: uniform is {options.uniform} and momentum {options.momentum}; both must be in '
            '[0, 1], momentum below 1.'
        )
    if options.upsample < 0 or options.temperature <= 0:
        raise ValueError('pretrain.colorization: upsample must be 0 or more and temperature above 0.')
    net = shapes.last_map(network.build(config, shape), shape, 'colorization')
    rows, columns, width = shapes.map_size(net, shape)
    up = options.upsample or min(max(round(shape[0] / rows / 4), 1), 4)
    bins = color.ab_bins()
    blur, head = color.smoothing(bins), Head(len(bins) * up * up, tuple(cfg.hidden))
    distort = network.augmentation(config, 'colorization')

    def init(key, batch):
        k_trunk, k_head = jax.random.split(key)
        variables = network.init(net, k_trunk, jnp.zeros((1, *shape)))
        variables = network.add_part(variables, 'head', head, k_head, jnp.zeros((1, width)))
        prior = {'ab': jnp.full(len(bins), 1e-6 / len(bins), jnp.float32), 'weight': jnp.float32(1e-6)}
        return variables | {'prior': prior}  # uniform until the first step

    def colours(params, state, lightness, train):
        """Logits [B, rows * up, columns * up, Q] for L [B, H, W, 1] in [0, 100]."""
        x = jnp.broadcast_to(lightness / 50 - 1, (*lightness.shape[:3], 3))
        outputs, state = network.apply(net, params, state, x, train=train)
        logits, own = network.part(head, 'head', params, state, outputs['backbone'].reshape(-1, width), train=train)
        logits = logits.reshape(-1, rows, columns, up, up, len(bins)).swapaxes(2, 3)
        return logits.reshape(-1, rows * up, columns * up, len(bins)), network.put(state, 'head', own)

    def compared(logits, targets, prior, mask=None):
        """Losses [cells] and metrics, of logits and targets [B, ..., Q]."""
        logits, targets = logits.reshape(-1, len(bins)), targets.reshape(-1, len(bins))
        labels = targets.argmax(1)
        weights = color.rebalancing(prior['ab'] / prior['weight'], blur, options.uniform)[labels]
        losses = weights * soft_cross_entropy(logits, targets)
        return losses, network.classification_metrics(logits, labels, losses, mask)

    def targets_of(lab):
        ab = jax.image.resize(lab[..., 1:], (len(lab), rows * up, columns * up, 2), 'linear')
        return color.soft_encode(ab, bins)

    def loss(params, state, ema, batch, key):
        lab = color.rgb_to_lab(distort(key, augment.to_float(batch['image'])))
        targets = targets_of(lab)
        seen = {'ab': targets.mean((0, 1, 2)), 'weight': 1.0}
        prior = jax.tree.map(lambda old, new: old + (1 - options.momentum) * (new - old), state['prior'], seen)
        logits, state = colours(params, state, lab[..., :1], train=True)
        losses, metrics = compared(logits, targets, prior)
        return losses.mean(), (state | {'prior': prior}, metrics)

    def measure(params, state, batch):
        lab = color.rgb_to_lab(augment.to_float(batch['image']))
        logits, _ = colours(params, state, lab[..., :1], train=False)
        mask = jnp.repeat(batch['mask'], logits.shape[1] * logits.shape[2])
        return compared(logits, targets_of(lab), state['prior'], mask)[1]

    def show(params, state, images):
        lab = color.rgb_to_lab(augment.to_float(images))
        light, gray = lab[..., :1], jnp.zeros_like(lab[..., 1:])
        ab = color.annealed_mean(colours(params, state, light, train=False)[0], bins, options.temperature)
        ab = jax.image.resize(ab, gray.shape, 'linear')
        return {
            'original': augment.to_float(images),
            'lightness (input)': color.lab_to_rgb(jnp.concatenate([light, gray], -1)),
            'colourised': color.lab_to_rgb(jnp.concatenate([light, ab], -1)),
        }

    why = 'enough for one in 4 x 4 pixels, at most 4'
    decided = () if options.upsample else (('pretrain.colorization.upsample', up, why),)
    return Method(init=init, loss=loss, measure=measure, show=show, decided=decided)
