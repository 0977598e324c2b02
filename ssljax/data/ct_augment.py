"""CTAugment: how strong each operation may be is learnt (ReMixMatch, Berthelot et al. 2020, arXiv:1911.09785, section
3.2.1; FixMatch, Sohn et al. 2020, arXiv:2001.07685, appendix).

The range of each operation's parameter is cut into bins, and each bin has a rate: how well the model still does on
labelled images that were changed from that bin. A training step threads the rates as its state:

    images, choice = probe(key, labeled, rates)
    rates = update(rates, choice, match(probabilities, one_hot))
    strong = apply(key, unlabeled, rates)

Deviations: rescale takes the nearest pixel, so that its parameter 'method' is left out. The papers cover a square
(`augment.cutout`) after it.
"""

import jax
import jax.numpy as jnp
import numpy as np

from ssljax.data.distort import NAMES, distort

DECAY = 0.99
THRESHOLD = 0.8
RANGES = {  # parameters of `distort`; the papers' table
    'autocontrast': (0.0, 1.0),
    'blur': (0.0, 1.0),
    'brightness': (0.0, 1.0),
    'color': (0.0, 1.0),
    'contrast': (0.0, 1.0),
    'cutout': (0.0, 0.5),
    'equalize': (0.0, 1.0),
    'identity': (0.0, 0.0),
    'invert': (0.0, 1.0),
    'posterize': (1.0, 9.0),  # 1 to 8 bits, one per bin
    'rescale': (0.5, 1.0),
    'rotate': (-45.0, 45.0),
    'sharpness': (0.0, 1.0),
    'shear_x': (-0.3, 0.3),
    'shear_y': (-0.3, 0.3),
    'smooth': (0.0, 1.0),
    'solarize': (0.0, 1.0),
    'translate_x': (-0.3, 0.3),
    'translate_y': (-0.3, 0.3),
}
BINS = dict.fromkeys(NAMES, 17) | {'identity': 1, 'posterize': 8}
_COUNTS, _MOST = np.array([BINS[name] for name in NAMES]), max(BINS.values())


def init():
    """The rates at the start: {operation: float32 [bins], all 1}, bins as in BINS."""
    return {name: jnp.ones(BINS[name], jnp.float32) for name in NAMES}


def apply(key, images, rates, depth=2):
    """Changes each image by `depth` operations, drawn uniformly, each from a bin that the model copes with.

    Bins are drawn in proportion to `weights`, the parameter uniformly inside its bin.

    Args:
        images: float32 [B, H, W, C] in [0, 1], 1 to 4 channels.
        rates: as from `init` and `update`.

    Returns:
        The images, float32 [B, H, W, C] in [0, 1]. Raises ValueError for other images and for a depth below 1.
    """
    return _augment(key, images, _table(weights(rates)), depth)[0]


def probe(key, images, rates, depth=2):
    """As `apply`, but all bins are equally likely, whatever the rates: for the labelled images from which `update`
    learns.

    Returns:
        (images, choice); choice is {'operation', 'bin'}, int32 [depth, B] each, for `update`.
    """
    return _augment(key, images, _table({name: jnp.ones_like(rate) for name, rate in rates.items()}), depth)


def match(probabilities, targets):
    """How well predictions match: 1 - 0.5 * sum |p - y|, float32 [B] in [0, 1]; both are [B, classes] and sum to 1."""
    return 1.0 - 0.5 * jnp.abs(probabilities - targets).sum(-1)


def update(rates, choice, match):
    """The rates after the papers' rate = 0.99 rate + 0.01 match for the bins of each image, one image after the other.

    It is computed at once for the batch, exactly: a bin that n images drew has 0.99^n rate + 0.01 sum 0.99^later match,
    with `later` the number of those after the image.

    Args:
        choice: from `probe`.
        match: float32 [B], see `match`.
    """
    cell = (choice['operation'] * _MOST + choice['bin']).T.reshape(-1)  # image by image
    depth = choice['bin'].shape[0]
    same = cell[:, None] == cell
    later = jnp.triu(same, 1).sum(1)
    gain = (1.0 - DECAY) * DECAY**later * jnp.repeat(match, depth)
    count, gained = (jnp.zeros(len(NAMES) * _MOST).at[cell].add(v) for v in (1.0, gain))
    kept, gained = (v.reshape(len(NAMES), _MOST) for v in (DECAY**count, gained))
    return {name: rates[name] * kept[i, : BINS[name]] + gained[i, : BINS[name]] for i, name in enumerate(NAMES)}


def weights(rates):
    """{operation: float32 [bins]}: the rates over the highest of the operation, those below 0.8 set to 0.

    As in FixMatch's code, 0.01 is added to each rate first, so that they are never all 0.
    """
    shifted = {name: rate + (1.0 - DECAY) for name, rate in rates.items()}
    scaled = {name: rate / rate.max() for name, rate in shifted.items()}
    return {name: jnp.where(weight < THRESHOLD, 0.0, weight) for name, weight in scaled.items()}


def _table(weights):
    """[operations, bins], 0 where an operation has fewer."""
    return jnp.stack([jnp.pad(weights[name], (0, _MOST - BINS[name])) for name in NAMES])


def _augment(key, images, table, depth):
    if int(depth) != depth or depth < 1:
        raise ValueError(f'ct_augment: depth is {depth}; it must be a whole number of operations, 1 or more.')
    shape = (int(depth), images.shape[0])
    kind_key, bin_key, place_key, cutout_key = jax.random.split(key, 4)
    kind = jax.random.randint(kind_key, shape, 0, len(NAMES))
    drawn = jax.random.categorical(bin_key, jnp.log(table)[kind])
    level = (drawn + jax.random.uniform(place_key, shape)) / jnp.asarray(_COUNTS)[kind]
    low, high = jnp.asarray(np.float32([RANGES[name] for name in NAMES]))[kind].transpose(2, 0, 1)
    images = distort(cutout_key, images, kind, low + level * (high - low))
    return images, {'operation': kind, 'bin': drawn}
