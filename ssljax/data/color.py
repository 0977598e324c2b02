"""CIE Lab on the device, and its colour plane (a, b) in bins: Zhang, Isola & Efros 2016 (arXiv:1603.08511).

L is lightness in [0, 100]; a and b, the colour without the lightness, lie in about [-108, 99] for sRGB. White is D65,
2 degrees, as in scikit-image.
"""

import jax
import jax.numpy as jnp
import numpy as np

_WHITE = np.array([0.95047, 1.0, 1.08883])
_TO_XYZ = np.array(  # from linear sRGB, IEC 61966-2-1
    [
        (0.412453, 0.357580, 0.180423),
        (0.212671, 0.715160, 0.072169),
        (0.019334, 0.119193, 0.950227),
    ]
)
_TO_LAB = np.array([(0, 116, 0), (500, -500, 0), (0, 200, -200)])


def rgb_to_lab(rgb, xp=jnp):
    """sRGB [..., 3] float in [0, 1] -> Lab [..., 3], the same dtype. `xp` is jnp, or np to compute on the host."""
    linear = xp.where(rgb > 0.04045, ((xp.maximum(rgb, 0.04045) + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    xyz = _apply(_TO_XYZ / _WHITE[:, None], linear, xp)
    bent = xp.where(xyz > 0.008856, xp.maximum(xyz, 0.008856) ** (1 / 3), 7.787 * xyz + 16 / 116)
    return _apply(_TO_LAB, bent, xp) - np.array([16, 0, 0], rgb.dtype)


def lab_to_rgb(lab):
    """Lab [..., 3] float32 -> sRGB [..., 3] float32, clipped to [0, 1] where the colour is outside sRGB."""
    bent = _apply(np.linalg.inv(_TO_LAB), lab + np.array([16, 0, 0], np.float32), jnp)
    xyz = jnp.where(bent > 6 / 29, bent**3, (bent - 16 / 116) / 7.787)
    linear = _apply(np.linalg.inv(_TO_XYZ) * _WHITE, xyz, jnp)
    rgb = jnp.where(linear > 0.0031308, 1.055 * jnp.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055, linear * 12.92)
    return jnp.clip(rgb, 0.0, 1.0)


def _apply(matrix, colour, xp):
    """matrix [3, 3] times every colour [..., 3], in full precision on accelerators too."""
    exact = {'precision': jax.lax.Precision.HIGHEST} if xp is jnp else {}
    return xp.matmul(colour, matrix.T.astype(colour.dtype), **exact)


def ab_bins(step: int = 10) -> np.ndarray:
    """The centres (a, b) [Q, 2] float32 of the cells of `step` x `step` that hold a colour of sRGB, ordered by a, b.

    Centres are multiples of `step`. For step 10 there are 261, by all 2^24 colours of 8 bits; the table that Zhang et
    al. publish has 313, of a larger gamut. Found from every third of the 256 levels, which misses none of them.
    """
    level = np.arange(0, 256, 3) / 255
    ab = rgb_to_lab(np.stack(np.meshgrid(level, level, level), -1), np)[..., 1:]
    reach = 128 // step + 1
    held = np.zeros((2 * reach + 1, 2 * reach + 1), bool)
    held[tuple(np.moveaxis(np.round(ab / step).astype(int) + reach, -1, 0))] = True
    return (np.argwhere(held) - reach).astype(np.float32) * step


def soft_encode(ab, bins, neighbours: int = 5, sigma: float = 5.0):
    """Each colour as a distribution over its nearest bins, weighted by a Gaussian of the distance (section 2.1).

    ab: [..., 2] float32; bins: [Q, 2]; returns [..., Q] float32, `neighbours` of them above zero, with sum 1.
    """
    squared = (ab[..., None, 0] - bins[:, 0]) ** 2 + (ab[..., None, 1] - bins[:, 1]) ** 2
    # The barrier keeps XLA's CPU backend from computing the nearest anew for every bin: 17 ms instead of 370.
    near, index = jax.lax.optimization_barrier(jax.lax.top_k(-squared, neighbours))
    weights = jax.nn.softmax(near / (2 * sigma**2))
    return sum(weights[..., i, None] * jax.nn.one_hot(index[..., i], len(bins)) for i in range(neighbours))


def annealed_mean(logits, bins, temperature: float = 0.38):
    """The colour [..., 2] of logits [..., Q]: the mean under the softmax of logits / temperature (section 2.3).

    Between the mode (vivid, speckled) for temperature 0 and the mean (smooth, dull) for 1.
    """
    return jnp.matmul(jax.nn.softmax(logits / temperature), bins, precision=jax.lax.Precision.HIGHEST)


def smoothing(bins, sigma: float = 5.0) -> np.ndarray:
    """[Q, Q] float32, columns with sum 1: `smoothing(bins) @ prior` blurs a prior over the plane (section 2.2)."""
    squared = ((bins[:, None] - bins[None]) ** 2).sum(-1)
    kernel = np.exp(-squared / (2 * sigma**2))
    return (kernel / kernel.sum(0)).astype(np.float32)


def rebalancing(prior, blur, mix: float = 0.5):
    """Weights [Q] of the bins: w = 1 / ((1 - mix) blurred prior + mix / Q), scaled so that their mean under the blurred
    prior is 1 (equation 4; the paper's lambda is `mix`).

    prior: [Q] float32 with sum 1; blur: [Q, Q] of `smoothing`. mix = 1 weights all alike.
    """
    smooth = jnp.matmul(blur, prior, precision=jax.lax.Precision.HIGHEST)
    weights = 1 / ((1 - mix) * smooth + mix / len(prior))
    return weights / (smooth * weights).sum()
